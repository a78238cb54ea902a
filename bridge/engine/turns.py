"""The turn machine of one call: states, triggers and one table that joins them.

Invariants: the table is the only place where a state follows from another; a pair that it lacks
changes nothing and is reported; ENDED has no way out. SPEAKING means that the caller hears the
agent: it is entered when PJSIP takes the first sample of an item, never on a received delta.
The diagram in `deploy/TURNS.md` is drawn from the table.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class State(enum.StrEnum):
    """The state of the turn machine."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    CANCELLING = "cancelling"
    RECOVERING = "recovering"
    HANDOFF = "handoff"
    ENDED = "ended"


class Trigger(enum.StrEnum):
    """An event that may move the machine; values are metric and log labels."""

    ANSWERED = "answered"
    SPEECH_STARTED = "speech_started"
    """The caller began to speak and there was nothing to cut."""
    INTERRUPTED = "interrupted"
    """The caller began to speak over a response or its audio."""
    SPEECH_STOPPED = "speech_stopped"
    INPUT_COMMITTED = "input_committed"
    RESPONSE_REQUESTED = "response_requested"
    RESPONSE_CREATED = "response_created"
    RESPONSE_DONE = "response_done"
    """A response ended and nothing of it is left to hear."""
    PLAYOUT_STARTED = "playout_started"
    PLAYOUT_PAUSED = "playout_paused"
    """All audio at hand was heard, but the agent's turn goes on (slow model, running tool)."""
    PLAYOUT_DRAINED = "playout_drained"
    PLAYOUT_FLUSHED = "playout_flushed"
    SESSION_LOST = "session_lost"
    SESSION_RESTORED = "session_restored"
    HANDOFF_STARTED = "handoff_started"
    HANDOFF_FAILED = "handoff_failed"
    """The call is ours again."""
    HANDED_BACK = "handed_back"
    """The person has given the caller back; the session is yet to be had."""
    TAKEN_OVER = "taken_over"
    """A supervisor keeps the agent out of the talk; the session stays."""
    GIVEN_BACK = "given_back"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Transition:
    """One step that the table allowed; ``old`` is ``new`` where the trigger is legal but moves
    nothing.
    """

    old: State
    new: State
    cause: Trigger


_ROWS: Mapping[State, Mapping[Trigger, State]] = {
    State.IDLE: {
        Trigger.ANSWERED: State.LISTENING,
    },
    State.LISTENING: {
        Trigger.SPEECH_STARTED: State.LISTENING,
        # A phrase of the bridge's own that is about to be heard.
        Trigger.INTERRUPTED: State.CANCELLING,
        Trigger.SPEECH_STOPPED: State.THINKING,
        Trigger.INPUT_COMMITTED: State.THINKING,
        Trigger.RESPONSE_REQUESTED: State.THINKING,
        Trigger.RESPONSE_CREATED: State.THINKING,
        # The end of a response that was cancelled earlier.
        Trigger.RESPONSE_DONE: State.LISTENING,
        Trigger.PLAYOUT_STARTED: State.SPEAKING,
        Trigger.SESSION_LOST: State.RECOVERING,
        Trigger.HANDOFF_STARTED: State.HANDOFF,
        Trigger.TAKEN_OVER: State.HANDOFF,
    },
    State.THINKING: {
        # The caller goes on before a response exists.
        Trigger.SPEECH_STARTED: State.LISTENING,
        Trigger.INTERRUPTED: State.CANCELLING,
        Trigger.SPEECH_STOPPED: State.THINKING,
        Trigger.INPUT_COMMITTED: State.THINKING,
        Trigger.RESPONSE_REQUESTED: State.THINKING,
        Trigger.RESPONSE_CREATED: State.THINKING,
        Trigger.RESPONSE_DONE: State.LISTENING,
        Trigger.PLAYOUT_STARTED: State.SPEAKING,
        Trigger.PLAYOUT_PAUSED: State.THINKING,
        Trigger.PLAYOUT_DRAINED: State.LISTENING,
        Trigger.SESSION_LOST: State.RECOVERING,
        Trigger.HANDOFF_STARTED: State.HANDOFF,
        Trigger.TAKEN_OVER: State.HANDOFF,
    },
    State.SPEAKING: {
        Trigger.INTERRUPTED: State.CANCELLING,
        # Idle timeout of the server (GA) while the tail of an answer is still heard.
        Trigger.INPUT_COMMITTED: State.SPEAKING,
        Trigger.RESPONSE_REQUESTED: State.SPEAKING,
        Trigger.RESPONSE_CREATED: State.SPEAKING,
        Trigger.PLAYOUT_STARTED: State.SPEAKING,
        Trigger.PLAYOUT_PAUSED: State.THINKING,
        Trigger.PLAYOUT_DRAINED: State.LISTENING,
        Trigger.SESSION_LOST: State.RECOVERING,
        Trigger.HANDOFF_STARTED: State.HANDOFF,
        Trigger.TAKEN_OVER: State.HANDOFF,
    },
    State.CANCELLING: {
        Trigger.PLAYOUT_FLUSHED: State.LISTENING,
        Trigger.SPEECH_STARTED: State.CANCELLING,
        Trigger.INTERRUPTED: State.CANCELLING,
        Trigger.SPEECH_STOPPED: State.CANCELLING,
        Trigger.INPUT_COMMITTED: State.CANCELLING,
        Trigger.RESPONSE_REQUESTED: State.CANCELLING,
        Trigger.RESPONSE_CREATED: State.CANCELLING,
        Trigger.RESPONSE_DONE: State.CANCELLING,
        # Only an item of a later response gets here: the caller hears it.
        Trigger.PLAYOUT_STARTED: State.SPEAKING,
        Trigger.SESSION_LOST: State.RECOVERING,
        Trigger.TAKEN_OVER: State.HANDOFF,
    },
    State.RECOVERING: {
        Trigger.SESSION_RESTORED: State.LISTENING,
        # What was queued of the agent goes on playing; a key cuts it.
        Trigger.INTERRUPTED: State.RECOVERING,
        Trigger.PLAYOUT_FLUSHED: State.RECOVERING,
        Trigger.HANDOFF_STARTED: State.HANDOFF,
        Trigger.TAKEN_OVER: State.HANDOFF,
    },
    State.HANDOFF: {
        # A paused agent's call is taken over; a supervisor who has one sends it on.
        Trigger.TAKEN_OVER: State.HANDOFF,
        Trigger.HANDOFF_STARTED: State.HANDOFF,
        Trigger.GIVEN_BACK: State.LISTENING,
        Trigger.HANDOFF_FAILED: State.LISTENING,
        # The key that asked for it cut what was queued of an agent that was lost.
        Trigger.PLAYOUT_FLUSHED: State.HANDOFF,
        Trigger.HANDED_BACK: State.RECOVERING,
        # The caller is on the way to somebody else, with or without a session.
        Trigger.SESSION_LOST: State.HANDOFF,
    },
}

TRANSITIONS: Mapping[tuple[State, Trigger], State] = MappingProxyType(
    {
        (old, trigger): new
        for old, row in _ROWS.items()
        for trigger, new in {**row, Trigger.CLOSED: State.ENDED}.items()
    }
)


class TurnMachine:
    """The turn machine of one call: its state, moved by triggers alone."""

    def __init__(self) -> None:
        self._state = State.IDLE

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    def step(self, trigger: Trigger) -> Transition | None:
        """Take a trigger.

        Args:
            trigger: what happened.

        Returns:
            The step taken, or None where the table has no row: then the state is as before.
        """
        new = TRANSITIONS.get((self._state, trigger))
        if new is None:
            return None
        old, self._state = self._state, new
        return Transition(old, new, trigger)


def diagram() -> str:
    """Draw the table as a Mermaid state diagram, one arrow per pair of states.

    Returns:
        Mermaid ``stateDiagram-v2`` source, ending in a newline. Triggers that move nothing are
        left out.
    """
    arrows: dict[tuple[State, State], list[Trigger]] = {}
    for (old, trigger), new in TRANSITIONS.items():
        if old is not new:
            arrows.setdefault((old, new), []).append(trigger)
    lines = ["stateDiagram-v2", f"    [*] --> {State.IDLE}"]
    lines += [f"    {old} --> {new}: {', '.join(causes)}" for (old, new), causes in arrows.items()]
    lines.append(f"    {State.ENDED} --> [*]")
    return "\n".join(lines) + "\n"
