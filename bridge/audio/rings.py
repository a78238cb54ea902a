"""Sample rings of all calls: one numpy arena, a row a call, receive and transmit.

Positions are absolute int64 sample counts since the row was acquired and never wrap; position
modulo length is the index. PJSIP's own position in a ring is the clock (`ARCHITECTURE.md` section
2).

Invariants: the arena is one allocation that never moves, so the address of a row is good for the
arena's life and may be given to PJSIP's memory ports. Nothing here locks: Python's side runs in the
loop's thread alone, and each sample index has one writer at a time (PJSIP in rx, the pump in tx).
A caller keeps its positions within one length of PJSIP's; beyond that it reads what came later.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from bridge.audio.resample import PHONE_HZ
from bridge.errors import BridgeError, Outcome

FRAME_SAMPLES = 160
"""20 ms at 8 kHz, what PJSIP moves at once there; at any rate rings are copied by so many."""
FRAME_MS = 20
LENGTH_S = 2
"""Of a ring (`ARCHITECTURE.md` section 2)."""
RESTING_ROWS = 8
"""Rows that rest before a released one is taken again, while there are untouched ones: PJSIP may
still finish a frame in it. Memory is so taken by the most calls at once, not by all there were."""


class RingsExhausted(BridgeError):
    """Every row is in use; the call that wanted one is one too many."""

    outcome = Outcome.REJECTED_BUSY

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"all {rows} audio rings are in use",
            remedy="raise the call capacity or refuse the call",
            retryable=True,
        )
        self.rows = rows


class RingArena:
    """The rings of up to ``rows`` calls.

    Args:
        rows: calls that can have rings at the same time.
        length_samples: samples in each ring; a multiple of 20 ms, so that a frame that starts
            on a frame boundary never wraps. None for :data:`LENGTH_S`.
        rate_hz: of all rows.

    Attributes:
        rx: (rows, length) int16, C-contiguous: what the caller said.
        tx: (rows, length) int16, C-contiguous: what the caller is to hear.
        rate_hz: of both.
        frame_samples: 20 ms: what PJSIP moves at once.

    Raises:
        ValueError: no rows, or a length that is not a positive multiple of 20 ms.
    """

    def __init__(
        self, rows: int, length_samples: int | None = None, *, rate_hz: int = PHONE_HZ
    ) -> None:
        if rows < 1:
            raise ValueError(f"an arena needs at least 1 row, not {rows}")
        if length_samples is None:
            length_samples = LENGTH_S * rate_hz
        frame_samples = rate_hz * FRAME_MS // 1000
        if length_samples < frame_samples or length_samples % frame_samples:
            raise ValueError(
                f"ring length of {length_samples} samples; a multiple of {frame_samples} expected"
            )
        self.rate_hz = rate_hz
        self.frame_samples = frame_samples
        self.rows = rows
        self.length_samples = length_samples
        self._memory: NDArray[np.int16] = np.zeros((2, rows, length_samples), dtype=np.int16)
        self.rx: NDArray[np.int16] = self._memory[0]
        self.tx: NDArray[np.int16] = self._memory[1]
        self._untouched = deque(range(rows))
        self._resting: deque[int] = deque()  # the one that was released first comes first
        self._taken: set[int] = set()

    @property
    def free_rows(self) -> int:
        """Rows that :meth:`acquire` can still give."""
        return len(self._untouched) + len(self._resting)

    def acquire(self) -> int:
        """Take a row, zeroed in both directions.

        Raises:
            RingsExhausted: every row is in use.
        """
        if not self.free_rows:
            raise RingsExhausted(self.rows)
        rested = len(self._resting) > RESTING_ROWS or not self._untouched
        row = (self._resting if rested else self._untouched).popleft()
        self._taken.add(row)
        self._memory[:, row, :] = 0
        return row

    def release(self, row: int) -> None:
        """Give a row back. PJSIP must have let go of its address before.

        Raises:
            ValueError: the row is not in use.
        """
        if row not in self._taken:
            raise ValueError(f"ring row {row} is not in use")
        self._taken.remove(row)
        self._resting.append(row)


def gather(
    ring: NDArray[np.int16], rows: NDArray[np.int64], starts: NDArray[np.int64], count: int
) -> NDArray[np.int16]:
    """Copy the same number of samples out of several rows, each from its own position.

    A position before 0 is the history of a call that just began: such an index was not written yet
    and reads as the zero that :meth:`RingArena.acquire` left.

    Args:
        ring: (rows, length) int16, C-contiguous: ``arena.rx`` or ``arena.tx``.
        rows: (calls,) row of each call.
        starts: (calls,) int64 absolute position of the first sample of each call.
        count: samples to copy from each, at most the ring's length.

    Returns:
        (calls, count) int16, a copy.

    Raises:
        ValueError: ``count`` is negative or more than the ring holds.
    """
    length = ring.shape[1]
    _check_count(count, length)
    if not rows.size or not count:
        return np.empty((rows.size, count), dtype=np.int16)
    first = starts % length
    offset = int(first[0]) % FRAME_SAMPLES
    frames = -(-(offset + count) // FRAME_SAMPLES)
    if frames * FRAME_SAMPLES <= length and not ((first - offset) % FRAME_SAMPLES).any():
        # PJSIP steps all rows together, in frames: whole frames copy 30 times as fast as samples.
        frame = (first[:, np.newaxis] // FRAME_SAMPLES + np.arange(frames)) % (
            length // FRAME_SAMPLES
        )
        whole = ring.reshape(ring.shape[0], -1, FRAME_SAMPLES)[rows[:, np.newaxis], frame]
        return np.ascontiguousarray(
            whole.reshape(rows.size, frames * FRAME_SAMPLES)[:, offset : offset + count]
        )
    indices = first[:, np.newaxis] + np.arange(count)
    # One subtraction wraps, since count <= length; a second modulo would cost three times as much.
    indices -= length * (indices >= length)
    indices += (rows * length)[:, np.newaxis]
    gathered: NDArray[np.int16] = ring.reshape(-1).take(indices)
    return gathered


def scatter(
    ring: NDArray[np.int16],
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    samples: NDArray[np.int16],
) -> None:
    """Copy the same number of frames into each of several rows, each to its own position.

    Args:
        ring: (rows, length) int16, C-contiguous.
        rows: (calls,) row of each call, no row twice.
        starts: (calls,) int64 absolute position of the first sample of each call.
        samples: (calls, whole frames of :data:`FRAME_SAMPLES`) int16, no more than a row holds.

    Raises:
        ValueError: frames of another shape or dtype.
    """
    if samples.ndim != 2 or samples.shape[0] != rows.size or samples.dtype != np.int16:
        raise ValueError(
            f"frames of shape {samples.shape} and dtype {samples.dtype}; "
            f"({rows.size}, n) int16 expected"
        )
    count, rest = divmod(samples.shape[1], FRAME_SAMPLES)
    if rest or not 0 < count * FRAME_SAMPLES <= ring.shape[1]:
        raise ValueError(
            f"whole frames that fit into a row expected, not {samples.shape[1]} samples"
        )
    first = starts % ring.shape[1]
    if (first % FRAME_SAMPLES).any():
        for row, start, frame in zip(rows.tolist(), first.tolist(), samples, strict=True):
            write(ring, row, start, frame)
        return
    frames = ring.reshape(ring.shape[0], -1, FRAME_SAMPLES)
    places = (first[:, np.newaxis] // FRAME_SAMPLES + np.arange(count)) % frames.shape[1]
    frames[rows[:, np.newaxis], places] = samples.reshape(rows.size, count, FRAME_SAMPLES)


def write(ring: NDArray[np.int16], row: int, start: int, samples: NDArray[np.int16]) -> None:
    """Copy samples into a row from an absolute position on.

    Args:
        ring: (rows, length) int16.
        row: row of the call.
        start: absolute position of the first sample.
        samples: (n,) int16, n at most the ring's length.

    Raises:
        ValueError: more samples than the ring holds, or not one-dimensional int16.
    """
    if samples.ndim != 1 or samples.dtype != np.int16:
        raise ValueError(
            f"samples of shape {samples.shape} and dtype {samples.dtype}; (n,) int16 expected"
        )
    length = ring.shape[1]
    _check_count(samples.size, length)
    index = start % length
    before_wrap = min(samples.size, length - index)
    ring[row, index : index + before_wrap] = samples[:before_wrap]
    ring[row, : samples.size - before_wrap] = samples[before_wrap:]


def clear(ring: NDArray[np.int16], row: int, start: int, count: int) -> None:
    """Zero ``count`` samples of a row from the absolute position ``start`` on.

    Raises:
        ValueError: ``count`` is negative or more than the ring holds.
    """
    length = ring.shape[1]
    _check_count(count, length)
    index = start % length
    before_wrap = min(count, length - index)
    ring[row, index : index + before_wrap] = 0
    ring[row, : count - before_wrap] = 0


def _check_count(count: int, length: int) -> None:
    if not 0 <= count <= length:
        raise ValueError(f"{count} samples in a ring of {length}")
