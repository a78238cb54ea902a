"""Consent: what opens when, who refuses, who says nothing; and words of an emergency."""

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted
from bridge.engine.core import CallPolicy
from bridge.engine.effects import (
    CloseSession,
    Effect,
    FlushPlayout,
    HangUp,
    PauseRecording,
    PauseUplink,
    PlayAudio,
    PlayPhrase,
    RecordingHold,
    ResumeRecording,
    ResumeUplink,
    Send,
    StartTimer,
    StopTimer,
    UplinkHold,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    DigitReceived,
    HoldChanged,
    PersonAnswered,
    PersonLeft,
    SessionFailed,
    SessionReady,
    TimerFired,
    TransferFailed,
)
from bridge.engine.news import (
    CallClosed,
    ConsentSettled,
    DisclosureSpoken,
    EmergencyHeard,
    HandoffStarted,
    TurnMeasured,
)
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Fault, Outcome, UpstreamError
from bridge.realtime.commands import CancelResponse, CreateResponse
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import InputCommitted, InputTranscriptCompleted, ResponseCreated
from bridge.realtime.ids import ItemId
from bridge.routing.consent import ConsentPolicy
from bridge.routing.wording import WordList
from tests.engine.calls import (
    A1,
    A2,
    MS,
    R1,
    R2,
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
)
from tests.support.policies import (
    barge_in_policy,
    call_policy,
    caller_silence_policy,
    consent_policy,
    emergency_policy,
    fallback_policy,
    handoff_target,
)

TOLD, ASKED, REFUSED, NOBODY = "An AI listens.", "Press 1 or 2.", "All right.", "Nobody is here."
QUEUE = "sip:queue@pbx.example"
SAY_1, SAY_2, SAY_3 = (ItemId(f"bridge_say_{number}") for number in (1, 2, 3))
HANGS_ON = {"handoff": {"queue": handoff_target("queue", QUEUE, refer=False)}}
OPENED = [ResumeUplink(UplinkHold.CONSENT)]


def policy(consent: ConsentPolicy, **more: object) -> CallPolicy:
    return call_policy(consent=consent, barge_in=barge_in_policy(), **HANGS_ON, **more)


NOTICE = policy(consent_policy(TOLD, "v1", notice=True))
ASKS = policy(
    consent_policy(
        TOLD,
        "v1",
        question=ASKED,
        refused=REFUSED,
        nobody=NOBODY,
        yes=WordList(["yes", "i agree"]),
        no=WordList(["no"]),
    )
)


def said(effects: list[Effect]) -> list[str]:
    return [effect.text for effect in of(PlayPhrase, effects)]


def commands(effects: list[Effect]) -> list[object]:
    return [effect.command for effect in of(Send, effects)]


def asks_for_answer(effects: list[Effect]) -> bool:
    return any(isinstance(command, CreateResponse) for command in commands(effects))


def words(text: str) -> InputTranscriptCompleted:
    return InputTranscriptCompleted(U1, 0, text)


def asked(of_policy: CallPolicy = ASKS) -> Call:
    """The disclosure was heard, and the question."""
    call = answered(of_policy)
    call.feed(PlayoutStarted(SAY_1, 0))
    call.feed(PlayoutStarted(SAY_2, 0), after_ms=3_000)
    call.feed(PlayoutDrained(), after_ms=2_000)
    return call


# Before anything was agreed to


def test_audio_and_recording_are_held_before_there_is_a_call() -> None:
    effects = Call(NOTICE).feed(CallOffered())
    held = [PauseUplink(UplinkHold.CONSENT), PauseRecording(RecordingHold.CONSENT)]
    assert effects[:2] == held


def test_what_the_dialplan_does_not_hold_is_not_held() -> None:
    free = consent_policy(TOLD, before_audio=False, hold_recording=False)
    call = Call(policy(free))
    effects = call.feed(CallOffered(), SessionReady("s"), CallAnswered(), PlayoutStarted(SAY_1, 0))
    effects += call.feed(PlayoutDrained())
    assert of(DisclosureSpoken, effects)
    assert not of(PauseUplink, effects) + of(PauseRecording, effects)
    assert not of(ResumeUplink, effects) + of(ResumeRecording, effects)


def test_disclosure_is_said_at_once_and_measured_as_the_greeting() -> None:
    call = Call(NOTICE)
    call.feed(CallOffered(), SessionReady("sess_1"))
    assert said(call.feed(CallAnswered())) == [TOLD]
    effects = call.feed(PlayoutStarted(SAY_1, 0), after_ms=40)
    assert [each.greeting_ns for each in of(TurnMeasured, effects)] == [40 * MS]


def test_disclosure_is_said_without_a_session() -> None:
    call = Call(NOTICE)
    lost = SessionFailed(UpstreamError("gone", code="timeout"))
    call.feed(CallOffered(), SessionReady("sess_1"), lost)
    assert said(call.feed(CallAnswered())) == [TOLD]
    call.feed(PlayoutStarted(SAY_1, 0))
    assert of(ResumeUplink, call.feed(PlayoutDrained(), after_ms=3_000)) == OPENED


def test_notice_opens_everything_when_it_was_heard_to_its_end_not_before() -> None:
    call = answered(NOTICE)
    effects = call.feed(PlayoutStarted(SAY_1, 0))
    assert not of(ResumeUplink, effects)
    effects = call.feed(PlayoutDrained(), after_ms=3_000)
    assert of(DisclosureSpoken, effects) == [DisclosureSpoken("v1")]
    assert of(ConsentSettled, effects) == [ConsentSettled(True, "notice", "v1")]
    assert of(ResumeUplink, effects) == OPENED
    assert of(ResumeRecording, effects) == [ResumeRecording(RecordingHold.CONSENT)]


def test_greeting_is_made_meanwhile_and_its_first_sound_is_the_disclosures_end() -> None:
    call = Call(NOTICE)
    assert asks_for_answer(call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered()))
    effects = call.feed(PlayoutStarted(SAY_1, 0), ResponseCreated(R1), audio(A1, R1))
    assert of(PlayAudio, effects)
    assert not of(ResumeUplink, effects)
    assert of(ResumeUplink, call.feed(PlayoutStarted(A1, 0), after_ms=3_000)) == OPENED


def test_drained_playout_before_the_disclosure_sounds_opens_nothing() -> None:
    assert not of(ResumeUplink, answered(NOTICE).feed(PlayoutDrained()))


def test_caller_does_not_cut_the_disclosure() -> None:
    call = answered(NOTICE)
    call.feed(PlayoutStarted(SAY_1, 0))
    effects = call.feed(SoundStarted(0), SoundLasted(0, 5_000), after_ms=1_000)
    assert not of(FlushPlayout, effects)


def test_caller_does_not_cut_it_where_the_service_decides_either() -> None:
    with_greeting = consent_policy(TOLD, before_audio=False)
    call = answered(call_policy(greet=False, consent=with_greeting))
    call.feed(PlayoutStarted(SAY_1, 0))
    assert not of(FlushPlayout, call.feed(started()))


def test_cut_disclosure_is_said_again_before_anything_opens() -> None:
    emergency = emergency_policy(WordList(["fire"]), "Hang up.")
    free = consent_policy(TOLD, "v1", before_audio=False)
    call = answered(policy(free, emergency=emergency, greet=False))
    call.feed(PlayoutStarted(SAY_1, 0))
    effects = call.feed(words("fire"), flushed())
    assert said(effects) == ["Hang up.", TOLD]
    effects = call.feed(PlayoutStarted(SAY_2, 0))
    assert not of(DisclosureSpoken, effects)
    call.feed(PlayoutStarted(SAY_3, 0), after_ms=1_000)
    assert of(DisclosureSpoken, call.feed(PlayoutDrained(), after_ms=3_000))


def test_disclosure_that_can_not_be_said_is_refused_for_the_caller() -> None:
    call = Call(policy(consent_policy(None, "v1", refused=REFUSED)))
    effects = call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    assert of(ConsentSettled, effects) == [ConsentSettled(False, "not_spoken", "v1")]
    assert of(CloseSession, effects)
    assert not of(ResumeUplink, effects)
    assert said(effects) == [REFUSED]


def test_nobody_is_promised_where_there_is_nobody() -> None:
    call = Call(call_policy(consent=consent_policy(None, refused=REFUSED, nobody=NOBODY)))
    effects = call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    assert said(effects) == [NOBODY]
    call.feed(PlayoutStarted(SAY_1, 0))
    assert of(HangUp, call.feed(PlayoutDrained(), after_ms=3_000))


def test_fallback_of_a_call_that_was_never_told_opens_nothing() -> None:
    answers = fallback_policy("Sorry.", answers=True)
    call = Call(policy(consent_policy(TOLD), fallback=answers))
    refused = SessionFailed(UpstreamError("no", code="beta_api_shape_disabled"))
    effects = call.feed(CallOffered(), refused, CallAnswered(), PlayoutStarted(SAY_1, 0))
    assert said(effects) == ["Sorry."]
    assert not of(ResumeUplink, effects) + of(DisclosureSpoken, effects)


# The answer


def test_agent_waits_for_the_answer() -> None:
    call = Call(ASKS)
    effects = call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered())
    assert said(effects) == [TOLD, ASKED]
    assert not asks_for_answer(effects)
    effects = call.feed(PlayoutStarted(SAY_1, 0))
    effects += call.feed(PlayoutStarted(SAY_2, 0), after_ms=3_000)
    assert of(DisclosureSpoken, effects) == [DisclosureSpoken("v1")]
    assert not of(ResumeUplink, effects)
    effects = call.feed(PlayoutDrained(), after_ms=2_000)
    assert StartTimer(Timer.CONSENT, 8_000) in effects
    assert not asks_for_answer(effects)


def test_agree_key_opens_everything_and_the_agent_greets() -> None:
    effects = asked().feed(DigitReceived("1"))
    assert of(ConsentSettled, effects) == [ConsentSettled(True, "key", "v1")]
    assert of(ResumeUplink, effects) == OPENED
    assert of(ResumeRecording, effects)
    assert StopTimer(Timer.CONSENT) in effects
    assert asks_for_answer(effects)


def test_key_cuts_the_question() -> None:
    call = answered(ASKS)
    call.feed(PlayoutStarted(SAY_1, 0))
    call.feed(PlayoutStarted(SAY_2, 0), after_ms=3_000)
    effects = call.feed(DigitReceived("1"), flushed())
    assert of(FlushPlayout, effects)
    assert asks_for_answer(effects)
    call.feed(ResponseCreated(R1), audio(A1, R1), PlayoutStarted(A1, 0))
    assert call.core.state is State.SPEAKING


def test_agree_key_before_the_disclosures_end_is_no_consent() -> None:
    call = answered(ASKS)
    effects = call.feed(PlayoutStarted(SAY_1, 0), DigitReceived("1"))
    assert not of(ConsentSettled, effects)
    assert commands(call.feed(DigitReceived("7"))) == []  # nor anything for the model


@pytest.mark.parametrize("key", ["2", "0"])
def test_refuse_key_sends_the_agent_away_and_the_caller_to_a_person(key: str) -> None:
    call = answered(ASKS)
    call.feed(PlayoutStarted(SAY_1, 0))
    effects = call.feed(DigitReceived(key), flushed())
    assert of(ConsentSettled, effects) == [ConsentSettled(False, "key", "v1")]
    assert of(CloseSession, effects)
    assert of(FlushPlayout, effects)
    assert said(effects) == [REFUSED]
    call.feed(PlayoutStarted(SAY_3, 0))
    effects = call.feed(PlayoutDrained(), after_ms=1_000)
    assert [each.to for each in of(HandoffStarted, effects)] == [QUEUE]
    effects = call.feed(PersonAnswered(), after_ms=1_000)
    assert not of(ResumeUplink, effects) + of(ResumeRecording, effects)
    closed = of(CallClosed, call.feed(PersonLeft(200), after_ms=9_000))
    assert closed == [CallClosed(Outcome.TRANSFERRED, Fault.NONE, "consent_refused")]


def test_who_refuses_and_reaches_nobody_hears_so_before_our_bye() -> None:
    call = asked()
    call.feed(DigitReceived("2"), flushed())
    call.feed(PlayoutStarted(SAY_3, 0))
    call.feed(PlayoutDrained(), after_ms=1_000)
    effects = call.feed(PersonLeft(486), after_ms=1_000)
    assert said(effects) == [NOBODY]
    assert not of(HangUp, effects)
    call.feed(PlayoutStarted(ItemId("bridge_say_4"), 0))
    effects = call.feed(PlayoutDrained(), after_ms=3_000)
    closed = CallClosed(Outcome.COMPLETED, Fault.NONE, "consent_refused")
    assert (of(HangUp, effects), of(CallClosed, effects)) == ([HangUp()], [closed])


def test_who_refuses_is_not_given_back_to_the_agent() -> None:
    back = handoff_target("queue", QUEUE, refer=False, hand_back=True, before="Wait.")
    call = Call(call_policy(consent=ASKS.consent, handoff={"queue": back}))
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered(), DigitReceived("2"), flushed())
    call.feed(PlayoutStarted(SAY_3, 0))
    assert said(call.feed(PlayoutDrained())) == []  # "Wait." was said in other words
    call.feed(PersonAnswered())
    assert of(CallClosed, call.feed(PersonLeft(200)))


def test_silence_is_asked_again_and_then_refuses() -> None:
    call = asked()
    assert said(call.feed(TimerFired(Timer.CONSENT), after_ms=8_000)) == [ASKED]
    call.feed(PlayoutStarted(SAY_3, 0))
    call.feed(PlayoutDrained(), after_ms=2_000)
    effects = call.feed(TimerFired(Timer.CONSENT), after_ms=8_000)
    assert of(ConsentSettled, effects) == [ConsentSettled(False, "silence", "v1")]
    assert said(effects) == [REFUSED]


def test_silence_agrees_where_the_dialplan_says_so() -> None:
    call = asked(policy(consent_policy(TOLD, question=ASKED, questions=1, silence_agrees=True)))
    effects = call.feed(TimerFired(Timer.CONSENT), after_ms=8_000)
    assert of(ConsentSettled, effects) == [ConsentSettled(True, "silence", "")]
    assert of(ResumeUplink, effects) == OPENED


def test_silence_of_a_call_on_hold_is_no_answer() -> None:
    call = asked()
    call.feed(HoldChanged(True))
    effects = call.feed(TimerFired(Timer.CONSENT), after_ms=8_000)
    assert not of(ConsentSettled, effects)
    assert StartTimer(Timer.CONSENT, 8_000) in effects


def test_silent_caller_is_not_asked_two_things_at_once() -> None:
    silence = caller_silence_policy("Still there?")
    call = answered(policy(consent_policy(TOLD, question=ASKED), caller_silence=silence))
    effects = call.feed(PlayoutStarted(SAY_1, 0), PlayoutStarted(SAY_2, 0), PlayoutDrained())
    assert StartTimer(Timer.CALLER_SILENT, 8_000) not in effects
    spoken = (ResponseCreated(R1), audio(A1, R1), PlayoutStarted(A1, 0), done(R1))
    effects = call.feed(DigitReceived("1"), *spoken, PlayoutDrained())
    assert StartTimer(Timer.CALLER_SILENT, 8_000) in effects


@pytest.mark.parametrize(
    ("text", "given"),
    [("Yes, I agree.", True), ("No thank you.", False), ("Yes, who is it?", None)],
)
def test_words_are_an_answer_where_they_can_be_heard(text: str, given: bool | None) -> None:
    words_too = consent_policy(
        TOLD,
        question=ASKED,
        before_audio=False,
        yes=WordList(["yes", "i agree"]),
        no=WordList(["no"]),
    )
    call = asked(policy(words_too))
    effects = call.feed(started(), stopped(), InputCommitted(U1))
    assert not asks_for_answer(effects)  # not before they have agreed
    settled = of(ConsentSettled, call.feed(words(text)))
    assert [(each.given, each.how) for each in settled] == (
        [] if given is None else [(given, "words")]
    )


def test_session_that_comes_back_does_not_let_the_agent_speak_before_the_answer() -> None:
    call = asked()
    call.feed(SessionFailed(UpstreamError("gone", code="session_expired")), after_ms=100)
    effects = call.feed(SessionReady("sess_2"), after_ms=500)
    assert not asks_for_answer(effects)
    assert asks_for_answer(call.feed(DigitReceived("1")))


def test_caller_who_hangs_up_while_asked_has_not_refused() -> None:
    effects = asked().feed(CallEnded(by_caller=True, sip_code=200))
    assert not of(ConsentSettled, effects)
    assert of(CallClosed, effects) == [CallClosed(Outcome.COMPLETED, Fault.NONE, "caller_hung_up")]


# Emergencies

HANG_UP = "Hang up and dial the emergency number."
ALERT = emergency_policy(WordList(["heart attack"], unless=["heart attack grill"]), HANG_UP)
LISTENS = call_policy(greet=False, barge_in=barge_in_policy(transcribed=True), emergency=ALERT)
CRY = "I think it's a heart attack!"


def test_words_of_an_emergency_cut_the_agent_and_the_instruction_is_not_cut() -> None:
    call = speaking(LISTENS)
    effects = call.feed(words(CRY))
    assert of(EmergencyHeard, effects) == [EmergencyHeard("heart attack")]
    assert of(FlushPlayout, effects)
    assert CancelResponse(R1) in commands(effects)
    assert said(effects) == [HANG_UP]
    call.feed(flushed((A1, 500, 2_000)), PlayoutStarted(SAY_1, 0))
    effects = call.feed(SoundStarted(0), SoundLasted(0, 5_000), after_ms=500)
    assert not of(FlushPlayout, effects)


def test_agent_goes_on_afterwards_once() -> None:
    call = speaking(LISTENS)
    effects = call.feed(words(CRY), flushed((A1, 500, 2_000)))
    effects += call.feed(done(R1, ResponseStatus.CANCELLED))
    assert asks_for_answer(effects)
    call.feed(PlayoutStarted(SAY_1, 0), ResponseCreated(R2), audio(A2, R2), done(R2))
    effects = call.feed(PlayoutStarted(A2, 0), PlayoutDrained())
    assert not asks_for_answer(effects)
    assert call.core.state is State.LISTENING


def test_instruction_is_not_said_twice_at_once_but_each_word_is_told_of() -> None:
    call = answered(LISTENS)
    assert said(call.feed(words(CRY))) == [HANG_UP]
    effects = call.feed(words(CRY))
    assert said(effects) == []
    assert of(EmergencyHeard, effects)


def test_what_only_sounds_like_an_emergency_is_none() -> None:
    effects = answered(LISTENS).feed(words("A table at the Heart Attack Grill, please"))
    assert not of(EmergencyHeard, effects)


def test_person_takes_the_call_after_the_instruction_where_the_dialplan_says_so() -> None:
    transfers = emergency_policy(ALERT.words, HANG_UP, transfers=True)
    call = answered(call_policy(greet=False, emergency=transfers, **HANGS_ON))
    assert not of(HandoffStarted, call.feed(words(CRY), PlayoutStarted(SAY_1, 0)))
    effects = call.feed(PlayoutDrained(), after_ms=5_000)
    assert [each.to for each in of(HandoffStarted, effects)] == [QUEUE]


def test_agent_says_it_where_the_bridge_has_no_voice_for_it() -> None:
    by_model = emergency_policy(ALERT.words, HANG_UP, by_model=True)
    effects = answered(call_policy(greet=False, emergency=by_model)).feed(words(CRY))
    (request,) = [each for each in commands(effects) if isinstance(each, CreateResponse)]
    assert request.config.instructions == f'Say exactly: "{HANG_UP}"'


def test_emergency_comes_before_an_answer() -> None:
    words_too = consent_policy(TOLD, question=ASKED, before_audio=False, no=WordList(["no"]))
    call = asked(policy(words_too, emergency=ALERT))
    effects = call.feed(words("No, a heart attack!"))
    assert of(EmergencyHeard, effects)
    assert not of(ConsentSettled, effects)


def test_refused_transfer_of_who_refused_is_dialled() -> None:
    refer = {"queue": handoff_target("queue", QUEUE)}
    call = Call(call_policy(consent=ASKS.consent, handoff=refer))
    call.feed(CallOffered(), SessionReady("sess_1"), CallAnswered(), DigitReceived("2"), flushed())
    call.feed(PlayoutStarted(SAY_3, 0), PlayoutDrained())
    call.feed(TransferFailed(405))
    call.feed(PersonAnswered())
    assert of(CallClosed, call.feed(PersonLeft(200)))[0].outcome is Outcome.TRANSFERRED
