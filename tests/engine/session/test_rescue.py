"""A call whose arm fails before the greeting goes on with the other arm, once."""

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.engine.effects import AnswerCall, OpenSession, PlayPhrase, RejectCall, Send, SwitchArm
from bridge.engine.inputs import CallAnswered, CallOffered, SessionFailed, SessionReady, TimerFired
from bridge.engine.news import CallClosed, SessionLost
from bridge.engine.policy import NoAgent
from bridge.engine.timers import Timer
from bridge.errors import Fault, Outcome, UpstreamError
from bridge.realtime.commands import CreateItem
from bridge.realtime.events import ResponseCreated
from tests.engine.calls import A1, R1, Call, audio, done, of
from tests.support.policies import call_policy, fallback_policy, with_agent

WITH_ARM = call_policy(rescue_after_ms=2_500)
REFUSED = SessionFailed(UpstreamError("no", code="http_503"))
FOR_GOOD = SessionFailed(UpstreamError("no", code="beta_api_shape_disabled"))


@pytest.mark.parametrize("failure", [REFUSED, FOR_GOOD])
def test_a_ringing_call_tries_the_other_arm_at_the_first_failure(failure: SessionFailed) -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered())
    effects = call.feed(failure)
    assert [type(effect) for effect in effects if not isinstance(effect, SessionLost)][-2:] == [
        SwitchArm,
        OpenSession,
    ]
    assert len(of(SessionLost, effects)) == 1
    assert of(AnswerCall, call.feed(SessionReady("sess_2")))


def test_the_second_arm_is_not_left_for_the_first() -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered(), REFUSED)
    effects = call.feed(FOR_GOOD)
    assert not of(SwitchArm, effects)
    assert of(RejectCall, effects)


def test_without_another_arm_nothing_is_switched() -> None:
    call = Call(call_policy())
    call.feed(CallOffered())
    assert not of(SwitchArm, call.feed(REFUSED))


def test_an_arm_that_gives_no_session_is_left_in_time() -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered())
    effects = call.feed(TimerFired(Timer.RESCUE), after_ms=2_500)
    assert [lost.failure.code for lost in of(SessionLost, effects)] == ["timeout"]
    assert of(SwitchArm, effects) == [SwitchArm("timeout")]


def test_a_session_lost_before_the_greeting_is_had_again_on_the_other_arm() -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered(), ResponseCreated(R1))
    assert of(SwitchArm, call.feed(REFUSED))


def test_a_greeting_that_never_comes_leads_to_the_other_arm() -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    effects = call.feed(TimerFired(Timer.RESPONSE), after_ms=10_000)
    assert of(SwitchArm, effects)


def test_a_call_that_has_heard_its_agent_stays_on_its_arm() -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered(), ResponseCreated(R1))
    call.feed(audio(A1, R1), PlayoutStarted(A1, 0), done(R1), PlayoutDrained())
    assert not of(SwitchArm, call.feed(REFUSED))


def test_a_call_that_is_about_to_hear_its_agent_stays_on_its_arm() -> None:
    call = Call(WITH_ARM)
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered(), ResponseCreated(R1))
    call.feed(audio(A1, R1))
    assert not of(SwitchArm, call.feed(REFUSED))


def test_an_answered_call_whose_caller_speaks_first_stays_on_its_arm() -> None:
    call = Call(with_agent(WITH_ARM, greet=False))
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    assert not of(SwitchArm, call.feed(REFUSED))


def test_without_ai_the_fallback_is_heard_although_it_would_refuse() -> None:
    call = Call(call_policy(no_agent=NoAgent.AI_OFF, fallback=fallback_policy(say="Sorry.")))
    effects = call.feed(CallOffered())
    assert of(AnswerCall, effects)
    assert not of(OpenSession, effects)
    assert of(PlayPhrase, call.feed(CallAnswered()))


def test_without_ai_and_without_a_fallback_the_call_is_refused() -> None:
    effects = Call(call_policy(no_agent=NoAgent.AI_OFF)).feed(CallOffered())
    assert of(RejectCall, effects)
    [closed] = of(CallClosed, effects)
    assert (closed.outcome, closed.fault) == (Outcome.SESSION_UNAVAILABLE, Fault.SUPERVISOR)


def test_the_rescuer_of_a_call_that_the_bridge_has_greeted_is_told_so() -> None:
    call = Call(with_agent(WITH_ARM, cached_greeting="Hello, this is Northwind."))
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    [greeting] = of(PlayPhrase, call.feed(TimerFired(Timer.GREETING), after_ms=800))
    call.feed(PlayoutStarted(greeting.item_id, 0), PlayoutDrained())
    assert of(SwitchArm, call.feed(REFUSED)), "what was heard was not the agent"
    effects = call.feed(SessionReady("sess_2"))
    assert not of(PlayPhrase, effects)
    items = [
        sent.command.item for sent in of(Send, effects) if isinstance(sent.command, CreateItem)
    ]
    assert any(greeting.text in str(item) for item in items)
