"""Levels in dBFS, and an energy gate that separates speech from silence.

0 dBFS is the RMS of a full-scale square wave (32768), so a full-scale sine is at -3.01 dBFS.
Offsets are samples at the gate's own rate since its first frame: the gate has no other clock.
"""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOOR_DBFS = -120.0
_FULL_SCALE = 32768.0
_FLOOR_POWER = 10.0 ** (FLOOR_DBFS / 10.0)

DEFAULT_THRESHOLD_DBFS = -45.0
DEFAULT_MIN_SPEECH_MS = 60
DEFAULT_HANGOVER_MS = 300


def rms_dbfs(windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Measure the RMS level of every call.

    Args:
        windows: (calls, n) int16.

    Returns:
        (calls,) float32 in dBFS, never below -120 (which is also the level of no samples).
    """
    calls, samples = windows.shape
    if samples == 0:
        return np.full(calls, FLOOR_DBFS, dtype=np.float32)
    scaled = windows.astype(np.float32) / np.float32(_FULL_SCALE)
    power = np.einsum("ij,ij->i", scaled, scaled) / samples
    levels: NDArray[np.float32] = 10.0 * np.log10(np.maximum(power, np.float32(_FLOOR_POWER)))
    # float32 rounds the power's floor.
    return np.asarray(np.maximum(levels, FLOOR_DBFS), dtype=np.float32)


def peak_dbfs(windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Measure the largest sample of every call.

    Args:
        windows: (calls, n) int16.

    Returns:
        (calls,) float32 in dBFS, never below -120 (which is also the peak of no samples).
    """
    calls, samples = windows.shape
    if samples == 0:
        return np.full(calls, FLOOR_DBFS, dtype=np.float32)
    # Not abs(): that of -32768 is no int16.
    peaks = np.maximum(windows.max(axis=1), -windows.min(axis=1).astype(np.int32))
    smallest = 10.0 ** (FLOOR_DBFS / 20.0)
    levels: NDArray[np.float64] = 20.0 * np.log10(np.maximum(peaks / _FULL_SCALE, smallest))
    return levels.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Started:
    """Speech began; the offset is where the first loud frame begins, before it was confirmed."""

    at_samples: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Speech ended; the offset is where the last loud frame ends, before the hangover."""

    at_samples: int


GateEvent = Started | Stopped


class _Phase(enum.Enum):
    QUIET = enum.auto()
    RISING = enum.auto()
    """Loud, but not yet for the minimum time."""
    SPEAKING = enum.auto()


class SpeechGate:
    """An energy detector with hysteresis over 20 ms frames.

    A frame at or above ``threshold_dbfs`` opens a run; frames above ``threshold_dbfs -
    hysteresis_db`` keep it alive. A run of ``min_speech_ms`` is speech; ``hangover_ms`` of quiet
    ends it. A shorter run never happened.

    Args:
        rate_hz: rate of the frames.
        threshold_dbfs: level that opens a run.
        hysteresis_db: how far the level may fall before a frame counts as quiet.
        min_speech_ms: shortest run that is reported.
        hangover_ms: quiet that ends speech; pauses within a sentence are shorter.

    Attributes:
        frame_samples: samples that :meth:`feed` takes (20 ms).
    """

    FRAME_MS = 20

    def __init__(
        self,
        rate_hz: int,
        *,
        threshold_dbfs: float = DEFAULT_THRESHOLD_DBFS,
        hysteresis_db: float = 6.0,
        min_speech_ms: int = DEFAULT_MIN_SPEECH_MS,
        hangover_ms: int = DEFAULT_HANGOVER_MS,
    ) -> None:
        self.frame_samples = rate_hz * self.FRAME_MS // 1000
        if self.frame_samples < 1:
            raise ValueError(f"a rate of {rate_hz} Hz has no 20 ms frame")
        self._open_dbfs = threshold_dbfs
        self._close_dbfs = threshold_dbfs - hysteresis_db
        self._min_speech_samples = rate_hz * min_speech_ms // 1000
        self._hangover_samples = rate_hz * hangover_ms // 1000
        self._phase = _Phase.QUIET
        self._position_samples = 0
        self._run_start_samples = 0
        self._loud_end_samples = 0

    @property
    def speaking(self) -> bool:
        """True from :class:`Started` to :class:`Stopped`."""
        return self._phase is _Phase.SPEAKING

    def feed(self, frame: NDArray[np.int16]) -> GateEvent | None:
        """Take the next 20 ms.

        Args:
            frame: (:attr:`frame_samples`,) int16.

        Returns:
            What this frame decided, or None.

        Raises:
            ValueError: another frame size.
        """
        if frame.shape != (self.frame_samples,):
            raise ValueError(f"frame of shape {frame.shape}; ({self.frame_samples},) expected")
        return self.feed_level(float(rms_dbfs(frame[np.newaxis, :])[0]))

    def feed_level(self, level_dbfs: float) -> GateEvent | None:
        """Take the level of the next 20 ms, where it is measured for all calls at once."""
        frame_start_samples = self._position_samples
        self._position_samples += self.frame_samples
        if self._phase is _Phase.QUIET:
            if level_dbfs < self._open_dbfs:
                return None
            self._phase = _Phase.RISING
            self._run_start_samples = frame_start_samples
        if level_dbfs >= self._close_dbfs:
            self._loud_end_samples = self._position_samples
            return self._confirm()
        return self._fall_silent()

    def flush(self) -> Stopped | None:
        """End the signal here: close speech that is still open, forget a run that was too short."""
        was_speaking = self.speaking
        self._phase = _Phase.QUIET
        return Stopped(self._loud_end_samples) if was_speaking else None

    def _confirm(self) -> Started | None:
        run_samples = self._position_samples - self._run_start_samples
        if self._phase is not _Phase.RISING or run_samples < self._min_speech_samples:
            return None
        self._phase = _Phase.SPEAKING
        return Started(self._run_start_samples)

    def _fall_silent(self) -> Stopped | None:
        if self._phase is _Phase.RISING:
            self._phase = _Phase.QUIET
            return None
        if self._position_samples - self._loud_end_samples < self._hangover_samples:
            return None
        self._phase = _Phase.QUIET
        return Stopped(self._loud_end_samples)


def find_speech(
    x: NDArray[np.int16],
    rate_hz: int,
    *,
    threshold_dbfs: float = DEFAULT_THRESHOLD_DBFS,
    hysteresis_db: float = 6.0,
    min_speech_ms: int = DEFAULT_MIN_SPEECH_MS,
    hangover_ms: int = DEFAULT_HANGOVER_MS,
) -> list[tuple[int, int]]:
    """Find the stretches of speech in a whole signal.

    Args:
        x: (n,) int16 at ``rate_hz``.
        rate_hz: rate of the signal.
        threshold_dbfs: as in :class:`SpeechGate`, like all that follow.
        hysteresis_db: see there.
        min_speech_ms: see there.
        hangover_ms: see there; stretches closer than this are one.

    Returns:
        (start, end) offsets in samples, in order, accurate to 20 ms.
    """
    gate = SpeechGate(
        rate_hz,
        threshold_dbfs=threshold_dbfs,
        hysteresis_db=hysteresis_db,
        min_speech_ms=min_speech_ms,
        hangover_ms=hangover_ms,
    )
    frames = np.zeros((-(-x.size // gate.frame_samples), gate.frame_samples), dtype=np.int16)
    frames.reshape(-1)[: x.size] = x
    events = [gate.feed_level(level) for level in rms_dbfs(frames).tolist()]
    events.append(gate.flush())
    starts = [event.at_samples for event in events if isinstance(event, Started)]
    ends = [min(event.at_samples, x.size) for event in events if isinstance(event, Stopped)]
    return list(zip(starts, ends, strict=True))
