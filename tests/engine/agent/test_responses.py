"""A response from created to done, the watchdog over it, and what the server objects to."""

from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.engine.agent.requests import CANCELLED_ENDS_WITHIN_MS
from bridge.engine.agent.responses import on_response_done
from bridge.engine.agent.state import Response
from bridge.engine.call.state import Stage
from bridge.engine.core import CallPolicy
from bridge.engine.effects import PlayAudio, Send, StartTimer, StopTimer
from bridge.engine.inputs import TimerFired
from bridge.engine.media import AudioAppended, AudioLost, PlayoutFlushed
from bridge.engine.news import (
    AnswerFailed,
    PhaseChanged,
    SessionLost,
    StateChanged,
    TransitionRefused,
    UpstreamErrorSeen,
)
from bridge.engine.state import CallState
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.realtime.commands import CreateResponse
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import (
    ErrorReported,
    InputCommitted,
    InputTimedOut,
    ResponseCreated,
    ResponseDone,
)
from bridge.realtime.items import McpCall
from bridge.realtime.session_config import ResponseConfig
from tests.engine.calls import (
    A1,
    A2,
    R1,
    R2,
    SILENT,
    U1,
    U2,
    answered,
    audio,
    done,
    of,
    said,
    speaking,
    started,
    stopped,
    thinking,
)
from tests.support.policies import barge_in_policy, call_policy

RETRY = [
    UpstreamErrorSeen("response_timeout"),
    Send(CreateResponse()),
    StartTimer(Timer.RESPONSE, 10_000),
]


def test_answer_does_not_wait_for_the_lost_end_of_a_cancelled_response() -> None:
    call = speaking(call_policy(greet=False, barge_in=barge_in_policy()))
    call.feed(SoundStarted(0), SoundLasted(0, 500), started(), PlayoutFlushed(()))
    call.feed(SoundStopped(0))
    wanted = call.feed(stopped(), InputCommitted(U2, None))
    assert StartTimer(Timer.RESPONSE, CANCELLED_ENDS_WITHIN_MS) in wanted
    assert not of(Send, wanted)
    asked = call.feed(TimerFired(Timer.RESPONSE), after_ms=CANCELLED_ENDS_WITHIN_MS)
    assert asked[:2] == [UpstreamErrorSeen("response_end_lost"), Send(CreateResponse())]
    assert call.feed(done(R1)) == []  # late, and of nobody


def test_speech_stopped_waits_for_the_answer() -> None:
    call = answered()
    call.feed(AudioAppended(20, 0), AudioAppended(40, 0), started())
    assert call.feed(stopped()) == [
        PhaseChanged(State.LISTENING, State.THINKING, "speech_stopped"),
        StartTimer(Timer.RESPONSE, 10_000),
        StateChanged({"phase": "thinking", "last_user_audio_seq": 2, "last_agent_audio_seq": 0}),
    ]


def test_speech_stopped_repeated_does_nothing() -> None:
    call = answered()
    call.feed(started(), stopped())
    assert call.feed(stopped()) == []
    call.feed(ResponseCreated(R1))
    assert call.feed(stopped()) == []


def test_commit_after_speech_stopped_changes_nothing() -> None:
    call = answered()
    call.feed(started(), stopped())
    assert call.feed(InputCommitted(U1)) == []


def test_commit_alone_takes_the_turn() -> None:
    call = answered()
    effects = call.feed(InputTimedOut(U1, 0, 5_000), InputCommitted(U1))
    assert of(StartTimer, effects) == [StartTimer(Timer.RESPONSE, 10_000)]
    assert call.core.state is State.THINKING


def test_response_created_is_put_down() -> None:
    call = answered()
    call.feed(started(), stopped())
    assert call.feed(ResponseCreated(R1)) == [
        StopTimer(Timer.RESPONSE),
        StateChanged({"response_id": R1}),
    ]


def test_deltas_play() -> None:
    call = thinking()
    for _ in range(2):
        assert call.feed(audio(A1, R1, 20)) == [PlayAudio(A1, 0, bytes(960))]


def test_answer_whose_beginning_was_lost_is_played() -> None:
    call = answered()
    call.feed(started(), stopped())
    assert of(PlayAudio, call.feed(audio(A1, R1))) != []
    call.feed(ResponseCreated(R1), done(R1))
    assert call.feed(audio(A1, R1)) == []


def test_audio_that_nobody_waits_for_is_not_played() -> None:
    assert answered().feed(audio(A1, R1)) == []


def test_delta_alone_is_not_speaking() -> None:
    call = thinking()
    call.feed(audio(A1, R1))
    assert call.core.state is State.THINKING


def test_playout_started_is_speaking() -> None:
    call = thinking()
    call.feed(audio(A1, R1), PlayoutStarted(A1, 0))
    assert call.core.state is State.SPEAKING


def test_delta_of_an_unknown_response_is_dropped() -> None:
    assert thinking().feed(audio(A1, R2)) == []


def test_delta_after_response_done_is_dropped() -> None:
    call = speaking()
    call.feed(done(R1))
    assert call.feed(audio(A1, R1), said(A1, R1, "x")) == []


def test_empty_delta_is_dropped() -> None:
    assert thinking().feed(audio(A1, R1, 0)) == []


def test_response_done_before_the_playout_keeps_speaking() -> None:
    call = speaking()
    call.feed(done(R1))
    assert call.core.state is State.SPEAKING


def test_playout_drained_after_response_done_listens() -> None:
    call = speaking(audio_ms=2_000)
    call.feed(done(R1))
    effects = call.feed(PlayoutDrained())
    assert of(PhaseChanged, effects) == [
        PhaseChanged(State.SPEAKING, State.LISTENING, "playout_drained")
    ]
    assert effects[-1] == StateChanged({"phase": "listening", "played_ms": 2_000})


def test_playout_that_runs_dry_while_the_response_goes_on_is_thinking() -> None:
    call = speaking()
    effects = call.feed(PlayoutDrained(), audio(A1, R1), PlayoutStarted(A1, 0))
    assert of(PhaseChanged, effects) == [
        PhaseChanged(State.SPEAKING, State.THINKING, "playout_paused"),
        PhaseChanged(State.THINKING, State.SPEAKING, "playout_started"),
    ]


def test_response_done_after_the_playout_ran_dry_listens() -> None:
    call = speaking()
    call.feed(PlayoutDrained(), done(R1))
    assert call.core.state is State.LISTENING


def test_playout_drained_repeated_is_refused() -> None:
    call = speaking()
    call.feed(done(R1), PlayoutDrained())
    assert call.feed(PlayoutDrained()) == [TransitionRefused(State.LISTENING, "playout_drained")]


def test_response_without_audio_is_asked_for_again() -> None:
    call = thinking()
    effects = call.feed(done(R1))
    assert [each.failure.code for each in of(AnswerFailed, effects)] == ["no_audio"]
    assert call.core.state is State.THINKING
    assert Send(CreateResponse()) in call.feed(TimerFired(Timer.RETRY))


MADE_WAY = ResponseDone(R1, ResponseStatus.CANCELLED, reason="turn_detected")


def test_response_that_acted_owes_no_sound() -> None:
    find = McpCall(item_id=A1, type="mcp_call", server_label="shop", name="find", arguments="{}")
    call = thinking()
    assert (
        of(AnswerFailed, call.feed(ResponseDone(R1, ResponseStatus.COMPLETED, output=(find,))))
        == []
    )
    assert call.core.state is State.LISTENING


@pytest.mark.parametrize("policy", [SILENT, replace(SILENT, barge_in=barge_in_policy())])
def test_response_that_made_way_for_the_caller_owes_no_sound(policy: CallPolicy) -> None:
    call = thinking(policy)
    call.feed(started(U2))
    assert of(AnswerFailed, call.feed(MADE_WAY)) == []


@pytest.mark.parametrize("policy", [SILENT, replace(SILENT, barge_in=barge_in_policy())])
def test_response_that_made_way_for_nobody_is_asked_for_again(policy: CallPolicy) -> None:
    call = thinking(policy)
    effects = call.feed(MADE_WAY)
    assert [each.failure.code for each in of(AnswerFailed, effects)] == ["cancelled_by_service"]
    assert Send(CreateResponse()) in call.feed(TimerFired(Timer.RETRY))


def test_response_that_was_to_be_text_owes_no_sound() -> None:
    call = CallState(SILENT)
    call.stage = Stage.TALKING
    call.session.responses.running = Response(R1, asked=ResponseConfig(output_audio=False))
    assert of(AnswerFailed, list(on_response_done(call, done(R1), 0))) == []


@pytest.mark.parametrize(("lost", "failed"), [(1, []), (3, ["undecodable_audio"])])
def test_answer_of_which_most_can_not_be_decoded_is_asked_for_again(
    lost: int, failed: list[str]
) -> None:
    call = thinking()
    effects = call.feed(*[AudioLost()] * lost, audio(A1, R1), audio(A1, R1), done(R1))
    assert of(UpstreamErrorSeen, effects) == [UpstreamErrorSeen("audio_undecodable")]
    assert [each.failure.code for each in of(AnswerFailed, effects)] == failed


def test_response_done_repeated_does_nothing() -> None:
    call = thinking()
    call.feed(done(R1))
    assert call.feed(done(R1)) == []


def test_failed_response_is_counted_and_asked_for_again_after_a_wait() -> None:
    call = thinking()
    failed = ResponseDone(R1, ResponseStatus.FAILED, error_code="rate_limit_exceeded")
    effects = call.feed(failed, failed)
    assert [each.failure.code for each in of(AnswerFailed, effects)] == ["rate_limit_exceeded"]
    assert StartTimer(Timer.RETRY, 1_000) in effects
    assert call.core.state is State.THINKING
    assert Send(CreateResponse()) in call.feed(TimerFired(Timer.RETRY))


def test_new_response_replaces_one_whose_end_was_lost() -> None:
    call = speaking()
    call.feed(ResponseCreated(R2))
    assert call.feed(audio(A1, R1)) == []
    assert of(PlayAudio, call.feed(audio(A2, R2))) != []


def test_overdue_answer_is_asked_for_once_more() -> None:
    call = answered()
    call.feed(started(), stopped())
    assert call.feed(TimerFired(Timer.RESPONSE)) == RETRY


def test_answer_overdue_twice_is_a_lost_session() -> None:
    call = answered()
    call.feed(started(), stopped(), TimerFired(Timer.RESPONSE))
    effects = call.feed(TimerFired(Timer.RESPONSE))
    assert effects[0] == UpstreamErrorSeen("response_timeout")
    assert [each.failure.code for each in of(SessionLost, effects)] == ["stalled"]
    assert call.core.state is State.RECOVERING
    assert call.feed(TimerFired(Timer.RESPONSE)) == []


def test_overdue_greeting_is_asked_for_with_its_instructions() -> None:
    call = answered(call_policy(greeting_instructions="Greet."))
    effects = call.feed(TimerFired(Timer.RESPONSE))
    assert Send(CreateResponse(ResponseConfig(instructions="Greet."))) in effects


@pytest.mark.parametrize("code", ["response_cancel_not_active", "unknown_parameter", None])
def test_error_is_counted_and_the_call_goes_on(code: str | None) -> None:
    call = speaking()
    error = ApiError("invalid_request_error", "…", code=code)
    expected = [UpstreamErrorSeen(code or "invalid_request_error")]
    assert call.feed(ErrorReported(error)) == expected
    assert call.core.state is State.SPEAKING


def test_request_that_came_second_is_repeated_when_the_first_is_done() -> None:
    call = thinking()
    code = "conversation_already_has_active_response"
    call.feed(ErrorReported(ApiError("invalid_request_error", "…", code=code)))
    assert Send(CreateResponse()) in call.feed(done(R1))


def test_last_server_event_is_put_down_at_the_next_turn_boundary() -> None:
    call = speaking()
    call.feed(ResponseDone(R1, ResponseStatus.COMPLETED, event_id="event_77"))
    effects = call.feed(PlayoutDrained())
    assert "last_ack_event_id" not in of(StateChanged, effects)[0].fields
    call = speaking()
    event = ResponseDone(R1, ResponseStatus.COMPLETED, event_id="event_77")
    assert of(StateChanged, call.feed(event))[0].fields["last_ack_event_id"] == "event_77"


def test_audio_packets_write_no_state() -> None:
    call = speaking()
    assert of(StateChanged, call.feed(*[audio(A1, R1)] * 50, *[AudioAppended(1, 0)] * 50)) == []
