"""A call that loses its session: what is asked for, what is kept, and how the talk goes on."""

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundStarted, SoundStopped
from bridge.engine.effects import (
    AnswerCall,
    Effect,
    HangUp,
    OpenSession,
    OpenSpare,
    PlayAudio,
    PlayFiller,
    RejectCall,
    Send,
    SendKeptAudio,
    StartTimer,
    StopFiller,
    StopTimer,
    TakeSpare,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallOffered,
    DigitReceived,
    SessionFailed,
    SessionReady,
    SpareFailed,
    SpareReady,
    TimerFired,
    ToolFinished,
)
from bridge.engine.media import AudioAppended
from bridge.engine.news import (
    AnswerFailed,
    CallClosed,
    GaveUp,
    SessionLost,
    SessionRestored,
    UpstreamErrorSeen,
)
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Fault, Outcome, TelephonyError, UpstreamError
from bridge.realtime.commands import CreateItem, CreateResponse, TruncateItem
from bridge.realtime.event_values import ApiError, Phase, ResponseStatus
from bridge.realtime.events import (
    AudioDone,
    ErrorReported,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptFailed,
    McpCallChanged,
    ResponseCreated,
    ResponseDone,
)
from bridge.realtime.ids import ItemId, ResponseId
from bridge.realtime.items import FunctionCall, FunctionCallOutput, Message
from tests.engine.calls import (
    A1,
    A2,
    R1,
    R2,
    T1,
    U1,
    U2,
    Call,
    answered,
    audio,
    done,
    flushed,
    of,
    said,
    said_all,
    speaking,
    started,
    stopped,
    thinking,
    wants_tool,
)
from tests.support.policies import call_policy, recovery_policy, tool_policy

DROPPED = SessionFailed(UpstreamError("gone", code="closed", close_code=1006))
REFUSED = SessionFailed(UpstreamError("no", code="http_503"))
READY = SessionReady("sess_2")


def sent(effects: list[Effect]) -> list[object]:
    return [effect.command for effect in of(Send, effects)]


def state_of(call: Call) -> State:
    return call.core.state


def fails_until_given_up(call: Call) -> list[Effect]:
    effects: list[Effect] = []
    for _ in range(10):
        effects += call.feed(REFUSED, after_ms=2_000)
        if of(GaveUp, effects):
            return effects
    raise AssertionError("never given up")


def test_lost_session_is_opened_again_and_the_call_goes_on() -> None:
    call = answered()
    effects = call.feed(DROPPED)
    assert state_of(call) is State.RECOVERING
    assert len(of(OpenSession, effects)) == 1
    assert of(SessionLost, effects)[0].failure.code == "close_1006"
    assert not of(CallClosed, effects)
    restored = call.feed(READY, after_ms=300)
    assert state_of(call) is State.LISTENING
    assert of(SessionRestored, restored) == [SessionRestored(300)]
    assert sent(restored) == []


def test_failure_that_is_not_the_sessions_ends_the_call() -> None:
    effects = answered().feed(SessionFailed(TelephonyError("PJSIP said no")))
    assert of(CallClosed, effects)[0].reason == "internal"


def ringing() -> Call:
    call = Call()
    call.feed(CallOffered())
    return call


def test_session_lost_while_ringing_is_tried_for_again() -> None:
    call = ringing()
    (order,) = of(OpenSession, call.feed(DROPPED))
    assert order.within_ms is not None
    assert of(CallClosed, call.feed(REFUSED, after_ms=100)) == []
    assert of(AnswerCall, call.feed(READY, after_ms=100)) == [AnswerCall()]


def test_caller_rings_no_longer_than_allowed_and_the_last_failure_is_told() -> None:
    call = ringing()
    call.feed(DROPPED, REFUSED)
    effects = call.feed(TimerFired(Timer.SESSION_READY))
    assert of(RejectCall, effects)[0].sip_code == 503
    assert effects[-1] == CallClosed(Outcome.SESSION_UNAVAILABLE, Fault.PROVIDER, "http_503")


def test_tries_while_ringing_are_bounded() -> None:
    call = ringing()
    effects = [effect for _ in range(10) for effect in call.feed(REFUSED, after_ms=2_000)]
    assert len(of(OpenSession, effects)) == 8  # 15 s
    assert of(CallClosed, effects)[0].reason == "http_503"


def test_permanent_refusal_while_ringing_ends_the_call_at_once() -> None:
    error = UpstreamError("no", code="beta_api_shape_disabled")
    effects = ringing().feed(SessionFailed(error))
    assert of(OpenSession, effects) == []
    assert of(CallClosed, effects)[0].reason == "beta_api_shape_disabled"


def test_session_lost_between_our_answer_and_the_conversation_is_got_back() -> None:
    call = Call(call_policy(greeting_instructions="Greet."))
    call.feed(CallOffered(), SessionReady("sess_1"))
    assert len(of(OpenSession, call.feed(DROPPED))) == 1
    effects = call.feed(CallAnswered())
    assert state_of(call) is State.RECOVERING
    assert sent(effects) == []
    assert StartTimer(Timer.FILLER, 1_200) in effects
    (command,) = sent(call.feed(READY))
    assert isinstance(command, CreateResponse)
    assert command.config.instructions == "Greet."


def test_session_got_back_before_the_conversation_begins_it_as_ever() -> None:
    call = Call(call_policy(greeting_instructions="Greet."))
    call.feed(CallOffered(), SessionReady("sess_1"), DROPPED)
    assert sent(call.feed(READY)) == []
    assert len(sent(call.feed(CallAnswered()))) == 1
    assert state_of(call) is State.THINKING


def test_refusal_between_our_answer_and_the_conversation_hangs_up() -> None:
    call = Call()
    call.feed(CallOffered(), SessionReady("sess_1"))
    error = UpstreamError("no", code="beta_api_shape_disabled")
    effects = call.feed(SessionFailed(error))
    assert of(HangUp, effects) == [HangUp(Outcome.SESSION_LOST)]
    assert of(CallClosed, effects)[0].outcome is Outcome.SESSION_LOST


def test_queued_audio_goes_on_playing_and_is_reported_as_heard() -> None:
    call = speaking()
    call.feed(said_all(A1, R1, "All of it."))
    effects = call.feed(DROPPED)
    assert not any(isinstance(effect, StopFiller) for effect in effects)
    call.feed(PlayoutDrained(), after_ms=2_000)
    assert state_of(call) is State.RECOVERING


def test_restored_call_whose_audio_still_plays_can_be_interrupted_without_a_truncation() -> None:
    call = speaking()
    call.feed(done(R1), DROPPED, READY)
    assert state_of(call) is State.SPEAKING
    effects = call.feed(started(U2), flushed((A1, 500, 2_000)))
    assert [command for command in sent(effects) if isinstance(command, TruncateItem)] == []
    assert state_of(call) is State.LISTENING


def test_talk_is_given_back_and_the_owed_answer_asked_for() -> None:
    call = thinking()
    call.feed(InputCommitted(U1), InputTranscriptCompleted(U1, 0, "Where is it?"), DROPPED)
    effects = call.feed(READY)
    *items, last = sent(effects)
    assert isinstance(last, CreateResponse)
    assert "Where is it?" in str(items)
    kept = next(i for i, effect in enumerate(effects) if isinstance(effect, SendKeptAudio))
    asked = next(
        i
        for i, effect in enumerate(effects)
        if isinstance(effect, Send) and isinstance(effect.command, CreateResponse)
    )
    assert kept < asked
    assert state_of(call) is State.THINKING


def test_speech_in_the_kept_audio_is_answered_by_the_server() -> None:
    call = thinking()
    call.feed(InputCommitted(U1), InputTranscriptCompleted(U1, 0, "Where is it?"), DROPPED)
    effects = call.feed(SessionReady("sess_2", kept_speech=True))
    assert [command for command in sent(effects) if isinstance(command, CreateResponse)] == []
    # Unless it heard nothing in there.
    effects = call.feed(TimerFired(Timer.RESPONSE))
    assert [type(command) for command in sent(effects)] == [CreateResponse]


def test_question_that_was_never_put_into_words_is_sent_again_as_audio() -> None:
    call = thinking()
    call.feed(InputCommitted(U1), DROPPED)
    effects = call.feed(READY)
    assert SendKeptAudio(30_000) in effects
    assert sent(effects) == []  # nothing to tell, and the server answers what it hears
    assert StartTimer(Timer.RESPONSE, 10_000) in effects


def test_question_that_only_the_transcription_did_not_understand_is_sent_again() -> None:
    call = thinking()
    failed = InputTranscriptFailed(U1, 0, ApiError("transcription_error", ""))
    call.feed(InputCommitted(U1), failed, DROPPED)
    effects = call.feed(READY)
    assert SendKeptAudio(30_000) in effects
    assert sent(effects) == []
    assert StartTimer(Timer.RESPONSE, 10_000) in effects


def test_expired_session_is_renewed_with_a_new_token_and_a_summary() -> None:
    call = thinking()
    call.feed(InputCommitted(U1), InputTranscriptCompleted(U1, 0, "Where is it?"))
    error = ErrorReported(ApiError("invalid_request_error", "", code="session_expired"))
    (order,) = of(OpenSession, call.feed(error))
    assert order.new_token
    effects = call.feed(READY)
    note, question, asked = sent(effects)
    assert isinstance(note, CreateItem)
    assert isinstance(note.item, Message)
    assert "in short" in (note.item.parts[0].text or "")
    assert isinstance(question, CreateItem)
    assert "Where is it?" in str(question.item)
    assert asked == CreateResponse()
    assert SendKeptAudio(30_000) in effects


def test_tool_output_of_an_outage_reaches_the_next_session() -> None:
    call = thinking(call_policy(greet=False, tools={"lookup": tool_policy()}))
    call.feed(InputCommitted(U1), InputTranscriptCompleted(U1, 0, "Where is it?"))
    call.feed(wants_tool(T1), done(R1), DROPPED)
    assert sent(call.feed(ToolFinished(T1, "42"))) == []
    commands = sent(call.feed(READY))
    items = [command.item for command in commands if isinstance(command, CreateItem)]
    assert [type(item) for item in items[-2:]] == [FunctionCall, FunctionCallOutput]
    assert isinstance(commands[-1], CreateResponse)


def test_digit_of_an_outage_reaches_the_next_session() -> None:
    call = answered()
    call.feed(DROPPED)
    assert sent(call.feed(DigitReceived("7"))) == []
    commands = sent(call.feed(READY))
    assert "pressed 7" in str(commands)
    assert isinstance(commands[-1], CreateResponse)


def test_events_while_there_is_no_session_change_nothing() -> None:
    call = thinking()
    call.feed(DROPPED)
    assert of(PlayAudio, call.feed(audio(A1, R1))) == []
    assert of(PlayAudio, call.feed(ResponseCreated(R2), audio(A2, R2))) == []
    assert state_of(call) is State.RECOVERING


def test_greeting_that_was_never_said_is_asked_for_as_a_greeting() -> None:
    call = answered(call_policy(greeting_instructions='Say exactly: "Hello."'))
    call.feed(DROPPED)
    (command,) = sent(call.feed(READY))
    assert isinstance(command, CreateResponse)
    assert command.config.instructions == 'Say exactly: "Hello."'


def test_filler_plays_again_until_the_agent_speaks() -> None:
    call = thinking()
    call.feed(InputCommitted(U1))
    (timer,) = [t for t in of(StartTimer, call.feed(DROPPED)) if t.timer is Timer.FILLER]
    assert timer.after_ms <= 1_200
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER))) == [PlayFiller()]
    assert of(PlayFiller, call.feed(PlayoutDrained())) == [PlayFiller()]
    assert of(StopFiller, call.feed(READY)) == []  # an answer is owed: silence would go on
    effects = call.feed(ResponseCreated(R2), audio(A2, R2))
    kinds = [type(effect) for effect in effects]
    assert kinds.index(StopFiller) < kinds.index(PlayAudio)
    call.feed(PlayoutStarted(A2, 0), done(R2))
    assert of(PlayFiller, call.feed(PlayoutDrained())) == []
    assert state_of(call) is State.LISTENING


def test_filler_waits_for_the_end_of_what_plays() -> None:
    call = speaking()
    assert [t for t in of(StartTimer, call.feed(DROPPED)) if t.timer is Timer.FILLER] == []
    effects = call.feed(PlayoutDrained(), after_ms=2_000)
    assert StartTimer(Timer.FILLER, 1_200) in effects


def test_silence_before_the_loss_counts() -> None:
    call = answered()
    call.feed(started(), stopped())
    (timer,) = [
        t for t in of(StartTimer, call.feed(DROPPED, after_ms=900)) if t.timer is Timer.FILLER
    ]
    assert timer.after_ms == 300


def test_filler_ends_where_nothing_is_owed() -> None:
    call = answered()
    call.feed(DROPPED, TimerFired(Timer.FILLER))
    assert of(StopFiller, call.feed(READY)) == [StopFiller()]


def test_over_budget_takes_the_fallback_after_a_tone() -> None:
    call = answered()
    call.feed(DROPPED)
    effects = fails_until_given_up(call)
    assert of(GaveUp, effects) == [GaveUp("too_long", "hang_up")]
    assert of(PlayFiller, effects)[-1] == PlayFiller(pause=False)
    effects = call.feed(PlayoutDrained())
    assert of(HangUp, effects) == [HangUp(Outcome.SESSION_LOST)]
    assert effects[-1] == CallClosed(Outcome.SESSION_LOST, Fault.PROVIDER, "http_503")


def test_fallback_lets_the_agent_end_first() -> None:
    call = speaking()
    call.feed(DROPPED)
    assert of(PlayFiller, fails_until_given_up(call)) == []
    assert of(PlayFiller, call.feed(PlayoutDrained())) == [PlayFiller(pause=False)]
    assert of(CallClosed, call.feed(PlayoutDrained())) != []


def test_fallback_does_not_wait_for_a_playout_that_stands_still() -> None:
    call = answered()
    call.feed(DROPPED)
    fails_until_given_up(call)
    effects = call.feed(TimerFired(Timer.CLOSING))
    assert of(CallClosed, effects)[0].outcome is Outcome.SESSION_LOST


@pytest.mark.parametrize("code", ["beta_api_shape_disabled", "invalid_model"])
def test_permanent_refusal_is_not_tried_again(code: str) -> None:
    effects = answered().feed(ErrorReported(ApiError("invalid_request_error", "", code=code)))
    assert of(OpenSession, effects) == []
    assert of(GaveUp, effects)[0].reason == "refused"


def test_failed_responses_are_bounded() -> None:
    call = thinking()
    call.feed(InputCommitted(U1))
    asked = 0
    for number in range(10):
        response_id = R1 if number == 0 else type(R1)(f"again_{number}")
        if number:
            call.feed(ResponseCreated(response_id))
        failed = ResponseDone(response_id, ResponseStatus.FAILED, error_code="server_error")
        effects = call.feed(failed, after_ms=50)
        if of(GaveUp, effects):
            break
        asked += len(sent(call.feed(TimerFired(Timer.RETRY), after_ms=50)))
    assert asked == 4


def test_caller_who_speaks_ends_the_retry() -> None:
    call = thinking()
    call.feed(InputCommitted(U1))
    call.feed(ResponseDone(R1, ResponseStatus.FAILED, error_code="server_error"))
    call.feed(started(U2))
    assert sent(call.feed(TimerFired(Timer.RETRY))) == []
    assert state_of(call) is State.LISTENING
    # Nor does the time since count against the next answer.
    call.feed(stopped(item_id=U2), ResponseCreated(R2), after_ms=60_000)
    failed = ResponseDone(R2, ResponseStatus.FAILED, error_code="server_error")
    assert of(GaveUp, call.feed(failed)) == []


def test_goodbye_that_plays_ends_the_call_without_a_new_session() -> None:
    call = speaking()
    call.feed(wants_tool(T1, "end_call"))
    assert of(OpenSession, call.feed(DROPPED)) == []
    assert of(CallClosed, call.feed(PlayoutDrained()))[0].reason == "end_call"


def expiring(limit_ms: int = 100_000) -> Call:
    call = Call()
    call.feed(CallOffered(), SessionReady("sess_1", limit_ms), CallAnswered())
    return call


def test_session_near_its_end_is_rolled_over_unheard() -> None:
    call = expiring()
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=85_000)) != []
    effects = call.feed(SpareReady("sess_2", 100_000))
    assert of(TakeSpare, effects) == [TakeSpare()]
    assert of(SessionRestored, effects) == [SessionRestored(0)]
    assert of(PlayFiller, effects) == []
    assert of(SessionLost, effects) == []
    assert state_of(call) is State.LISTENING
    assert StartTimer(Timer.ROLLOVER, 80_000) in effects


def test_rollover_waits_for_a_quiet_moment_but_not_for_ever() -> None:
    call = expiring()
    call.feed(started())
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=85_000)) == []
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=11_000)) != []
    assert of(TakeSpare, call.feed(SpareReady("sess_2"))) != []


def test_spare_stands_by_the_last_moment_and_the_turn_goes_along() -> None:
    call = expiring()
    call.feed(started())
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=85_000)) == []
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=6_000)) != []
    assert of(TakeSpare, call.feed(SpareReady("sess_2"))) == []
    effects = call.feed(TimerFired(Timer.ROLLOVER), after_ms=5_000)
    kinds = [type(effect) for effect in effects]
    assert kinds.index(TakeSpare) < kinds.index(SendKeptAudio)
    assert of(SessionLost, effects) == []


def test_rollover_waits_for_a_sound_of_which_the_service_tells_nothing_yet() -> None:
    call = expiring()
    call.feed(SoundStarted(call.clock.now_ns()))
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=85_000)) == []
    call.feed(SoundStopped(call.clock.now_ns()))
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=250)) != []


def test_spare_is_kept_while_the_caller_speaks() -> None:
    call = expiring()
    call.feed(TimerFired(Timer.ROLLOVER), after_ms=85_000)
    call.feed(started())
    assert of(TakeSpare, call.feed(SpareReady("sess_2"))) == []
    call.feed(stopped(), ResponseCreated(R1), audio(A1, R1), PlayoutStarted(A1, 0), done(R1))
    call.feed(PlayoutDrained())
    assert of(TakeSpare, call.feed(TimerFired(Timer.ROLLOVER))) != []


def test_spare_that_fails_is_tried_again_and_costs_nothing() -> None:
    call = expiring()
    call.feed(TimerFired(Timer.ROLLOVER), after_ms=85_000)
    effects = call.feed(SpareFailed(UpstreamError("no", code="http_503")))
    assert state_of(call) is State.LISTENING
    assert StartTimer(Timer.ROLLOVER, 5_000) in effects
    assert of(OpenSpare, call.feed(TimerFired(Timer.ROLLOVER), after_ms=5_000)) != []


def test_loss_with_a_spare_at_hand_takes_it_at_once() -> None:
    call = expiring()
    call.feed(TimerFired(Timer.ROLLOVER), after_ms=85_000)
    call.feed(started(), SpareReady("sess_2"))
    effects = call.feed(DROPPED)
    assert of(TakeSpare, effects) == [TakeSpare()]
    assert of(OpenSession, effects) == []
    assert state_of(call) is State.LISTENING


WATCHED = call_policy(greet=False, filler_after_ms=1_400, stalled_after_ms=10_000)


def test_slow_answer_is_filled_without_a_loss() -> None:
    call = answered(WATCHED)
    assert StartTimer(Timer.FILLER, 1_400) in call.feed(started(), stopped())
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER))) == [PlayFiller()]
    effects = call.feed(ResponseCreated(R1), audio(A1, R1))
    assert of(StopFiller, effects) == [StopFiller()]


def test_filler_outlasts_an_answer_that_has_no_sound() -> None:
    call = answered(WATCHED)
    call.feed(started(), stopped(), TimerFired(Timer.FILLER), ResponseCreated(R1))
    effects = call.feed(done(R1))
    assert of(StopFiller, effects) == []
    assert of(AnswerFailed, effects)[0].failure.code == "no_audio"
    assert [t.timer for t in of(StartTimer, effects)] == [Timer.RETRY]


def test_answers_without_a_sound_are_spoken_about_in_the_end() -> None:
    call = thinking(WATCHED)
    effects: list[Effect] = []
    for number in range(1, 6):
        effects += call.feed(ResponseCreated(ResponseId(f"resp_{number}")), after_ms=500)
        effects += call.feed(done(ResponseId(f"resp_{number}")), TimerFired(Timer.RETRY))
    assert of(GaveUp, effects) == [GaveUp("too_many", "hang_up")]
    assert len(of(AnswerFailed, effects)) == 5


def test_response_that_stands_still_is_a_lost_session() -> None:
    call = speaking(WATCHED)
    effects = call.feed(PlayoutDrained())
    assert StartTimer(Timer.STALLED, 10_000) in effects
    assert StartTimer(Timer.FILLER, 1_400) in effects
    effects = call.feed(TimerFired(Timer.STALLED))
    assert of(SessionLost, effects)[0].failure.code == "stalled"
    assert state_of(call) is State.RECOVERING


def test_silence_counts_from_the_callers_last_sound() -> None:
    call = answered(WATCHED)
    call.feed(started(), AudioAppended(1_500, call.clock.now_ns()))
    assert StartTimer(Timer.FILLER, 900) in call.feed(stopped(audio_end_ms=1_000))


def test_response_that_brings_nothing_at_all_is_a_lost_session() -> None:
    call = answered(WATCHED)
    call.feed(started(), stopped())
    assert StartTimer(Timer.STALLED, 10_000) in call.feed(ResponseCreated(R1))
    # What can't be heard is something, too.
    assert StartTimer(Timer.STALLED, 10_000) in call.feed(said(A1, R1, "Well"))
    assert of(SessionLost, call.feed(TimerFired(Timer.STALLED))) != []


def test_mcp_call_holds_the_timer() -> None:
    call = thinking(WATCHED)
    begun, over = (McpCallChanged(A1, 0, phase) for phase in (Phase.IN_PROGRESS, Phase.COMPLETED))
    assert StartTimer(Timer.STALLED, 60_000) in call.feed(begun)
    assert StartTimer(Timer.STALLED, 10_000) in call.feed(over)


def test_answer_without_its_end_gives_the_turn_back() -> None:
    call = speaking(WATCHED)
    call.feed(AudioDone(response_id=R1, item_id=A1), PlayoutDrained())
    effects = call.feed(TimerFired(Timer.STALLED))
    assert of(UpstreamErrorSeen, effects) == [UpstreamErrorSeen("response_end_lost")]
    assert of(SessionLost, effects) == []
    assert state_of(call) is State.LISTENING
    assert of(OpenSession, call.feed(DROPPED)) != []
    assert sent(call.feed(READY))[-1:] != [CreateResponse()]  # no answer is owed


def test_response_that_goes_on_is_none() -> None:
    call = speaking(WATCHED)
    call.feed(PlayoutDrained())
    effects = call.feed(audio(A1, R1))
    assert StopTimer(Timer.STALLED) in effects
    assert of(SessionLost, call.feed(TimerFired(Timer.STALLED))) == []


def test_losses_between_answers_are_none_in_a_row() -> None:
    call = answered()
    for number in range(3 * recovery_policy().max_failures):
        response_id = ResponseId(f"resp_of_{number}")
        audio_id = ItemId(f"item_of_{number}")
        effects = call.feed(
            DROPPED,
            SessionReady(f"sess_{number + 2}"),
            ResponseCreated(response_id),
            audio(audio_id, response_id),
            done(response_id),
        )
        assert not of(GaveUp, effects)
