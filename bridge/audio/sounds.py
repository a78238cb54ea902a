"""Sounds of many callers at once: the begin, the length and the end of each.

Fed with the levels of both directions, 20 ms frame by 20 ms frame. A caller's frame is loud where
it is above a threshold, and above what the agent's own echo would be: the agent's loudest frame of
the last :data:`ECHO_MS` less ``echo_guard_db``, and :data:`_ASTRIDE_DB` more. An echo neither
begins a sound nor prolongs one. Pure; the clock is the frames.
"""

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from bridge.audio.levels import DEFAULT_THRESHOLD_DBFS, FLOOR_DBFS

FRAME_MS = 20
ECHO_MS = 400
"""An echo comes back within this time: ITU-T G.114 allows 400 ms one way at the worst."""

CONFIRMED_MS = 60
"""A shorter sound never happened: a click."""

HANGOVER_MS = 300
"""Quiet that ends a sound. Shorter is the stop within a word, and the breath after the first one
(espeak-ng leaves 220 ms in "stop, I have a question")."""

_HYSTERESIS_DB = 6.0
"""By which a sound that goes on may be below the threshold."""

_ASTRIDE_DB = 3.0
"""By which a frame of an echo may be louder than any of the agent's less the echo's loss: a burst
of one frame's length that lay astride two of the agent's frames has all its energy in one of the
echo. Measured without it: an echo of exactly the guard's loss cut the agent at 12 of 78 delays, and
at all of 78 where the agent was 6 dB louder."""

_NO_RUN = -1


@dataclass(frozen=True, slots=True)
class SoundSettings:
    """What counts as a sound of one caller.

    Attributes:
        threshold_dbfs: RMS of a loud frame.
        echo_guard_db: by how much the agent's echo is at least quieter than the agent.
        milestones_ms: lengths that are reported, ascending.
    """

    threshold_dbfs: float = DEFAULT_THRESHOLD_DBFS
    echo_guard_db: float = 30.0
    milestones_ms: tuple[int, ...] = ()


class SoundEdge(Enum):
    """What became of a sound."""

    STARTED = auto()
    LASTED = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class SoundChange:
    """A change of one row's sound.

    Attributes:
        place: of the row among those that were fed.
        ago_ms: from its moment (begin of the sound, or end of its last loud frame) to the end of
            the frame that was fed.
        lasted_ms: from the sound's begin to the end of its last loud frame.
    """

    place: int
    change: SoundEdge
    ago_ms: int
    lasted_ms: int


@dataclass(frozen=True, slots=True)
class SoundStarted:
    """The caller's channel is louder than silence, and than the agent's echo would be.

    Attributes:
        at_ns: monotonic time of its first loud frame, before it was confirmed.
    """

    at_ns: int


@dataclass(frozen=True, slots=True)
class SoundLasted:
    """A sound has become as long as one of the lengths that the policy asks about.

    Attributes:
        lasted_ms: from its first loud frame to its latest, by the audio clock.
    """

    at_ns: int
    lasted_ms: int


@dataclass(frozen=True, slots=True)
class SoundStopped:
    """A sound is over; ``at_ns`` is the end of its last loud frame."""

    at_ns: int


Sound = SoundStarted | SoundLasted | SoundStopped
"""What the caller's channel does, as listeners learn of it."""


class CallerSounds:
    """The sounds of all rows.

    Args:
        rows: of the arena.
    """

    def __init__(self, rows: int) -> None:
        self._frame = np.zeros(rows, dtype=np.int64)
        self._start = np.full(rows, _NO_RUN, dtype=np.int64)
        self._loud_end = np.zeros(rows, dtype=np.int64)
        self._reported = np.zeros(rows, dtype=np.int64)
        self._threshold = np.zeros(rows, dtype=np.float32)
        self._guard = np.zeros(rows, dtype=np.float32)
        self._agent = np.full((rows, ECHO_MS // FRAME_MS), FLOOR_DBFS, dtype=np.float32)
        self._milestones: dict[int, tuple[int, ...]] = {}

    def begin(self, row: int, settings: SoundSettings) -> None:
        """Begin a row in silence."""
        self._frame[row] = self._loud_end[row] = self._reported[row] = 0
        self._start[row] = _NO_RUN
        self._agent[row] = FLOOR_DBFS
        self._threshold[row] = settings.threshold_dbfs
        self._guard[row] = settings.echo_guard_db
        self._milestones[row] = (CONFIRMED_MS, *settings.milestones_ms)

    def feed(
        self,
        rows: NDArray[np.int64],
        caller_dbfs: NDArray[np.float32],
        agent_dbfs: NDArray[np.float32],
    ) -> list[SoundChange]:
        """Take the levels of the next frame of some rows.

        Args:
            rows: (n,) each of them begun.
            caller_dbfs: (n,) RMS.
            agent_dbfs: (n,) RMS of what the caller heard at the same time.

        Returns:
            What changed, in the order of the rows.
        """
        frame = self._frame[rows]
        self._frame[rows] += 1
        self._agent[rows, frame % self._agent.shape[1]] = agent_dbfs
        echo = self._agent[rows].max(axis=1) - self._guard[rows] + np.float32(_ASTRIDE_DB)
        running = self._start[rows] != _NO_RUN
        threshold = self._threshold[rows] - np.float32(_HYSTERESIS_DB) * running
        loud = caller_dbfs >= np.maximum(threshold, echo)
        begins = rows[loud & ~running]
        self._start[begins] = self._frame[begins] - 1
        self._reported[begins] = 0
        self._loud_end[rows[loud]] = self._frame[rows[loud]]
        changes: list[SoundChange] = []
        for place in np.flatnonzero(loud | running).tolist():
            changes.extend(self._follow(place, int(rows[place]), bool(loud[place])))
        return changes

    def _follow(self, place: int, row: int, loud: bool) -> list[SoundChange]:
        now, start, loud_end = (int(a[row]) for a in (self._frame, self._start, self._loud_end))
        lasted_ms, reported = (loud_end - start) * FRAME_MS, int(self._reported[row])
        if not loud:
            quiet_ms = (now - loud_end) * FRAME_MS
            if reported and quiet_ms < HANGOVER_MS:
                return []
            self._start[row] = _NO_RUN
            return [SoundChange(place, SoundEdge.STOPPED, quiet_ms, lasted_ms)] if reported else []
        milestones = self._milestones[row]
        reached = sum(milestone <= lasted_ms for milestone in milestones)
        self._reported[row] = reached
        changes = []
        for number in range(reported, reached):
            change = SoundEdge.LASTED if number else SoundEdge.STARTED
            changes.append(SoundChange(place, change, (now - start) * FRAME_MS, lasted_ms))
        return changes
