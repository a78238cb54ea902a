"""What becomes of a call whose session can't be had, or can't be had again."""

from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained
from bridge.engine.effects import (
    AnswerCall,
    CloseSession,
    DialPerson,
    Effect,
    HangUp,
    OpenSession,
    PlayAudio,
    PlayFiller,
    PlayPhrase,
    RejectCall,
    Send,
    StopFiller,
    TransferCall,
)
from bridge.engine.inputs import (
    CallAnswered,
    CallEnded,
    CallOffered,
    HoldChanged,
    Input,
    PersonLeft,
    SessionFailed,
    SessionReady,
    TimerFired,
    TransferCompleted,
    TransferFailed,
    TransferProgressed,
)
from bridge.engine.news import (
    CallClosed,
    GaveUp,
    HandoffCompleted,
    HandoffFailed,
    HandoffStarted,
    Speaker,
    TurnSpoken,
    Way,
)
from bridge.engine.policy import CallPolicy
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.errors import Fault, Outcome, UpstreamError
from bridge.realtime.commands import TruncateItem
from bridge.realtime.events import ResponseCreated, SpeechStarted
from tests.engine.calls import (
    A1,
    A2,
    R1,
    R2,
    U2,
    Call,
    answered,
    audio,
    flushed,
    of,
    speaking,
    thinking,
)
from tests.support.policies import call_policy, fallback_policy, handoff_target, recovery_policy

QUEUE = "sip:queue@127.0.0.1:5070"
TO_QUEUE = handoff_target("fallback", QUEUE, refer_to_headers=False)
SORRY = "I am putting you through."
UNREACHABLE = "Nobody is there."
GONE = SessionFailed(UpstreamError("no", code="beta_api_shape_disabled"))
DROPPED = SessionFailed(UpstreamError("gone", code="closed", close_code=1006))
LATE = TimerFired(Timer.SESSION_READY)

SPEAKS = call_policy(greet=False, fallback=fallback_policy(say=SORRY))
TRANSFERS = call_policy(
    greet=False,
    recovery=recovery_policy(fallback="transfer"),
    fallback=fallback_policy(say=SORRY, transfer_to=TO_QUEUE, say_if_failed=UNREACHABLE),
)
ANSWERS = replace(TRANSFERS, fallback=replace(TRANSFERS.fallback, answers=True))


def said(effects: list[Effect]) -> list[str]:
    return [phrase.text for phrase in of(PlayPhrase, effects)]


def transferring(policy: CallPolicy = TRANSFERS) -> Call:
    """The phrase was heard and the REFER is out."""
    call = answered(policy)
    call.feed(GONE)
    assert of(TransferCall, call.feed(PlayoutDrained())) == [TransferCall(QUEUE)]
    return call


def test_phrase_is_said_and_stands_in_the_transcript_as_the_bridges() -> None:
    effects = answered(SPEAKS).feed(GONE)
    (phrase,) = of(PlayPhrase, effects)
    assert phrase.text == SORRY
    assert of(TurnSpoken, effects) == [TurnSpoken(Speaker.BRIDGE, phrase.item_id, SORRY)]
    assert of(PlayFiller, effects) == []
    assert CloseSession() in effects


def test_call_ends_once_the_phrase_was_heard() -> None:
    call = answered(SPEAKS)
    call.feed(GONE)
    effects = call.feed(PlayoutDrained(), after_ms=3_000)
    assert HangUp(Outcome.SESSION_LOST) in effects
    assert effects[-1] == CallClosed(Outcome.SESSION_LOST, Fault.CONFIG, "beta_api_shape_disabled")


def test_phrase_waits_for_what_the_agent_still_says() -> None:
    call = speaking(SPEAKS)
    assert said(call.feed(GONE)) == []
    assert said(call.feed(PlayoutDrained())) == [SORRY]


def test_phrase_is_said_although_the_agents_audio_stands_still() -> None:
    call = speaking(SPEAKS)
    call.feed(GONE)
    assert said(call.feed(TimerFired(Timer.CLOSING))) == [SORRY]


def test_call_on_hold_ends_although_nobody_hears_the_phrase() -> None:
    call = answered(SPEAKS)
    call.feed(HoldChanged(True), GONE)
    assert of(CallClosed, call.feed(TimerFired(Timer.CLOSING))) != []


def test_transfer_follows_the_phrase() -> None:
    call = answered(TRANSFERS)
    assert of(TransferCall, call.feed(GONE)) == []
    effects = call.feed(PlayoutDrained())
    assert of(TransferCall, effects) == [TransferCall(QUEUE)]
    assert of(HandoffStarted, effects) == [HandoffStarted("fallback", QUEUE, Way.BLIND)]
    assert of(HangUp, effects) == []
    assert call.core.state is State.HANDOFF


def test_transfer_that_succeeds_ends_the_call_as_transferred() -> None:
    call = transferring()
    assert of(CallClosed, call.feed(TransferProgressed(100))) == []
    effects = call.feed(TransferCompleted(200), after_ms=700)
    assert of(HandoffCompleted, effects) == [HandoffCompleted(Way.BLIND, 700)]
    assert of(HangUp, effects) == [HangUp(Outcome.TRANSFERRED)]
    assert effects[-1] == CallClosed(Outcome.TRANSFERRED, Fault.CONFIG, "beta_api_shape_disabled")


def test_transfer_that_is_refused_is_told_and_the_call_ends() -> None:
    call = transferring()
    assert of(DialPerson, call.feed(TransferFailed(603), after_ms=50)) == [DialPerson(QUEUE)]
    effects = call.feed(PersonLeft(486), after_ms=50)
    assert of(HandoffFailed, effects) == [HandoffFailed(Way.BRIDGED, "sip_486", 100)]
    assert said(effects) == [UNREACHABLE]
    assert call.core.state is State.RECOVERING
    effects = call.feed(PlayoutDrained())
    assert of(HangUp, effects) == [HangUp(Outcome.SESSION_LOST)]
    assert of(CallClosed, effects)[0].outcome is Outcome.SESSION_LOST


def test_transfer_whose_end_is_never_told_is_taken_as_failed() -> None:
    call = transferring()
    call.feed(TransferProgressed(180))
    effects = call.feed(TimerFired(Timer.TRANSFER))
    assert of(HandoffFailed, effects)[0].reason == "timeout"
    assert said(effects) == [UNREACHABLE]
    assert call.feed(TransferProgressed(180), TransferCompleted(200), TransferFailed(486)) == []


def test_failed_transfer_without_words_for_it_gives_a_tone() -> None:
    policy = replace(TRANSFERS, fallback=fallback_policy(SORRY, TO_QUEUE))
    effects = transferring(policy).feed(TransferFailed(603), PersonLeft(486))
    assert of(PlayFiller, effects) == [PlayFiller(pause=False)]


def test_caller_hears_tones_while_they_are_put_through() -> None:
    call = transferring()
    assert of(PlayFiller, call.feed(TimerFired(Timer.FILLER))) == [PlayFiller()]
    assert of(PlayFiller, call.feed(PlayoutDrained())) == [PlayFiller()]
    effects = call.feed(TransferFailed(603), PersonLeft(486))
    assert effects.index(StopFiller()) < effects.index(of(PlayPhrase, effects)[0])


def test_end_of_other_audio_does_not_end_a_transfer() -> None:
    call = transferring()
    effects = call.feed(PlayoutDrained())
    assert (said(effects), of(CallClosed, effects)) == ([], [])
    assert call.core.state is State.HANDOFF


def test_far_end_that_hangs_up_after_it_took_the_refer_was_transferred() -> None:
    call = transferring()
    call.feed(TransferProgressed(100))
    effects = call.feed(CallEnded(by_caller=True, sip_code=200), after_ms=300)
    assert of(HandoffCompleted, effects) == [HandoffCompleted(Way.BLIND, 300)]
    assert of(HangUp, effects) == []
    assert effects[-1].outcome is Outcome.TRANSFERRED  # type: ignore[union-attr]  # CallClosed


@pytest.mark.parametrize("inputs", [(), (PlayoutDrained(),)], ids=["phrase", "refer_not_taken"])
def test_caller_who_leaves_before_was_lost_with_the_session(inputs: tuple[Input, ...]) -> None:
    call = answered(TRANSFERS)
    call.feed(GONE, *inputs)
    effects = call.feed(CallEnded(by_caller=True, sip_code=200))
    assert of(CallClosed, effects)[0].outcome is Outcome.SESSION_LOST


def test_transfer_status_without_a_transfer_changes_nothing() -> None:
    call = answered(TRANSFERS)
    assert call.feed(TransferProgressed(100), TransferCompleted(200), TransferFailed(603)) == []
    assert call.core.state is State.LISTENING


def test_ringing_call_is_refused_unless_the_dialplan_says_otherwise() -> None:
    for event in (GONE, LATE):
        call = Call(TRANSFERS)
        call.feed(CallOffered())
        assert of(RejectCall, call.feed(event)) == [RejectCall(503, "Service Unavailable")]


@pytest.mark.parametrize(
    ("event", "fault", "code", "reason"),
    [
        (GONE, Fault.CONFIG, "beta_api_shape_disabled", "refused"),
        (LATE, Fault.PROVIDER, "timeout", "too_long"),
    ],
    ids=["failed", "late"],
)
def test_ringing_call_is_answered_for_the_fallback(
    event: Input, fault: Fault, code: str, reason: str
) -> None:
    call = Call(ANSWERS)
    call.feed(CallOffered())
    effects = call.feed(event)
    assert of(GaveUp, effects) == [GaveUp(reason, "transfer")]
    assert AnswerCall() in effects
    assert of(RejectCall, effects) == []
    assert said(effects) == []  # nobody hears us yet
    assert call.feed(SessionReady("sess_late")) == []
    effects = call.feed(CallAnswered())
    assert said(effects) == [SORRY]
    assert of(Send, effects) == []
    call.feed(PlayoutDrained())
    effects = call.feed(TransferFailed(603), PersonLeft(486), PlayoutDrained())
    assert effects[-1] == CallClosed(Outcome.SESSION_UNAVAILABLE, fault, code)


def test_ringing_call_is_not_answered_for_a_mere_tone() -> None:
    call = Call(call_policy(fallback=fallback_policy(answers=True)))
    call.feed(CallOffered())
    assert of(RejectCall, call.feed(GONE)) != []


def test_session_refused_between_our_answer_and_the_conversation_is_explained() -> None:
    call = Call(SPEAKS)
    call.feed(CallOffered(), SessionReady("sess_1"))
    assert of(CallClosed, call.feed(GONE)) == []
    assert said(call.feed(CallAnswered())) == [SORRY]


def test_phrase_fills_an_outage_once_then_tones_do() -> None:
    call = answered(call_policy(greet=False, outage_phrase="One moment."))
    call.feed(DROPPED)
    effects = call.feed(TimerFired(Timer.FILLER))
    assert said(effects) == ["One moment."]
    assert of(PlayFiller, effects) == []
    assert of(PlayFiller, call.feed(PlayoutDrained())) == []  # a pause first
    effects = call.feed(TimerFired(Timer.FILLER))
    assert (said(effects), of(PlayFiller, effects)) == ([], [PlayFiller()])
    call.feed(SessionReady("sess_2"))
    call.feed(DROPPED, after_ms=60_000)
    assert said(call.feed(TimerFired(Timer.FILLER))) == ["One moment."]


def test_slow_answer_of_a_session_that_stands_is_filled_with_tones() -> None:
    call = thinking(call_policy(greet=False, filler_after_ms=1_000, outage_phrase="One moment."))
    effects = call.feed(TimerFired(Timer.FILLER))
    assert (said(effects), of(PlayFiller, effects)) == ([], [PlayFiller()])


def test_agent_lets_the_phrase_end_and_can_be_interrupted_in_it() -> None:
    call = thinking(call_policy(greet=False, outage_phrase="One moment."))
    call.feed(DROPPED)
    (phrase,) = of(PlayPhrase, call.feed(TimerFired(Timer.FILLER)))
    call.feed(SessionReady("sess_2"))
    effects = call.feed(ResponseCreated(R2), audio(A2, R2))
    assert of(StopFiller, effects) == []
    assert len(of(PlayAudio, effects)) == 1
    effects = call.feed(
        SpeechStarted(U2, 0), flushed((phrase.item_id, 400, 900), (A2, 0, 100)), after_ms=500
    )
    truncated = [each.command for each in of(Send, effects)]
    assert [each for each in truncated if isinstance(each, TruncateItem)] == [
        TruncateItem(A2, 0, 0)
    ]


def test_caller_cuts_the_phrase() -> None:
    call = answered(call_policy(greet=False, outage_phrase="One moment."))
    call.feed(DROPPED, TimerFired(Timer.FILLER))
    assert of(StopFiller, call.feed(SessionReady("sess_2"))) == []
    assert of(StopFiller, call.feed(SpeechStarted(U2, 0))) == [StopFiller()]


def test_nothing_is_tried_again_once_the_fallback_is_taken() -> None:
    call = transferring()
    effects = call.feed(DROPPED, GONE, SessionReady("sess_2"), audio(A1, R1))
    assert of(OpenSession, effects) == []
    assert call.core.state is State.HANDOFF
