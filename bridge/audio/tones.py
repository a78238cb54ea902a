"""Finds steady tones of one pitch in a call's audio, as the one that bids a caller wait. Pure.

A voice has overtones and changes its pitch; a tone has all its power at one frequency and stays
there. Measured over 24 kHz audio that went through G.711: a 440 Hz tone has 99% of its power within
50 Hz, and the steadiest vowel of espeak-ng keeps as much for less than 60 ms.
"""

import numpy as np
from numpy.typing import NDArray

_HOP_MS, _WINDOW_MS = 20, 40
WAITING_HZ = 440.0
"""The bridge's waiting tone (`bridge/live/filler.py`). Hummed sounds (m, n, oo) have almost all
their power below it, at the pitch of the voice."""
_SHARE = 0.93
_WIDTH_BINS = 2
_DRIFT_HZ = 26.0
_LEAST_MS = 100
_LEAST_RMS = 80.0
"""-52 dBFS: the begin of a tone that fades in, and no noise of the line."""


def find_tones(
    samples: NDArray[np.int16], rate_hz: int, tone_hz: float = WAITING_HZ
) -> list[tuple[int, int]]:
    """Find stretches of one steady frequency, of 100 ms and more.

    Args:
        samples: (n,) int16 at ``rate_hz``.
        rate_hz: rate of the signal.
        tone_hz: the frequency, to within 26 Hz; other tones are none of these.

    Returns:
        (start, end) in ms, in order, accurate to 20 ms.
    """
    peaks_hz = _peaks_hz(samples, rate_hz)
    peaks_hz[np.abs(peaks_hz - tone_hz) > _DRIFT_HZ] = np.nan
    found: list[tuple[int, int]] = []
    begin = 0
    for at in range(1, peaks_hz.size + 1):
        if at < peaks_hz.size and abs(peaks_hz[at] - peaks_hz[at - 1]) < _DRIFT_HZ:
            continue
        # A NaN is near to nothing, so that each is a stretch of its own.
        start_ms, end_ms = begin * _HOP_MS, (at - 1) * _HOP_MS + _WINDOW_MS
        if not np.isnan(peaks_hz[begin]) and end_ms - start_ms >= _LEAST_MS:
            found.append((start_ms, end_ms))
        begin = at
    return found


def _peaks_hz(samples: NDArray[np.int16], rate_hz: int) -> NDArray[np.float64]:
    """Return each window's only frequency, (windows,); NaN where it has others, or is silent."""
    hop, width = rate_hz * _HOP_MS // 1000, rate_hz * _WINDOW_MS // 1000
    if samples.size < width:
        return np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(samples, width)[::hop].astype(np.float64)
    power = np.abs(np.fft.rfft(windows * np.hanning(width), axis=1)) ** 2
    top = power.argmax(axis=1)
    bins = np.arange(power.shape[1])
    near = np.abs(bins[np.newaxis, :] - top[:, np.newaxis]) <= _WIDTH_BINS
    share = np.where(near, power, 0.0).sum(axis=1) / np.maximum(power.sum(axis=1), 1.0)
    hz = top * (1000 / _WINDOW_MS)
    loud = np.sqrt(np.mean(np.square(windows), axis=1)) >= _LEAST_RMS
    return np.where(loud & (share >= _SHARE), hz, np.nan)
