"""Who has the caller, the agent or a supervisor: its steps, and one table that joins them.

    AGENT -> AWAITED -> TALKING      taken over; the supervisor's voice comes, or comes back
    AGENT -> PAUSED                  the agent waits for a supervisor, the caller hears tones
    AWAITED | TALKING | PAUSED -> AGENT

Invariants as in :mod:`bridge.engine.turns`: a pair that the table lacks changes nothing.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.engine.state import Ending


class Hold(enum.StrEnum):
    """Who has the caller."""

    AGENT = "agent"
    PAUSED = "paused"
    AWAITED = "awaited"
    """A supervisor has taken over and can't be heard yet, or not any more."""
    TALKING = "talking"


class Signal(enum.StrEnum):
    """What moves it."""

    TAKE = "take"
    VOICE = "voice"
    """The holder can be heard."""
    NO_VOICE = "no_voice"
    PAUSE = "pause"
    RELEASE = "release"


_ROWS: Mapping[Hold, Mapping[Signal, Hold]] = {
    Hold.AGENT: {Signal.TAKE: Hold.AWAITED, Signal.PAUSE: Hold.PAUSED},
    Hold.PAUSED: {Signal.TAKE: Hold.AWAITED, Signal.RELEASE: Hold.AGENT},
    Hold.AWAITED: {Signal.VOICE: Hold.TALKING, Signal.RELEASE: Hold.AGENT},
    Hold.TALKING: {Signal.NO_VOICE: Hold.AWAITED, Signal.RELEASE: Hold.AGENT},
}

HOLDS: Mapping[tuple[Hold, Signal], Hold] = MappingProxyType(
    {(old, signal): new for old, row in _ROWS.items() for signal, new in row.items()}
)


@dataclass(slots=True)
class Supervised:
    """What supervisors do to a call.

    Attributes:
        hold: who has the caller.
        holder: the supervisor who took it from the agent; empty while the agent has it.
        since_ns: when that was.
        lost_voice: the holder was heard, and is not any more.
        accepted: how the call ends while they have it, where it was handed over to them.
        voices: supervisors whose microphones are connected, by name.
        secret: the call is kept from recording, model and listeners.
        recording_held: the recording pauses by a supervisor's wish, whatever ``secret`` is.
        notes: whispered so far.
    """

    hold: Hold = Hold.AGENT
    holder: str = ""
    since_ns: int = 0
    lost_voice: bool = False
    accepted: "Ending | None" = None
    voices: set[str] = field(default_factory=set)
    secret: bool = False
    recording_held: bool = False
    notes: int = 0

    @property
    def held(self) -> bool:
        """Whether the agent is kept out of the talk."""
        return self.hold is not Hold.AGENT

    @property
    def taken(self) -> bool:
        """Whether a supervisor has taken over, heard or not."""
        return self.hold in (Hold.AWAITED, Hold.TALKING)

    @property
    def talking(self) -> bool:
        """Whether a supervisor is heard."""
        return self.hold is Hold.TALKING

    def step(self, signal: Signal) -> bool:
        """Take a signal; return whether the table had a row."""
        new = HOLDS.get((self.hold, signal))
        if new is not None:
            self.hold = new
        return new is not None
