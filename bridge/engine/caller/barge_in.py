"""Decides whether the caller's sound over the agent lowers, silences or cuts it, or is ignored.

Where the dialplan leaves it to the service (``CallPolicy.barge_in`` is None), its SpeechStarted
cuts the agent at once, and it answers each turn by itself. Else the bridge decides, on the
caller's sound as it is measured here:

    SoundStarted                        nothing yet
    SoundLasted, ``duck_after_ms``      the agent is lowered; it comes back if nothing follows
    SoundLasted, ``yield_after_ms``     the agent is silenced; it comes back likewise
    SoundLasted, ``min_speech_ms``      the agent is cut, unless its sentence is protected
    InputCommitted, agent not cut       a long turn over a protected sentence is answered after it;
                                        a short one is a backchannel, unless its words say otherwise

A natural "mm-hm" lasts 300 to 400 ms, and so does the "stop" of "stop, I have a question", after
which the speaker draws breath: no length parts them in time. So the agent yields before it is
known what the sound was: it is silent within half a second of every caller who goes on, and for
one who does not it has lost a syllable, not its answer.

Sound of the caller is a matter of milliseconds here, while the service's opinion comes a network's
round trip and its own smoothing later; so the guard's length is the bridge's to keep. For that the
session must do nothing by itself: ``interrupt_response`` is false, or the service would stop an
answer for every breath, and ``create_response`` is false, or it would answer every "mm-hm" that the
agent spoke over. The bridge asks for the answer at the turn's commit instead. That costs one round
trip a turn; an answer that the service began by itself and the bridge cancelled would cost its
tokens, leave half an item behind, and collide with the response that goes on.

The service still says what is speech. A sound that no turn follows was none (a door, a cough): the
agent is asked to go on. A turn without a sound here is the agent's own echo, or too quiet to be
distinguished from it: it cuts nothing. On a line so noisy that the sound never ends, the service's
SpeechStarted alone cuts. First syllables can't be lost: the caller's audio is sent up all the time,
and the service keeps ``prefix_padding_ms`` of it from before the onset.
"""

import math

from bridge.audio.sounds import SoundLasted, SoundStarted, SoundStopped
from bridge.clock import NS_PER_MS
from bridge.engine.agent.requests import request_response
from bridge.engine.caller.interruption import give_floor
from bridge.engine.caller.state import REPORTED_LATE_NS, OverAgent
from bridge.engine.effects import DuckPlayout, RestorePlayout
from bridge.engine.floor import is_protected, sound_may_cut
from bridge.engine.inputs import Input
from bridge.engine.news import BargeInJudgement, InterruptionJudged
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.realtime.commands import CancelResponse
from bridge.realtime.events import InputTranscriptCompleted, InputTranscriptFailed, SpeechStarted
from bridge.realtime.ids import ItemId
from bridge.routing.barge_in import BargeInPolicy
from bridge.routing.wording import words_in


def on_sound_started(call: CallState, event: SoundStarted, now_ns: int) -> Effects:
    """Note that the caller makes a sound."""
    call.sound.begin(event.at_ns, over_agent=call.agent_has_floor)
    yield from ()


def on_sound_lasted(call: CallState, event: SoundLasted, now_ns: int) -> Effects:
    """Lower the agent; what is long enough cuts it, see :func:`watch_barge_in`."""
    policy, sound = call.policy.barge_in, call.sound
    if policy is None or not sound.heard:
        return
    if event.lasted_ms >= policy.min_speech_ms:
        sound.last_long()
        return
    lower_db = _lower_db(policy, event.lasted_ms)
    if lower_db > sound.lowered_db and sound.over_agent and sound_may_cut(call):
        sound.lowered_db = lower_db
        yield DuckPlayout(lower_db)


def on_sound_stopped(call: CallState, event: SoundStopped, now_ns: int) -> Effects:
    """Bring the agent back; where it was cut, see whether the service heard speech in that."""
    yield from _restore(call)
    call.sound.end(event.at_ns, now_ns)
    if call.sound.unexplained and not call.session.turn.speaking:
        yield from call.start_timer(Timer.FALSE_STOP, REPORTED_LATE_NS // NS_PER_MS)


def on_speech_started(call: CallState, event: SpeechStarted, now_ns: int) -> Effects:
    """Take the service's word that the caller speaks."""
    call.session.turn.begin()
    clock, start_ms = call.session.input_clock, event.audio_start_ms
    call.session.turn_began_ns = now_ns
    if clock is not None and start_ms is not None:
        call.session.turn_began_ns = clock.at(start_ms)
    call.session.turn_is_kept = start_ms is not None and start_ms < call.session.kept_ms
    call.sound.begin_turn(now_ns, kept=call.session.turn_is_kept)
    yield from call.stop_timer(Timer.FALSE_STOP)
    if is_protected(call):
        return
    if call.session.turn_is_kept and call.agent_has_floor and not call.sound.heard:
        return  # what was said to the session before does not cut what is heard now
    if call.policy.barge_in is None or not call.agent_has_floor:
        yield from give_floor(call, now_ns)


def watch_barge_in(call: CallState, event: Input, now_ns: int) -> Effects:
    """Cut the agent if the caller is heard over it for long enough; looked at after every input."""
    policy, sound = call.policy.barge_in, call.sound
    if policy is None or not sound.long or sound.stopped_agent or not sound_may_cut(call):
        return
    if not (sound.over_agent or call.session.turn.speaking):
        return  # noise that was there before the agent spoke
    sound.stop_agent()  # the cut undoes what lowered it: to bring it back first would be heard
    yield from give_floor(call, now_ns)


def on_false_stop(call: CallState, now_ns: int) -> Effects:
    """Have the agent go on: it was stopped for nothing."""
    call.sound.explain()
    yield InterruptionJudged(BargeInJudgement.FALSE)
    if call.can_say(CancelResponse):  # else it was not stopped, and goes on if it wants to
        yield from request_response(call)


def take_turn_over_agent(call: CallState, item_id: ItemId) -> Effects:
    """Decide about a turn of the caller's that was committed, by what it did to the agent.

    Args:
        call: one where the bridge decides.
        item_id: the turn's.
    """
    policy, sound = call.policy.barge_in, call.sound
    assert policy is not None
    if sound.unexplained:
        sound.explain()
        if policy.transcribed:
            sound.await_words(item_id, OverAgent.STOPPED)
        else:
            yield InterruptionJudged(BargeInJudgement.TRUE)
    elif is_ignored(call) and sound.turn_heard:
        if policy.transcribed:
            sound.await_words(item_id, OverAgent.IGNORED)
        else:
            yield InterruptionJudged(BargeInJudgement.BACKCHANNEL)


def is_ignored(call: CallState) -> bool:
    """Return whether the turn that ends now is too short to be one, as the agent has the floor."""
    if call.policy.barge_in is None or call.session.turn_is_kept:
        return False
    return call.agent_has_floor and not call.sound.turn_long


def judge_words(call: CallState, event: InputTranscriptCompleted, now_ns: int) -> Effects:
    """Judge a turn over the agent by its words; one that was ignored by mistake is taken late."""
    policy, done = call.policy.barge_in, call.sound.turns.pop(event.item_id, None)
    if policy is None or done is None:
        return
    turn = is_turn(event.transcript, policy)
    if done is OverAgent.STOPPED:
        yield InterruptionJudged(BargeInJudgement.TRUE if turn else BargeInJudgement.FALSE)
        return
    yield InterruptionJudged(BargeInJudgement.MISSED if turn else BargeInJudgement.BACKCHANNEL)
    if not turn:
        return
    if sound_may_cut(call):
        yield from give_floor(call, now_ns)
    yield from request_response(call)


def on_transcript_failed(call: CallState, event: InputTranscriptFailed, now_ns: int) -> Effects:
    """Judge a turn over the agent that had no words."""
    done = call.sound.turns.pop(event.item_id, None)
    if done is not None:
        stopped = done is OverAgent.STOPPED
        yield InterruptionJudged(
            BargeInJudgement.FALSE if stopped else BargeInJudgement.BACKCHANNEL
        )


def is_turn(text: str, policy: BargeInPolicy) -> bool:
    """Return whether words that were spoken over the agent are more than a backchannel."""
    return any(word not in policy.backchannel_words for word in words_in(text))


def _lower_db(policy: BargeInPolicy, lasted_ms: int) -> float:
    if policy.yield_after_ms is not None and lasted_ms >= policy.yield_after_ms:
        return math.inf
    ducks = policy.duck_after_ms is not None and lasted_ms >= policy.duck_after_ms
    return policy.duck_db if ducks else 0.0


def _restore(call: CallState) -> Effects:
    if call.sound.lowered_db:
        call.sound.lowered_db = 0.0
        yield RestorePlayout()
