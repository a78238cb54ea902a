"""Who has the floor where the bridge decides: by the caller's sound, its length, its words."""

import math
from dataclasses import replace

import pytest

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.engine.effects import DuckPlayout, Effect, FlushPlayout, PlayAudio, RestorePlayout, Send
from bridge.engine.inputs import TimerFired
from bridge.engine.news import AgentInterrupted, BargeInJudgement, InterruptionJudged, PhaseChanged
from bridge.engine.policy import CallPolicy
from bridge.engine.timers import Timer
from bridge.engine.turns import State
from bridge.realtime.commands import CancelResponse, Command, CreateResponse, TruncateItem
from bridge.realtime.event_values import ApiError, ResponseStatus
from bridge.realtime.events import (
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptFailed,
    ResponseCreated,
    SpeechStarted,
    SpeechStopped,
)
from bridge.realtime.ids import ItemId
from tests.engine.calls import (
    A1,
    A2,
    R1,
    R2,
    U1,
    U2,
    Call,
    answered,
    audio,
    done,
    flushed,
    of,
    started,
    stopped,
)
from tests.support.policies import barge_in_policy, call_policy

BARGE_IN = barge_in_policy(transcribed=True, backchannel_words=frozenset({"mm", "hm", "yeah"}))
OURS = call_policy(greet=False, barge_in=BARGE_IN)
NOT_TRANSCRIBED = call_policy(greet=False, barge_in=replace(BARGE_IN, transcribed=False))
PROTECTED = call_policy(barge_in=replace(BARGE_IN, protects_greeting=True))


def sent(effects: list[Effect]) -> list[Command]:
    return [effect.command for effect in of(Send, effects)]


def judged(effects: list[Effect]) -> list[BargeInJudgement]:
    return [effect.kind for effect in of(InterruptionJudged, effects)]


def said(text: str, item_id: ItemId = U2) -> InputTranscriptCompleted:
    return InputTranscriptCompleted(item_id, 0, text)


def turn(item_id: ItemId = U1) -> list[SpeechStarted | SpeechStopped | InputCommitted]:
    return [started(item_id), stopped(item_id=item_id), InputCommitted(item_id)]


def speaking(policy: CallPolicy = OURS) -> Call:
    """R1 answers the caller's turn U1, whole, and is being heard."""
    call = answered(policy)
    call.feed(*turn(), ResponseCreated(R1), audio(A1, R1, 2_000), PlayoutStarted(A1, 0))
    return call


def sound(call: Call, lasted_ms: int) -> list[Effect]:
    """Let the caller be heard for so long."""
    effects = call.feed(SoundStarted(0))
    for milestone_ms in (120, 360, 460):
        if lasted_ms >= milestone_ms:
            effects += call.feed(SoundLasted(0, milestone_ms))
    return effects


def greeting(policy: CallPolicy = PROTECTED) -> Call:
    call = answered(policy)
    call.feed(ResponseCreated(R1), audio(A1, R1, 2_000), PlayoutStarted(A1, 0))
    return call


def test_turn_is_answered_at_its_commit() -> None:
    call = answered(OURS)
    assert sent(call.feed(started(), stopped())) == []
    assert sent(call.feed(InputCommitted(U1))) == [CreateResponse()]
    assert call.core.state is State.THINKING


def test_long_sound_over_the_agent_cuts_it() -> None:
    call = speaking()
    effects = sound(call, 460)
    assert of(FlushPlayout, effects) == [FlushPlayout()]
    assert sent(effects) == [CancelResponse(R1)]
    assert call.core.state is State.CANCELLING
    assert sent(call.feed(flushed((A1, 700, 2_000)))) == [TruncateItem(A1, 0, 700)]


def test_agent_is_lowered_first_and_comes_back_after_a_short_sound() -> None:
    call = speaking()
    assert of(DuckPlayout, sound(call, 120)) == [DuckPlayout(12.0)]
    assert call.feed(SoundStopped(0)) == [RestorePlayout()]
    assert call.core.state is State.SPEAKING


def test_agent_is_silenced_before_it_is_cut_and_comes_back_after_a_short_sound() -> None:
    call = speaking()
    assert of(DuckPlayout, sound(call, 360)) == [DuckPlayout(12.0), DuckPlayout(math.inf)]
    assert call.feed(SoundStopped(0)) == [RestorePlayout()]
    assert sent(call.feed(*turn(U2))) == []


def test_service_alone_cuts_nothing() -> None:
    call = speaking()
    assert of(FlushPlayout, call.feed(started(U2))) == []
    assert call.core.state is State.SPEAKING


def test_short_turn_over_the_agent_is_not_answered() -> None:
    call = speaking()
    call.feed(done(R1))
    sound(call, 120)
    effects = call.feed(SoundStopped(0), *turn(U2))
    assert sent(effects) == []
    assert call.core.state is State.SPEAKING
    assert judged(call.feed(said("Mm-hm.", U2))) == [BargeInJudgement.BACKCHANNEL]


def test_short_turn_with_words_of_its_own_stops_the_agent_late() -> None:
    call = speaking()
    call.feed(done(R1))
    call.feed(started(U2))
    sound(call, 120)
    call.feed(SoundStopped(0), stopped(item_id=U2), InputCommitted(U2))
    effects = call.feed(said("Stop!"))
    assert judged(effects) == [BargeInJudgement.MISSED]
    assert of(FlushPlayout, effects) == [FlushPlayout()]
    assert sent(effects) == [CreateResponse()]


def test_turn_without_a_sound_here_is_an_echo() -> None:
    call = speaking()
    call.feed(done(R1))
    assert sent(call.feed(*turn(U2))) == []
    effects = call.feed(said("the agent's own words"))
    assert (judged(effects), of(FlushPlayout, effects)) == ([], [])


def test_words_after_a_cut_tell_a_true_from_a_false_stop() -> None:
    for text, kind in (("wait please", BargeInJudgement.TRUE), ("yeah", BargeInJudgement.FALSE)):
        call = speaking()
        sound(call, 460)
        call.feed(flushed((A1, 700, 2_000)), done(R1, ResponseStatus.CANCELLED))
        effects = call.feed(SoundStopped(0), *turn(U2))
        assert sent(effects) == [CreateResponse()]
        assert judged(call.feed(said(text))) == [kind]


def test_failed_transcript_after_a_cut_is_a_false_stop() -> None:
    call = speaking()
    sound(call, 460)
    call.feed(flushed(), done(R1, ResponseStatus.CANCELLED), SoundStopped(0), *turn(U2))
    failed = InputTranscriptFailed(U2, 0, ApiError("transcription_error", ""))
    assert judged(call.feed(failed)) == [BargeInJudgement.FALSE]


def test_turns_without_words_are_judged_by_their_length() -> None:
    call = speaking(NOT_TRANSCRIBED)
    sound(call, 120)
    assert judged(call.feed(SoundStopped(0), started(U2))) == []
    call = speaking(NOT_TRANSCRIBED)
    call.feed(started(U2))
    sound(call, 120)
    ignored = call.feed(SoundStopped(0), stopped(item_id=U2), InputCommitted(U2))
    assert judged(ignored) == [BargeInJudgement.BACKCHANNEL]
    call = speaking(NOT_TRANSCRIBED)
    sound(call, 460)
    assert judged(call.feed(flushed(), *turn(U2))) == [BargeInJudgement.TRUE]


def test_sound_that_was_no_speech_is_a_false_stop_and_the_agent_goes_on() -> None:
    call = speaking()
    sound(call, 460)
    call.feed(flushed((A1, 700, 2_000)), done(R1, ResponseStatus.CANCELLED), SoundStopped(0))
    effects = call.feed(TimerFired(Timer.FALSE_STOP), after_ms=1_500)
    assert judged(effects) == [BargeInJudgement.FALSE]
    assert sent(effects) == [CreateResponse()]


def test_speech_that_the_service_takes_back_is_a_false_stop() -> None:
    call = speaking()
    sound(call, 460)
    call.feed(flushed(), done(R1, ResponseStatus.CANCELLED), started(U2), SoundStopped(0))
    assert judged(call.feed(InputCleared())) == [BargeInJudgement.FALSE]


def test_nothing_is_asked_while_a_caller_who_cut_the_agent_goes_on() -> None:
    call = speaking()
    sound(call, 460)
    call.feed(flushed())
    assert sent(call.feed(done(R1, ResponseStatus.CANCELLED))) == []


def test_protected_greeting_is_heard_and_the_caller_answered_after_it() -> None:
    call = greeting()
    call.feed(done(R1))
    effects = sound(call, 460)
    assert (of(FlushPlayout, effects), of(DuckPlayout, effects)) == ([], [])
    effects = call.feed(started(U2), SoundStopped(0), stopped(item_id=U2), InputCommitted(U2))
    assert sent(effects) == [CreateResponse()]
    call.feed(ResponseCreated(R2), audio(A2, R2))
    assert call.core.state is State.SPEAKING


def test_greeting_that_is_not_protected_is_cut() -> None:
    call = greeting(call_policy(barge_in=BARGE_IN))
    assert of(FlushPlayout, sound(call, 460)) == [FlushPlayout()]


def test_sentence_after_the_protected_one_can_be_cut() -> None:
    call = greeting()
    call.feed(done(R1), PlayoutDrained(), *turn(), ResponseCreated(R2), audio(A2, R2))
    call.feed(PlayoutStarted(A2, 0))
    assert of(FlushPlayout, sound(call, 460)) == [FlushPlayout()]


def test_noise_from_before_cuts_no_answer() -> None:
    call = answered(OURS)
    sound(call, 460)
    call.feed(*turn(), ResponseCreated(R1))
    assert of(PlayAudio, call.feed(audio(A1, R1))) != []
    call.feed(PlayoutStarted(A1, 0))
    assert call.core.state is State.SPEAKING
    assert of(FlushPlayout, call.feed(started(U2))) == [FlushPlayout()]  # but speech in it does


def test_answer_that_is_made_while_the_caller_goes_on_is_cancelled() -> None:
    call = answered(OURS)
    call.feed(*turn(), SoundStarted(0), started(U2), SoundLasted(0, 460))
    assert sent(call.feed(ResponseCreated(R1))) == [CancelResponse(R1)]


def test_breath_while_an_answer_is_made_does_not_cost_it() -> None:
    call = answered(OURS)
    call.feed(*turn(), SoundStarted(0), ResponseCreated(R1), SoundStopped(0))
    assert of(PlayAudio, call.feed(audio(A1, R1))) != []


def test_answer_to_a_question_that_comes_at_its_very_end_is_answered() -> None:
    call = speaking()
    call.feed(done(R1), started(U2))
    sound(call, 120)
    call.feed(SoundStopped(0), PlayoutDrained(), stopped(item_id=U2))
    assert sent(call.feed(InputCommitted(U2))) == [CreateResponse()]


@pytest.mark.parametrize("policy", [OURS, NOT_TRANSCRIBED])
def test_cut_moves_through_cancelling_to_listening(policy: CallPolicy) -> None:
    call = speaking(policy)
    effects = sound(call, 460) + call.feed(flushed((A1, 700, 2_000)))
    assert [(each.old, each.new) for each in of(PhaseChanged, effects)] == [
        (State.SPEAKING, State.CANCELLING),
        (State.CANCELLING, State.LISTENING),
    ]


def interrupted_by_agent(effects: list[Effect]) -> int:
    return len(of(AgentInterrupted, effects))


def test_an_answer_that_begins_over_the_caller_is_an_interruption_by_the_agent() -> None:
    call = answered(OURS)
    call.feed(*turn(), ResponseCreated(R1), audio(A1, R1, 2_000))
    sound(call, 20)  # they go on before the answer is heard
    call.feed(started(U2))
    assert interrupted_by_agent(call.feed(PlayoutStarted(A1, 0))) == 1
    assert interrupted_by_agent(call.feed(PlayoutStarted(A1, 1))) == 0


def test_an_answer_that_begins_in_silence_interrupts_nobody() -> None:
    call = answered(OURS)
    call.feed(*turn(), ResponseCreated(R1), audio(A1, R1, 2_000))
    assert interrupted_by_agent(call.feed(PlayoutStarted(A1, 0))) == 0
    sound(call, 20)  # a cough, while the agent is heard
    call.feed(started(U2), audio(A2, R1, 2_000))
    assert interrupted_by_agent(call.feed(PlayoutStarted(A2, 0))) == 0


def test_a_service_that_hears_what_we_do_not_makes_no_interruption_by_the_agent() -> None:
    call = answered(OURS)
    call.feed(*turn(), ResponseCreated(R1), audio(A1, R1, 2_000), started(U2))
    assert interrupted_by_agent(call.feed(PlayoutStarted(A1, 0))) == 0
