"""A request that the service refuses because, it says, a response runs already."""

import pytest

from bridge.engine.agent.requests import CANCELLED_ENDS_WITHIN_MS
from bridge.engine.effects import Effect, Send, StartTimer
from bridge.engine.inputs import Input, TimerFired
from bridge.engine.news import SessionLost
from bridge.engine.timers import Timer
from bridge.realtime.commands import CancelResponse, CreateResponse
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import ErrorReported, InputCommitted, ResponseCreated
from bridge.realtime.ids import ResponseId
from bridge.realtime.session_config import ResponseConfig
from tests.engine.calls import A1, R1, R2, U2, Call, answered, audio, done, of, started, stopped
from tests.support.policies import call_policy

GREETING = call_policy(greeting_instructions="Greet.")
ASKED = CreateResponse(ResponseConfig(instructions="Greet."))
HIDDEN = ResponseId("resp_hidden")


def refused(code: str = "conversation_already_has_active_response") -> ErrorReported:
    return ErrorReported(ApiError("invalid_request_error", "no", code=code))


def sent(effects: list[Effect]) -> list[object]:
    return [each.command for each in of(Send, effects)]


def test_response_that_nobody_knows_is_cancelled_within_a_second() -> None:
    effects = answered(GREETING).feed(refused())
    assert sent(effects) == [CancelResponse()]
    assert StartTimer(Timer.RESPONSE, CANCELLED_ENDS_WITHIN_MS) in effects


@pytest.mark.parametrize(
    "then",
    [
        done(HIDDEN, ResponseStatus.CANCELLED),
        refused("response_cancel_not_active"),
        TimerFired(Timer.RESPONSE),
    ],
)
def test_what_was_asked_for_is_asked_for_again_as_it_was(then: Input) -> None:
    call = answered(GREETING)
    call.feed(refused())
    assert sent(call.feed(then)) == [ASKED]


def test_service_that_claims_it_again_is_left() -> None:
    call = answered(GREETING)
    call.feed(refused(), refused("response_cancel_not_active"))
    assert len(of(SessionLost, call.feed(refused()))) == 1


def test_response_in_between_makes_it_another_claim() -> None:
    call = answered(GREETING)
    call.feed(refused(), refused("response_cancel_not_active"))
    call.feed(ResponseCreated(R1), done(R1), started(), stopped(), InputCommitted(U2))
    call.feed(TimerFired(Timer.RESPONSE))
    assert of(SessionLost, call.feed(refused())) == []


def test_running_response_ends_before_ours_is_asked_for() -> None:
    call = answered(GREETING)
    call.feed(ResponseCreated(R2), audio(A1, R2))
    assert sent(call.feed(refused())) == []
    assert CreateResponse() in sent(call.feed(done(R2)))


def test_claim_about_nothing_that_was_asked_for_changes_nothing() -> None:
    call: Call = answered()
    assert sent(call.feed(refused())) == []
