"""Tones and the spectrum measurements that the audio tests share."""

import numpy as np
from numpy.typing import NDArray


def tone(
    frequency_hz: float, rate_hz: int, samples: int, amplitude: float = 16_000.0
) -> NDArray[np.int16]:
    """Return (samples,) int16 of a sine."""
    n = np.arange(samples)
    return np.rint(amplitude * np.sin(2 * np.pi * frequency_hz * n / rate_hz)).astype(np.int16)


def noise(samples: int, seed: int, peak: int = 32_000) -> NDArray[np.int16]:
    """Return (samples,) int16 of white noise, the same for the same seed."""
    return np.random.default_rng(seed).integers(-peak, peak, samples).astype(np.int16)


def spectrum_db(x: NDArray[np.int16], rate_hz: int) -> tuple[NDArray[np.float64], float]:
    """Return the level of each bin in dB re amplitude 1, and the width of a bin in Hz.

    The Kaiser window's side lobes are below -110 dB, so a tone's own skirt never hides an image.
    """
    window = np.kaiser(x.size, 14.0)
    magnitudes = np.abs(np.fft.rfft(x * window)) * 2 / window.sum()
    return 20 * np.log10(np.maximum(magnitudes, 1e-9)), rate_hz / x.size


def level_at_db(x: NDArray[np.int16], frequency_hz: float, rate_hz: int) -> float:
    """Return the amplitude of the tone at ``frequency_hz`` in dB re amplitude 1."""
    levels, bin_hz = spectrum_db(x, rate_hz)
    middle = round(frequency_hz / bin_hz)
    return float(levels[max(0, middle - 8) : middle + 9].max())


def loudest_other_db(
    x: NDArray[np.int16], frequency_hz: float, rate_hz: int, *, within_hz: float = 40.0
) -> float:
    """Return the loudest component that isn't at ``frequency_hz``, in dB re amplitude 1."""
    levels, bin_hz = spectrum_db(x, rate_hz)
    frequencies = np.arange(levels.size) * bin_hz
    return float(levels[np.abs(frequencies - frequency_hz) > within_hz].max())
