"""A turn of the caller's that the service does not commit: the bridge ends it by its own ears.

A service that stalls while the caller speaks keeps its socket open and says nothing more, and one
in whose ears a noise goes on hears no end; another tells the end, and then does not commit. Either
way the caller waits for an answer to what they have said, and nobody works on one. So:

    SpeechStarted, then the sound ends here or a          -> after ``turn_overdue_ms`` the turn is
    SpeechStopped comes, and no InputCommitted               committed, and the agent owes an answer
    nothing comes back for :data:`COMMITS_WITHIN_MS`      -> the session is left

A commit is answered within a round trip (`input_audio_buffer.committed`, or an error that says that
nothing was there to commit), whatever the service makes of the sound: so it is the question, too,
whether anybody is there.
"""

from bridge.engine.caller.turn import end_turn
from bridge.engine.floor import service_owes_commit
from bridge.engine.inputs import Input
from bridge.engine.session.recovery import leave_stalled
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.realtime.commands import CommitInput

COMMITS_WITHIN_MS = 2_500
"""Far more than a round trip, and within what a caller bears with a tone in their ear."""


def watch_open_turn(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end the wait for the end of a turn; looked at after every input."""
    overdue_ms = call.policy.turn_overdue_ms
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
    told = not call.session.turn.stop()
    call.session.turn.ask_commit()
    yield from call.send(CommitInput())
    yield from call.start_timer(Timer.OPEN_TURN, COMMITS_WITHIN_MS)
    if not told and not call.agent_has_floor:
        # What it means for an agent who has the floor is decided when it is committed.
        yield from end_turn(call, call.sound.silent_since_ns, now_ns)
