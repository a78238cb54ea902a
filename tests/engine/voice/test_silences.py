"""Silences: the caller who waits, the caller who says nothing, and the end that is told before."""

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.clock import NS_PER_MS
from bridge.engine.effects import (
    Effect,
    FlushPlayout,
    HangUp,
    PlayFiller,
    PlayPhrase,
    Send,
    StartTimer,
    StopTimer,
    TransferCall,
)
from bridge.engine.inputs import (
    CallEnded,
    DigitReceived,
    HoldChanged,
    SessionFailed,
    SessionReady,
    TimerFired,
    TransferCompleted,
    TransferProgressed,
)
from bridge.engine.media import AudioAppended, ProcessStopped
from bridge.engine.news import (
    CallClosed,
    HandoffStarted,
    SilenceMeasured,
    SilencePrompted,
    TurnMeasured,
)
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Fault, Outcome, UpstreamError
from bridge.realtime.commands import CreateItem, CreateResponse
from bridge.realtime.events import InputTranscriptCompleted, ResponseCreated
from bridge.realtime.ids import ItemId
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from tests.engine.calls import (
    A1,
    MS,
    R1,
    U1,
    Call,
    answered,
    audio,
    done,
    flushed,
    of,
    speaking,
    started,
    stopped,
    thinking,
)
from tests.support.policies import (
    barge_in_policy,
    call_policy,
    caller_silence_policy,
    dead_air_policy,
    handoff_target,
    with_agent,
)

QUEUE = "sip:queue@pbx.example"
WAITS = call_policy(
    greet=False,
    dead_air=dead_air_policy("Sorry.", offer="Press zero."),
    handoff={"queue": handoff_target("queue", QUEUE)},
)
SILENT = call_policy(
    greet=False, caller_silence=caller_silence_policy("Still there?", goodbye="Goodbye.")
)
GONE = SessionFailed(UpstreamError("gone", code="closed", close_code=1011))
FILLER = PlayoutStarted(ItemId("bridge_filler"), 0)
SAY_1, SAY_2, SAY_3 = (ItemId(f"bridge_say_{number}") for number in (1, 2, 3))


def said(effects: list[Effect]) -> list[str]:
    return [effect.text for effect in of(PlayPhrase, effects)]


def fire(call: Call, timer: Timer, after_ms: float) -> list[Effect]:
    return call.feed(TimerFired(timer), after_ms=after_ms)


def heard(call: Call, item_id: ItemId, lasts_ms: float = 1_000) -> list[Effect]:
    effects = call.feed(PlayoutStarted(item_id, 0))
    return effects + call.feed(PlayoutDrained(), after_ms=lasts_ms)


# The caller waits


def test_wait_starts_the_timers_of_apology_and_offer() -> None:
    call = answered(WAITS)
    effects = call.feed(started(), stopped())
    assert StartTimer(Timer.APOLOGY, 5_000) in effects
    assert StartTimer(Timer.OFFER, 10_000) in effects


def test_agent_who_is_heard_ends_the_wait() -> None:
    effects = thinking(WAITS).feed(audio(A1, R1))
    assert {StopTimer(Timer.APOLOGY), StopTimer(Timer.OFFER)} <= set(of(StopTimer, effects))


def test_apology_is_said_told_to_the_model_and_does_not_end_the_wait() -> None:
    call = thinking(WAITS)
    effects = fire(call, Timer.APOLOGY, 5_000)
    assert said(effects) == ["Sorry."]
    note = 'The caller was just told, by the phone system: "Sorry."'
    item = Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, note),))
    assert Send(CreateItem(item)) in effects
    assert StopTimer(Timer.OFFER) not in effects + heard(call, SAY_1)


def test_outage_goes_on_with_the_wait_and_the_tone_comes_back_after_the_apology() -> None:
    call = thinking(WAITS)
    effects = call.feed(GONE)
    assert {StopTimer(Timer.APOLOGY), StopTimer(Timer.OFFER)}.isdisjoint(of(StopTimer, effects))
    assert of(PlayFiller, fire(call, Timer.FILLER, 1_200)) == [PlayFiller()]
    assert said(fire(call, Timer.APOLOGY, 3_800)) == ["Sorry."]
    effects = heard(call, SAY_1)
    assert StartTimer(Timer.FILLER, WAITS.recovery.filler_after_ms) in effects
    assert of(PlayFiller, fire(call, Timer.FILLER, 1_200)) == [PlayFiller()]


def test_outage_is_a_wait_though_nobody_owed_anything() -> None:
    call = answered(WAITS)
    effects = call.feed(GONE)
    assert StartTimer(Timer.APOLOGY, 5_000) in effects
    effects = call.feed(SessionReady("sess_2"))
    assert StopTimer(Timer.APOLOGY) in effects


def test_fallback_ends_the_wait() -> None:
    call = thinking(WAITS)
    effects = call.feed(SessionFailed(UpstreamError("no", code="insufficient_quota")))
    assert StopTimer(Timer.APOLOGY) in effects
    assert said(fire(call, Timer.APOLOGY, 5_000)) == []


def test_person_is_offered_and_zero_takes_the_offer() -> None:
    call = thinking(WAITS)
    assert said(fire(call, Timer.OFFER, 10_000)) == ["Press zero."]
    heard(call, SAY_1)
    effects = call.feed(DigitReceived("0"), flushed())
    assert [effect.to for effect in of(TransferCall, effects)] == [QUEUE]
    assert call.core.state is State.HANDOFF


def test_offer_is_cut_by_the_key_that_takes_it() -> None:
    call = thinking(WAITS)
    fire(call, Timer.OFFER, 10_000)
    call.feed(PlayoutStarted(SAY_1, 0))
    effects = call.feed(DigitReceived("0"))
    assert (of(FlushPlayout, effects), of(HandoffStarted, effects)) == ([FlushPlayout()], [])
    assert [effect.to for effect in of(TransferCall, call.feed(flushed()))] == [QUEUE]
    assert call.core.state is State.HANDOFF


def outage_in_which_the_question_is_sent_again(call: Call, lasts_ms: int) -> list[Effect]:
    """Lose the session; the next one hears the caller's last words at once, and their end."""
    asked_ns = call.clock.now_ns()
    call.feed(GONE)
    call.feed(SessionReady("sess_2", kept_speech=True), after_ms=lasts_ms)
    return call.feed(AudioAppended(1_000, asked_ns), started(), stopped())


def timers_of(effects: list[Effect]) -> list[tuple[Timer, int]]:
    waits = (Timer.APOLOGY, Timer.OFFER)
    started_ms = {each.timer: each.after_ms for each in of(StartTimer, effects)}
    return [(timer, round(started_ms[timer], -2)) for timer in waits if timer in started_ms]


def test_question_that_is_sent_to_the_next_session_is_not_waited_for_anew() -> None:
    call = answered(with_agent(WAITS, vad_trailing_silence_ms=0))
    call.feed(AudioAppended(1_000, call.clock.now_ns()), started(), stopped())
    effects = outage_in_which_the_question_is_sent_again(call, 4_000)
    assert timers_of(effects) == [(Timer.APOLOGY, 1_000), (Timer.OFFER, 6_000)]


def test_apology_is_made_once_in_a_wait_however_many_sessions_it_takes() -> None:
    call = answered(with_agent(WAITS, vad_trailing_silence_ms=0))
    call.feed(AudioAppended(1_000, call.clock.now_ns()), started(), stopped())
    fire(call, Timer.APOLOGY, 0)
    effects = outage_in_which_the_question_is_sent_again(call, 6_000)
    assert timers_of(effects) == [(Timer.OFFER, 4_000)]


def test_who_takes_the_offer_has_waited_for_the_provider() -> None:
    call = thinking(WAITS)
    fire(call, Timer.OFFER, 10_000)
    call.feed(DigitReceived("0"), flushed())
    closed = call.feed(TransferProgressed(100), TransferCompleted(200))[-1]
    assert closed == CallClosed(Outcome.TRANSFERRED, Fault.PROVIDER, "dead_air")


def test_nobody_is_offered_where_there_is_nobody() -> None:
    call = thinking(
        call_policy(greet=False, dead_air=dead_air_policy("Sorry.", offer="Press zero."))
    )
    assert said(fire(call, Timer.OFFER, 10_000)) == []


def test_phrase_waits_for_the_end_of_audio_that_still_comes() -> None:
    policy = call_policy(greet=False, max_call_ms=60_000, max_call_warning="Nearly over.")
    call = speaking(policy)
    assert said(fire(call, Timer.MAX_WARNING, 1_000)) == []
    assert said(call.feed(done(R1))) == ["Nearly over."]


# Measured


def test_silence_is_measured_from_the_callers_last_sound_to_the_agents_first() -> None:
    call = thinking()
    effects = call.feed(audio(A1, R1), PlayoutStarted(A1, 0), after_ms=900)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(900, "model")]


def test_filler_ends_a_silence() -> None:
    call = thinking()
    effects = call.feed(FILLER, after_ms=1_400)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(1_400, "model")]
    effects = call.feed(PlayoutDrained(), after_ms=1_200)
    assert of(SilenceMeasured, effects) == []


def test_silence_after_a_filler_begins_with_its_end_not_with_the_callers_last_sound() -> None:
    call = answered()
    call.feed(AudioAppended(1_000, call.clock.now_ns()), started(), stopped())
    [first] = of(SilenceMeasured, call.feed(FILLER, after_ms=1_400))
    call.feed(PlayoutDrained(), after_ms=1_200)
    [second] = of(SilenceMeasured, call.feed(FILLER, after_ms=60))
    assert (first.silence_ms >= 1_400, second.silence_ms) == (True, 60)


def test_silence_in_which_the_caller_hangs_up_is_measured() -> None:
    effects = thinking().feed(CallEnded(by_caller=True, sip_code=200), after_ms=4_000)
    assert effects[0] == SilenceMeasured(4_000, "model")
    assert isinstance(effects[-1], CallClosed)


@pytest.mark.parametrize(("greets", "cause"), [(True, "greeting"), (False, "model")])
def test_first_silence_is_for_the_greeting_only_where_there_is_one(
    greets: bool, cause: str
) -> None:
    call = answered(call_policy(greet=greets))
    call.feed(started(), stopped())
    effects = call.feed(CallEnded(by_caller=True, sip_code=200), after_ms=3_000)
    assert [silence.cause for silence in of(SilenceMeasured, effects)] == [cause]


def test_callers_own_silence_is_not_the_agents() -> None:
    call = speaking()
    call.feed(done(R1), PlayoutDrained())
    assert of(SilenceMeasured, call.feed(started(), after_ms=9_000)) == []


def test_a_hold_is_in_no_silence_and_in_no_answer() -> None:
    call = thinking()
    [before] = of(SilenceMeasured, call.feed(HoldChanged(held=True), after_ms=500))
    call.feed(HoldChanged(held=False), after_ms=9_000)
    effects = call.feed(audio(A1, R1), PlayoutStarted(A1, 0), after_ms=300)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(300, "model")]
    assert before == SilenceMeasured(500, "model")
    assert all(turn.total_ns is None for turn in of(TurnMeasured, effects))


def test_the_apology_waits_its_time_anew_after_a_hold() -> None:
    call = thinking(WAITS)
    call.feed(HoldChanged(held=True), after_ms=500)
    effects = call.feed(HoldChanged(held=False), after_ms=9_000)
    assert StartTimer(Timer.APOLOGY, 5_000) in effects


def test_a_reinvite_that_holds_nothing_leaves_the_answer_timed() -> None:
    call = thinking()
    call.feed(HoldChanged(held=False), after_ms=500)
    effects = call.feed(audio(A1, R1), PlayoutStarted(A1, 0), after_ms=300)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(800, "model")]
    assert [turn.total_ns for turn in of(TurnMeasured, effects)] == [800 * NS_PER_MS]


def test_silence_in_an_outage_is_over_while_the_caller_is_heard() -> None:
    call = speaking()
    call.feed(PlayoutDrained())
    began_ns = call.clock.now_ns() + 1_000 * MS
    call.feed(GONE, after_ms=900)
    effects = call.feed(SoundStarted(began_ns), after_ms=160)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(1_000, "upstream")]
    assert of(SilenceMeasured, call.feed(TimerFired(Timer.FILLER), after_ms=500)) == []
    ended_ns = call.clock.now_ns()
    call.feed(SoundStopped(ended_ns), after_ms=300)
    effects = call.feed(FILLER, after_ms=400)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(700, "upstream")]


@pytest.mark.parametrize("told", [True, False])
def test_silence_after_words_whose_end_the_lost_session_never_told_begins_with_their_end(
    told: bool,
) -> None:
    call = answered()
    call.feed(SoundStarted(call.clock.now_ns()))
    call.feed(*([started()] if told else []), after_ms=900)
    ended_ns = call.clock.now_ns()
    call.feed(SoundStopped(ended_ns), after_ms=300)
    call.feed(GONE, after_ms=100)
    [silence] = of(SilenceMeasured, call.feed(FILLER, after_ms=1_200))
    assert silence == SilenceMeasured(1_600, "upstream")


def test_wait_for_the_apology_counts_from_words_whose_end_the_lost_session_never_told() -> None:
    call = answered(WAITS)
    call.feed(SoundStarted(call.clock.now_ns()), started())
    call.feed(SoundStopped(call.clock.now_ns()), after_ms=300)
    effects = call.feed(GONE, after_ms=100)
    assert timers_of(effects) == [(Timer.APOLOGY, 4_600), (Timer.OFFER, 9_600)]


def test_silence_of_an_outage_leaves_old_words_and_unheard_turns_alone() -> None:
    long_ago, unheard, speaks = answered(), answered(), speaking()
    for call in (long_ago, unheard, speaks):
        call.feed(SoundStarted(call.clock.now_ns()))
        call.feed(SoundStopped(call.clock.now_ns() + 200 * MS), after_ms=500)
    long_ago.feed(GONE, after_ms=5_000)
    [silence] = of(SilenceMeasured, long_ago.feed(FILLER, after_ms=1_200))
    assert silence.silence_ms == 1_200
    unheard.feed(started(), after_ms=5_000)  # of a noise that only the service heard
    unheard.feed(GONE, after_ms=100)
    [silence] = of(SilenceMeasured, unheard.feed(FILLER, after_ms=1_200))
    assert silence.silence_ms == 1_200
    speaks.feed(GONE, PlayoutDrained(), after_ms=100)
    [silence] = of(SilenceMeasured, speaks.feed(FILLER, after_ms=1_200))
    assert silence.silence_ms == 1_200


def test_hold_in_an_outage_is_in_no_silence_though_words_were_left_open() -> None:
    call = answered(WAITS)
    call.feed(SoundStarted(call.clock.now_ns()), started())
    call.feed(SoundStopped(call.clock.now_ns()), after_ms=300)
    call.feed(HoldChanged(held=True), after_ms=200)
    call.feed(GONE, after_ms=300)
    effects = call.feed(HoldChanged(held=False), after_ms=9_000)
    assert timers_of(effects) == [(Timer.APOLOGY, 5_000), (Timer.OFFER, 10_000)]
    [silence] = of(SilenceMeasured, call.feed(FILLER, after_ms=1_200))
    assert silence == SilenceMeasured(1_200, "upstream")


def test_silence_is_over_when_the_caller_begins_not_when_the_service_says_so() -> None:
    call = speaking()
    call.feed(PlayoutDrained())
    began_ns = call.clock.now_ns() + 800 * MS
    assert of(SilenceMeasured, call.feed(SoundStarted(began_ns), after_ms=860)) == []
    effects = call.feed(started(), after_ms=240)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(800, "model")]


def test_silence_after_a_turn_that_cut_the_agent_is_measured_before_its_commit() -> None:
    call = speaking(call_policy(greet=False, barge_in=barge_in_policy(), filler_after_ms=1_500))
    call.feed(SoundStarted(call.clock.now_ns()), SoundLasted(call.clock.now_ns(), 460))
    call.feed(flushed((A1, 500, 2_000)), done(R1), started())
    call.feed(SoundStopped(call.clock.now_ns()), stopped())
    [silence] = of(SilenceMeasured, call.feed(FILLER, after_ms=1_500))
    assert (silence.silence_ms >= 1_500, silence.cause) == (True, "model")


# The caller says nothing


def test_silent_caller_is_asked_twice_and_then_left() -> None:
    call = answered(SILENT)
    for item_id in (SAY_1, SAY_2):
        effects = fire(call, Timer.CALLER_SILENT, 8_000)
        assert said(effects) == ["Still there?"]
        effects = heard(call, item_id)
    assert StartTimer(Timer.CALLER_SILENT, 25_000 - 18_000) in effects
    effects = fire(call, Timer.CALLER_SILENT, 7_000)
    assert (said(effects), of(SilencePrompted, effects)) == (
        ["Goodbye."],
        [SilencePrompted("close")],
    )
    effects = heard(call, SAY_3)
    assert HangUp() in effects
    closed = effects[-1]
    assert isinstance(closed, CallClosed)
    assert closed.reason == "caller_silent"


def test_caller_who_speaks_begins_a_silence_anew() -> None:
    call = answered(SILENT)
    fire(call, Timer.CALLER_SILENT, 8_000)
    heard(call, SAY_1)
    call.feed(started(), stopped(), ResponseCreated(R1))
    call.feed(InputTranscriptCompleted(U1, 0, "Yes."), audio(A1, R1), done(R1))
    effects = heard(call, A1)
    assert StartTimer(Timer.CALLER_SILENT, 8_000) in effects
    assert said(fire(call, Timer.CALLER_SILENT, 8_000)) == ["Still there?"]


def test_caller_who_speaks_over_the_goodbye_is_kept() -> None:
    policy = call_policy(
        greet=False,
        caller_silence=caller_silence_policy("Hello?", reprompts=0, goodbye="Goodbye."),
    )
    call = answered(policy)
    assert said(fire(call, Timer.CALLER_SILENT, 25_000)) == ["Goodbye."]
    call.feed(PlayoutStarted(SAY_1, 0))
    effects = call.feed(started())
    assert FlushPlayout() in effects
    assert StopTimer(Timer.CLOSING) in effects
    call.feed(flushed(), stopped())
    assert not call.core.closed


def test_model_asks_where_there_are_no_words() -> None:
    call = answered(call_policy(greet=False, caller_silence=caller_silence_policy()))
    (ask,) = of(Send, fire(call, Timer.CALLER_SILENT, 8_000))
    assert isinstance(ask.command, CreateResponse)
    assert "still there" in (ask.command.config.instructions or "")


def test_call_on_hold_is_not_a_silent_caller() -> None:
    call = answered(SILENT)
    assert StopTimer(Timer.CALLER_SILENT) in call.feed(HoldChanged(held=True))
    assert said(fire(call, Timer.CALLER_CAP, 120_000)) == []
    assert StartTimer(Timer.CALLER_SILENT, 8_000) in call.feed(HoldChanged(held=False))


def test_caller_without_a_word_is_left_though_turn_detection_hears_speech() -> None:
    policy = call_policy(
        greet=False,
        caller_silence=caller_silence_policy("Hello?", goodbye="Goodbye."),
        barge_in=barge_in_policy(transcribed=True),
    )
    call = answered(policy)
    effects = call.feed(started())  # and no end of it
    assert StopTimer(Timer.CALLER_SILENT) in effects
    effects = fire(call, Timer.CALLER_CAP, 120_000)
    assert (said(effects), of(SilencePrompted, effects)) == (["Goodbye."], [SilencePrompted("cap")])


def test_words_push_the_cap_out() -> None:
    effects = answered(SILENT).feed(InputTranscriptCompleted(U1, 0, "Hello."))
    assert StartTimer(Timer.CALLER_CAP, 120_000) in effects


# The longest call


def test_end_of_the_longest_call_is_told_before() -> None:
    policy = call_policy(greet=False, max_call_ms=60_000, max_call_warning="Nearly over.")
    call = Call(policy)
    call = answered(policy)
    assert said(fire(call, Timer.MAX_WARNING, 30_000)) == ["Nearly over."]
    heard(call, SAY_1)
    assert call.core.state is State.LISTENING
    assert fire(call, Timer.MAX_DURATION, 30_000)[0] == HangUp(Outcome.MAX_DURATION)


def test_a_process_that_stood_still_was_silent_whoever_had_the_floor() -> None:
    for call in (speaking(), answered(SILENT)):
        effects = call.feed(ProcessStopped(5_000))
        assert of(SilenceMeasured, effects) == [SilenceMeasured(5_000, "bridge")]


def test_a_stop_within_a_silence_is_measured_with_it() -> None:
    call = thinking()
    assert of(SilenceMeasured, call.feed(ProcessStopped(3_000), after_ms=4_000)) == []
    effects = call.feed(audio(A1, R1), PlayoutStarted(A1, 0), after_ms=900)
    assert of(SilenceMeasured, effects) == [SilenceMeasured(4_900, "bridge")]


def test_a_caller_on_hold_misses_nothing_of_a_stop() -> None:
    call = speaking()
    call.feed(HoldChanged(True))
    assert of(SilenceMeasured, call.feed(ProcessStopped(5_000))) == []
