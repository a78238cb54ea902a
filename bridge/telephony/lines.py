"""The calls in the pump: one :class:`Line` each, and all of them as one array of rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bridge.audio.ledger import PlayoutDrained, PlayoutStarted
from bridge.audio.sounds import Sound, SoundSettings
from bridge.telephony.playout import Playout
from bridge.telephony.ports import Positions
from bridge.telephony.recorder import Recorder

UNDUCKED = 1.0
SILENCED = 0.0
"""Gains."""


class LineListener(Protocol):
    """The interface of whatever takes one call's audio."""

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Take caller audio in the line's format; ``captured_ns``: when its last sample came in."""

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Learn that the caller hears an item now, or has heard all there was."""


class SoundListener(Protocol):
    """The interface of whatever follows the caller's sounds."""

    def __call__(self, event: Sound, /) -> None:
        """Take a change of the caller's sound."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """The lines whose sounds are watched, with their listeners."""

    settings: SoundSettings
    listener: SoundListener


@dataclass(slots=True)
class PumpStats:
    """Counts since start.

    Attributes:
        overruns: caller audio was lost because the loop stood still for almost a whole ring.
        underruns: an item's audio had a gap, because more of it wasn't there in time.
        late_blocks: PJSIP had passed a block's place by the time that it was laid.
        clock_stalls: PJSIP's audio clock stood still for so long that the caller hears it
            (:class:`bridge.telephony.audio_clock.ClockWatch`).
        clock_still_ms: for how long it has stood still by now, while there are calls.
    """

    overruns: int = 0
    underruns: int = 0
    late_blocks: int = 0
    clock_stalls: int = 0
    clock_still_ms: int = 0
    blocks_up: int = 0
    blocks_down: int = 0


@dataclass(slots=True, eq=False)
class Line:
    """One call in the pump.

    Attributes:
        sounds: None where nobody asks for the caller's sounds.
        gain: of the agent's audio; below 1 while it is ducked.
    """

    row: int
    listener: LineListener
    recorder: Recorder | None
    on_downlink: Callable[[int], None]
    sounds: Sounds | None = None
    gain: float = UNDUCKED
    playout: Playout = field(default_factory=Playout)
    burst_queued_ns: int | None = None
    burst_starts: int = 0
    underruns: int = 0


class LineSet:
    """Lines and their rows, in the same order; replaced when a call comes or goes.

    Attributes:
        rows: (lines,) int64.
        listened: (lines,) bool: those whose sounds are reported.
    """

    def __init__(self, lines: tuple[Line, ...] = ()) -> None:
        self.lines = lines
        self.rows: Positions = np.array([line.row for line in lines], dtype=np.int64)
        self.listened = np.array([line.sounds is not None for line in lines], dtype=bool)

    def __len__(self) -> int:
        return len(self.lines)

    def at(self, places: Positions) -> list[Line]:
        """Return the lines at some places."""
        return [self.lines[place] for place in places.tolist()]
