"""The end of the caller's turn: reported by the service or, where it stalls, found by our ears.

A service that stalls while the caller speaks keeps its socket open and says nothing more, and one
in whose ears a noise goes on hears no end; another reports it, and then does not commit. Either way
the caller waits for an answer to what they have said, and nobody works on one. So:

    SpeechStarted, then the sound ends here or a          -> after ``turn_overdue_ms`` the turn is
    SpeechStopped comes, and no InputCommitted               committed, and the agent owes an answer
    nothing comes back for :data:`COMMITS_WITHIN_MS`      -> the session is left

A commit is answered within a round trip (`input_audio_buffer.committed`, or an error that says that
nothing was there to commit), whatever the service makes of the sound: so it is the question, too,
whether anybody is there.
"""

from bridge.engine.agent.latency import InputClock, TurnClock
from bridge.engine.agent.requests import expect_response, pay_owed, request_response
from bridge.engine.caller.barge_in import (
    is_ignored,
    on_false_stop,
    take_turn_over_agent,
)
from bridge.engine.caller.presence import caller_heard, caller_understood
from bridge.engine.caller.turn_end import await_answer, end_turn
from bridge.engine.floor import service_owes_commit
from bridge.engine.inputs import HoldChanged, Input
from bridge.engine.media import AudioAppended, LastSoundSent
from bridge.engine.session.recovery import leave_stalled
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.turns import Trigger
from bridge.realtime.commands import CommitInput
from bridge.realtime.events import InputCleared, InputCommitted, SpeechStopped
from bridge.realtime.ids import ItemId

COMMITS_WITHIN_MS = 2_500
"""Far more than a round trip, and within what a caller bears with a tone in their ear."""


def on_audio_appended(call: CallState, event: AudioAppended, now_ns: int) -> Effects:
    """Keep the tie between the server's audio clock and ours."""
    call.user_audio_seq += event.pieces
    if not event.pieces:
        call.session.kept_ms = event.total_ms
    call.session.input_clock = InputClock(event.total_ms, event.captured_ns)
    yield from ()


def on_last_sound_sent(call: CallState, event: LastSoundSent, now_ns: int) -> Effects:
    """Keep how the caller's last sound went up; the service may have reported its end already."""
    call.session.last_sound = event
    if call.session.turn_clock is not None:
        call.session.turn_clock.sound_sent(event)
    yield from ()


def on_speech_stopped(call: CallState, event: SpeechStopped, now_ns: int) -> Effects:
    """Hand the turn to the agent and start measuring."""
    was_speaking = call.session.turn.stop()
    call.sound.reported_ns = now_ns
    responses = call.session.responses
    if not was_speaking and (responses.expected or responses.active is not None):
        # Repeated: the turn was taken already.
        return
    if call.policy.barge_in is not None and call.agent_has_floor:
        return  # what it means is decided when it is committed
    if not (yield from call.move(Trigger.SPEECH_STOPPED)):
        return
    yield from await_answer(call, _last_sound_ns(call, event.audio_end_ms), now_ns)


def on_input_committed(call: CallState, event: InputCommitted, now_ns: int) -> Effects:
    """Answer the turn where that is the bridge's to do; one without speech is an idle timeout."""
    call.sound.reported_ns = now_ns
    turn_open, by_hand = call.session.turn.uncommitted, call.session.turn.commit_asked
    call.session.turn.clear()
    if turn_open and call.policy.barge_in is None and by_hand:
        # The service answers the turns that it has ended itself.
        call.session.responses.expect_none()
        yield from request_response(call)
        return
    if turn_open and call.policy.barge_in is not None:
        yield from _take_turn(call, event.item_id)
        return
    if call.session.responses.awaited or call.session.responses.active is not None:
        return
    if not (yield from call.move(Trigger.INPUT_COMMITTED)):
        return
    call.session.turn_clock = TurnClock(stopped_ns=now_ns)
    call.wait.begin(now_ns)
    call.note_counters()
    yield from expect_response(call)


def on_input_cleared(call: CallState, event: InputCleared, now_ns: int) -> Effects:
    """Take a speech_started back that led to nothing."""
    call.session.turn.clear()
    if call.sound.unexplained:
        yield from on_false_stop(call, now_ns)
    yield from pay_owed(call)


def on_hold_changed(call: CallState, event: HoldChanged, now_ns: int) -> Effects:
    """Remember that the far end holds the call."""
    call.held = event.held
    call.note_phase()
    yield from ()


def watch_open_turn(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end the wait for the end of a turn; looked at after every input."""
    overdue_ms = call.policy.agent.turn_overdue_ms
    if call.handing_over:
        call.session.turn.leave_commit()  # the caller's turns are left alone now
    if call.session.turn.commit_asked:
        return
    if overdue_ms is None or not service_owes_commit(call):
        yield from call.stop_timer(Timer.OPEN_TURN)
    elif Timer.OPEN_TURN not in call.timers:
        yield from call.start_timer(Timer.OPEN_TURN, overdue_ms)


def on_turn_overdue(call: CallState, now_ns: int) -> Effects:
    """End the turn here; leave a session that does not answer to that."""
    if call.session.turn.commit_asked:
        yield from leave_stalled(call, now_ns)
        return
    if not service_owes_commit(call):
        return
    reported = not call.session.turn.stop()
    call.session.turn.ask_commit()
    yield from call.send(CommitInput())
    yield from call.start_timer(Timer.OPEN_TURN, COMMITS_WITHIN_MS)
    if not reported and not call.agent_has_floor:
        # What it means for an agent who has the floor is decided when it is committed.
        yield from end_turn(call, call.sound.silent_since_ns, now_ns)


def _take_turn(call: CallState, item_id: ItemId) -> Effects:
    """Ask for the answer to a turn, unless it was none."""
    policy = call.policy.barge_in
    ignored = is_ignored(call)
    yield from take_turn_over_agent(call, item_id)
    if ignored:
        return
    call.session.responses.expect_none()
    yield from request_response(call)
    if policy is not None and policy.transcribed:
        yield from caller_heard(call)
    else:
        yield from caller_understood(call)


def _last_sound_ns(call: CallState, audio_end_ms: int | None) -> int | None:
    if call.session.input_clock is None or audio_end_ms is None:
        return None
    # The server counts the silence that ended the turn in (reference of speech_stopped).
    return call.session.input_clock.at(audio_end_ms - call.policy.agent.vad_trailing_silence_ms)
