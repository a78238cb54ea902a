"""From INVITE to the end: who answers when, and how each end is told."""

import pytest

from bridge.engine.core import CallPolicy
from bridge.engine.effects import (
    AnswerCall,
    CloseSession,
    Effect,
    FlushPlayout,
    HangUp,
    OpenSession,
    RejectCall,
    RingCall,
    Send,
    StartTimer,
    StopTimer,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    HoldChanged,
    SessionFailed,
    SessionReady,
    ShutdownRequested,
    TimerFired,
)
from bridge.engine.media import AudioStopped
from bridge.engine.news import (
    CallClosed,
    PhaseChanged,
    SessionLost,
    SilenceMeasured,
    StateChanged,
    TransitionRefused,
)
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import (
    BridgeError,
    ConfigError,
    Fault,
    InfrastructureError,
    Outcome,
    UpstreamError,
)
from bridge.realtime.commands import CreateResponse
from bridge.realtime.event_values import ApiError
from bridge.realtime.events import ConversationCreated, ErrorReported, ResponseCreated
from bridge.realtime.session_config import ResponseConfig
from tests.engine.calls import R1, R2, SILENT, Call, answered, of, speaking, started, stopped
from tests.support.policies import call_policy

REFUSED = UpstreamError("the endpoint refused the connection", code="refused")
ENDED = StateChanged({"phase": "ended"})


def ringing(policy: CallPolicy = SILENT) -> Call:
    call = Call(policy)
    call.feed(CallOffered())
    return call


def ends(old: State) -> list[Effect]:
    return [PhaseChanged(old, State.ENDED, "closed"), ENDED]


def test_offer_rings_and_opens_the_session() -> None:
    assert Call(call_policy(session_ready_ms=3_000)).feed(CallOffered()) == [
        RingCall(),
        OpenSession(within_ms=3_000),
        StartTimer(Timer.SESSION_READY, 3_000),
    ]


def test_offer_repeated_does_nothing() -> None:
    assert ringing().feed(CallOffered()) == []


def test_session_ready_answers() -> None:
    assert ringing().feed(SessionReady("sess_1")) == [
        StopTimer(Timer.SESSION_READY),
        AnswerCall(),
        StateChanged({"session_id": "sess_1"}),
    ]


def test_session_ready_repeated_answers_once() -> None:
    call = ringing()
    call.feed(SessionReady("sess_1"))
    assert call.feed(SessionReady("sess_1")) == []


def test_session_late_gives_503_and_a_reason() -> None:
    assert ringing().feed(TimerFired(Timer.SESSION_READY)) == [
        RejectCall(503, "Service Unavailable"),
        CloseSession(),
        *ends(State.IDLE),
        CallClosed(Outcome.SESSION_UNAVAILABLE, Fault.PROVIDER, "timeout"),
    ]


@pytest.mark.parametrize(
    ("error", "fault", "reason"),
    [
        (ConfigError("no model"), Fault.CONFIG, "config_error"),
        (InfrastructureError("no socket"), Fault.BRIDGE, "internal"),
        # As `realtime/failures.py` has them: what a person must mend is no fault of the service.
        (UpstreamError("forbidden", code="http_403"), Fault.CONFIG, "http_403"),
        (UpstreamError("not here", code="http_404"), Fault.CONFIG, "http_404"),
        (UpstreamError("no such model", code="invalid_model"), Fault.CONFIG, "invalid_model"),
        (UpstreamError("bad certificate", code="tls"), Fault.CONFIG, "tls"),
    ],
)
def test_session_failed_before_answer_gives_503(
    error: BridgeError, fault: Fault, reason: str
) -> None:
    effects = ringing().feed(SessionFailed(error, key_is_fresh=True))
    assert [each for each in effects if not isinstance(each, SessionLost)] == [
        RejectCall(503, "Service Unavailable"),
        CloseSession(),
        StopTimer(Timer.SESSION_READY),
        *ends(State.IDLE),
        CallClosed(Outcome.SESSION_UNAVAILABLE, fault, reason),
    ]


def test_session_refused_by_an_event_before_the_answer_is_classed_as_the_table_has_it() -> None:
    call = ringing()
    refused = ErrorReported(ApiError("invalid_request_error", "no", code="invalid_model"))
    (closed,) = of(CallClosed, call.feed(refused))
    assert closed == CallClosed(Outcome.SESSION_UNAVAILABLE, Fault.CONFIG, "invalid_model")


def test_session_failed_after_our_200_sends_bye_not_503() -> None:
    call = ringing()
    call.feed(SessionReady("sess_1"))
    gone = UpstreamError("gone", code="invalid_model")
    assert call.feed(SessionFailed(gone))[-5:] == [
        HangUp(Outcome.SESSION_LOST),
        CloseSession(),
        *ends(State.IDLE),
        CallClosed(Outcome.SESSION_LOST, Fault.CONFIG, "invalid_model"),
    ]


def test_answered_without_greeting_listens() -> None:
    call = ringing()
    call.feed(SessionReady("sess_1"))
    assert call.feed(CallAnswered()) == [
        PhaseChanged(State.IDLE, State.LISTENING, "answered"),
        StateChanged({"phase": "listening"}),
    ]


def test_answered_with_greeting_asks_for_it() -> None:
    call = ringing(call_policy(max_call_ms=60_000, greeting_instructions="Greet the caller."))
    call.feed(SessionReady("sess_1"))
    assert call.feed(CallAnswered()) == [
        PhaseChanged(State.IDLE, State.LISTENING, "answered"),
        StartTimer(Timer.MAX_DURATION, 60_000),
        Send(CreateResponse(ResponseConfig(instructions="Greet the caller."))),
        StartTimer(Timer.RESPONSE, 10_000),
        PhaseChanged(State.LISTENING, State.THINKING, "response_requested"),
        StateChanged({"phase": "thinking"}),
    ]


def test_answered_before_the_session_is_ready_is_refused() -> None:
    call = ringing()
    assert call.feed(CallAnswered()) == [TransitionRefused(State.IDLE, "answered")]
    assert call.core.state is State.IDLE


def test_answered_repeated_is_refused() -> None:
    call = answered(call_policy())
    assert call.feed(CallAnswered()) == [TransitionRefused(State.THINKING, "answered")]


def test_speech_before_the_answer_is_refused() -> None:
    call = ringing()
    assert call.feed(started()) == [TransitionRefused(State.IDLE, "speech_started")]
    assert call.core.state is State.IDLE


def test_caller_cancels_before_answer() -> None:
    assert ringing().feed(CallEnded(by_caller=True, sip_code=487)) == [
        CloseSession(),
        StopTimer(Timer.SESSION_READY),
        *ends(State.IDLE),
        CallClosed(Outcome.CANCELLED, Fault.CALLER, "cancelled"),
    ]


def test_caller_hangs_up() -> None:
    call = answered(call_policy(greet=False, max_call_ms=60_000))
    assert call.feed(CallEnded(by_caller=True, sip_code=200)) == [
        CloseSession(),
        StopTimer(Timer.MAX_DURATION),
        PhaseChanged(State.LISTENING, State.ENDED, "closed"),
        StateChanged({"last_user_audio_seq": 0, "last_agent_audio_seq": 0, "phase": "ended"}),
        CallClosed(Outcome.COMPLETED, Fault.NONE, "caller_hung_up"),
    ]


@pytest.mark.parametrize(
    ("sip_code", "closed"),
    [
        (200, CallClosed(Outcome.COMPLETED, Fault.NONE, "hung_up_here")),
        (408, CallClosed(Outcome.MEDIA_FAILED, Fault.CARRIER, "sip_408")),
    ],
)
def test_dialog_that_ends_on_our_side(sip_code: int, closed: CallClosed) -> None:
    assert answered().feed(CallEnded(by_caller=False, sip_code=sip_code))[-1] == closed


@pytest.mark.parametrize("by_caller", [True, False])
def test_caller_who_vanishes_has_an_outcome_of_their_own(by_caller: bool) -> None:
    effects = answered().feed(CallEnded(by_caller, sip_code=408, lost="no_media"))
    assert effects[-1] == CallClosed(Outcome.CALLER_LOST, Fault.CARRIER, "no_media")


def test_max_duration_hangs_up() -> None:
    call = answered(call_policy(greet=False, max_call_ms=60_000))
    effects = call.feed(TimerFired(Timer.MAX_DURATION))
    assert effects[:2] == [HangUp(Outcome.MAX_DURATION), CloseSession()]
    assert effects[-1] == CallClosed(Outcome.MAX_DURATION, Fault.NONE, "max_duration")


def test_shutdown_before_answer_refuses() -> None:
    effects = ringing().feed(ShutdownRequested())
    assert effects[:2] == [RejectCall(503, "Service Unavailable"), CloseSession()]
    assert effects[-1] == CallClosed(Outcome.SHUTDOWN, Fault.NONE, "shutdown")


def test_shutdown_in_the_call_silences_and_hangs_up() -> None:
    effects = speaking().feed(ShutdownRequested())
    assert effects[:3] == [FlushPlayout(), HangUp(Outcome.SHUTDOWN), CloseSession()]
    assert effects[-1] == CallClosed(Outcome.SHUTDOWN, Fault.NONE, "shutdown")


def test_audio_that_stands_still_for_good_ends_the_call_and_is_in_its_silence() -> None:
    effects = speaking().feed(AudioStopped(9_000))
    assert effects[0] == SilenceMeasured(9_000, "bridge")
    assert HangUp(Outcome.MEDIA_FAILED) in effects
    assert effects[-1] == CallClosed(Outcome.MEDIA_FAILED, Fault.BRIDGE, "audio_stopped")


def test_nothing_comes_after_the_end() -> None:
    call = answered()
    call.feed(CallEnded(by_caller=True, sip_code=200))
    assert call.feed(CallEnded(by_caller=True, sip_code=200), started(), ShutdownRequested()) == []
    assert call.core.closed


def test_timer_that_was_stopped_is_stale() -> None:
    call = ringing()
    call.feed(SessionReady("sess_1"))
    assert call.feed(TimerFired(Timer.SESSION_READY)) == []


def test_hold_shows_in_the_phase_until_resumed() -> None:
    call = answered()
    assert call.feed(HoldChanged(held=True)) == [StateChanged({"phase": "held"})]
    assert call.feed(HoldChanged(held=True)) == []
    assert call.feed(HoldChanged(held=False)) == [StateChanged({"phase": "listening"})]


def test_response_tells_the_conversation_until_the_session_is_lost() -> None:
    call = answered()
    named = call.feed(started(), stopped(), ResponseCreated(R1, conversation_id="conv_1"))
    assert "conv_1" in [each.fields.get("conversation_id") for each in of(StateChanged, named)]
    lost = call.feed(SessionFailed(UpstreamError("gone", code="closed", close_code=1006)))
    assert [each.fields.get("conversation_id") for each in of(StateChanged, lost)] == [""]


def test_response_beside_the_conversation_tells_none() -> None:
    call = answered()
    call.feed(ConversationCreated("conv_1"))
    effects = call.feed(started(), stopped(), ResponseCreated(R2))
    assert not [each for each in of(StateChanged, effects) if "conversation_id" in each.fields]


def test_conversation_id_is_put_down() -> None:
    assert answered().feed(ConversationCreated("conv_1")) == [
        StateChanged({"conversation_id": "conv_1"})
    ]
