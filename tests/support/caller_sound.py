"""What a caller heard, judged sample by sample: a click, a gap, another level can't hide.

Two ways. Where another caller heard the same without a supervisor, both must have got the same
samples. Where a caller heard tones, one after the other, each must be one sine from its begin to
its end: what is left when that sine is taken away is G.711's rounding, and nothing else.

A sound with gaps that a busy machine left can't be judged so: hold the bridge's own count of them
against none first (:meth:`tests.support.machine.Timing.check_none`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tests.support.rtp_caller import FRAME_SAMPLES, Heard

RATE_HZ = 8_000
ROUNDING = 260
"""G.711 rounds amplitudes up to 8158 to steps of 256 (ITU-T G.711 table 2a), so by 128 at most;
the resampler's ripple and the fit's own error are some 20. A step of one sample by more than both
is seen."""

LEVEL_DB = 0.1

_QUIET = 40
_EDGE_SAMPLES = RATE_HZ * 15 // 1000
"""A fade (5 ms) and the resampler's swing at either end of a tone."""

Sound = npt.NDArray[np.int16]


def from_first_loud(packets: Sequence[Heard]) -> Sequence[Heard]:
    """Return the packets from the first loud one on; none where none is loud."""
    first = next((place for place, each in enumerate(packets) if each.loud), len(packets))
    return packets[first:]


def whole_sound(packets: Sequence[Heard]) -> Sound:
    """Return what packets hold, (n,) at 8 kHz, if the sender left no gap between them.

    Raises:
        AssertionError: there is a gap, or a packet was lost.
    """
    for earlier, later in pairwise(packets):
        if (later.sequence - earlier.sequence) & 0xFFFF != 1:
            raise AssertionError(f"packets are missing before number {later.sequence}")
        step = (later.timestamp - earlier.timestamp) & 0xFFFFFFFF
        assert step == FRAME_SAMPLES, f"a gap of {(step - FRAME_SAMPLES) / 8:.0f} ms"
    return np.concatenate([each.samples for each in packets])


def assert_same_sound(sound: Sound, without: Sound) -> None:
    """Compare what was heard with what was heard where nobody stepped in, bit for bit."""
    assert sound.shape == without.shape
    other = np.flatnonzero(sound != without)
    if other.size:
        most = int(np.abs(sound.astype(np.int32) - without).max())
        raise AssertionError(
            f"{other.size} of {sound.size} samples are others, the first one after"
            f" {other[0] / 8:.1f} ms, by up to {most}"
        )


@dataclass(frozen=True, slots=True)
class Tone:
    """One tone that a caller heard.

    Attributes:
        start: its first sample; end: behind its last.
        amplitude: of the sine that fits best.
        worst: how far a sample is from that sine; the ends, where it fades, don't count.
    """

    start: int
    end: int
    hz: float
    amplitude: float
    worst: float


def tones_of(sound: Sound, pitches_hz: Sequence[float]) -> list[Tone]:
    """Return the tones that are in a sound, in their order; silence is what parts them.

    A sound that is shorter than its own fades is none, and is not left out: its ``worst`` is all
    that there is of it.
    """
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > _QUIET)
    if not loud.size:
        return []
    # A tone crosses zero for less than this, at the lowest pitch here.
    breaks = np.flatnonzero(np.diff(loud) > RATE_HZ * 3 // 1000)
    starts = loud[np.concatenate([[0], breaks + 1])]
    ends = loud[np.concatenate([breaks, [loud.size - 1]])] + 1
    return [
        _fitted(sound, int(start), int(end), pitches_hz)
        for start, end in zip(starts, ends, strict=True)
    ]


def assert_tones(
    sound: Sound, pitches_hz: Sequence[float], amplitude: float, order: Sequence[float]
) -> list[Tone]:
    """Return the tones of a sound, which must be these in this order, each whole and as loud."""
    found = tones_of(sound, pitches_hz)
    told = ", ".join(
        f"{each.hz:.0f} Hz {each.start / 8:.0f}-{each.end / 8:.0f} ms {each.amplitude:.0f}"
        f" (off by {each.worst:.0f})"
        for each in found
    )
    assert [each.hz for each in found] == list(order), f"heard {told}"
    for each in found:
        assert each.worst < ROUNDING, f"not one sine: {told}"
        off_db = abs(20 * np.log10(each.amplitude / amplitude))
        assert off_db < LEVEL_DB, f"another level: {told}"
    return found


def _fitted(sound: Sound, start: int, end: int, pitches_hz: Sequence[float]) -> Tone:
    inner = np.arange(start + _EDGE_SAMPLES, end - _EDGE_SAMPLES)
    if inner.size < FRAME_SAMPLES:
        return Tone(start, end, 0.0, 0.0, float(np.abs(sound[start:end].astype(np.int32)).max()))
    fits = []
    for hz in pitches_hz:
        turn = 2 * np.pi * hz * inner / RATE_HZ
        waves = np.stack([np.sin(turn), np.cos(turn)], axis=1)
        parts, *_ = np.linalg.lstsq(waves, sound[inner].astype(np.float64), rcond=None)
        worst = float(np.abs(sound[inner] - waves @ parts).max())
        fits.append(Tone(start, end, hz, float(np.hypot(*parts)), worst))
    return min(fits, key=lambda each: each.worst)
