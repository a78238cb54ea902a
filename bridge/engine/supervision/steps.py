"""The steps by which a supervisor takes a caller from the agent and gives them back, as a table.

    AGENT -> AWAITED -> TALKING      taken over; the supervisor's voice comes, or comes back
    AGENT -> PAUSED                  the agent waits for a supervisor, the caller hears tones
    TALKING -> ON_HOLD -> TALKING    the caller waits for the supervisor who has them
    AGENT -> JOINED                  the supervisor talks with the caller and the agent
    any of them -> AGENT

Invariants as in :mod:`bridge.engine.turns`: a pair that the table lacks changes nothing.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bridge.engine.call.state import CallEnd


class CallerHolder(enum.StrEnum):
    """The party that has the caller."""

    AGENT = "agent"
    PAUSED = "paused"
    AWAITED = "awaited"
    """A supervisor has taken over and can't be heard yet, or not any more."""
    TALKING = "talking"
    ON_HOLD = "on_hold"
    """A supervisor has the caller wait, who hears tones."""
    JOINED = "joined"
    """The agent has them, and a supervisor talks with both."""


class HoldSignal(enum.StrEnum):
    """An event by which a caller changes hands."""

    TAKE = "take"
    VOICE = "voice"
    """The holder can be heard."""
    NO_VOICE = "no_voice"
    PAUSE = "pause"
    WAIT = "wait"
    """The holder has the caller wait."""
    GO_ON = "go_on"
    """The holder has them wait no more."""
    JOIN = "join"
    RELEASE = "release"


_ROWS: Mapping[CallerHolder, Mapping[HoldSignal, CallerHolder]] = {
    CallerHolder.AGENT: {
        HoldSignal.TAKE: CallerHolder.AWAITED,
        HoldSignal.PAUSE: CallerHolder.PAUSED,
        HoldSignal.JOIN: CallerHolder.JOINED,
    },
    CallerHolder.JOINED: {
        HoldSignal.TAKE: CallerHolder.AWAITED,
        HoldSignal.PAUSE: CallerHolder.PAUSED,
        HoldSignal.RELEASE: CallerHolder.AGENT,
    },
    CallerHolder.PAUSED: {
        HoldSignal.TAKE: CallerHolder.AWAITED,
        HoldSignal.RELEASE: CallerHolder.AGENT,
    },
    CallerHolder.AWAITED: {
        HoldSignal.VOICE: CallerHolder.TALKING,
        HoldSignal.RELEASE: CallerHolder.AGENT,
    },
    CallerHolder.TALKING: {
        HoldSignal.NO_VOICE: CallerHolder.AWAITED,
        HoldSignal.WAIT: CallerHolder.ON_HOLD,
        HoldSignal.RELEASE: CallerHolder.AGENT,
    },
    CallerHolder.ON_HOLD: {
        HoldSignal.NO_VOICE: CallerHolder.AWAITED,
        HoldSignal.GO_ON: CallerHolder.TALKING,
        HoldSignal.RELEASE: CallerHolder.AGENT,
    },
}

HOLDS: Mapping[tuple[CallerHolder, HoldSignal], CallerHolder] = MappingProxyType(
    {(old, signal): new for old, row in _ROWS.items() for signal, new in row.items()}
)


@dataclass(slots=True)
class Supervised:
    """The state of a call under supervision.

    Attributes:
        hold: who has the caller.
        holder: the supervisor who took it from the agent, or has joined; else empty.
        since_ns: when that was.
        lost_voice: the holder was heard, and is not any more.
        accepted: how the call ends while they have it, where it was handed over to them.
        muted: the holder has muted themselves.
        voices: supervisors whose microphones are connected, by name.
        secret: the call is kept from recording, model and listeners.
        recording_held: the recording pauses by a supervisor's wish, whatever ``secret`` is.
        notes: whispered so far.
    """

    hold: CallerHolder = CallerHolder.AGENT
    holder: str = ""
    since_ns: int = 0
    lost_voice: bool = False
    muted: bool = False
    accepted: CallEnd | None = None
    voices: set[str] = field(default_factory=set)
    secret: bool = False
    recording_held: bool = False
    notes: int = 0

    @property
    def held(self) -> bool:
        """Whether the agent is kept out of the talk."""
        return self.hold not in (CallerHolder.AGENT, CallerHolder.JOINED)

    @property
    def joined(self) -> bool:
        """Whether a supervisor talks beside the agent, heard or not yet."""
        return self.hold is CallerHolder.JOINED

    @property
    def taken(self) -> bool:
        """Whether a supervisor has taken over, heard or not."""
        return self.hold in (CallerHolder.AWAITED, CallerHolder.TALKING, CallerHolder.ON_HOLD)

    @property
    def talking(self) -> bool:
        """Whether a supervisor is heard in the agent's place."""
        return self.hold is CallerHolder.TALKING

    @property
    def audible(self) -> bool:
        """Whether the caller can hear a supervisor, in the agent's place or beside it."""
        return self.talking or (self.joined and self.holder in self.voices)

    @property
    def in_talk(self) -> bool:
        """Whether a supervisor talks with the caller, who may be on hold for a moment."""
        return self.audible or self.hold is CallerHolder.ON_HOLD

    def step(self, signal: HoldSignal) -> bool:
        """Take a signal; return whether the table had a row."""
        new = HOLDS.get((self.hold, signal))
        if new is not None:
            self.hold = new
        return new is not None
