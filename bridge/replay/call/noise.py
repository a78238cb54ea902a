"""Noise for a scripted call, as loud as its signal-to-noise ratio says. Blocks for a moment."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.audio.levels import find_speech
from bridge.audio.wav import read_speech
from bridge.errors import ConfigError
from bridge.replay.call.noises import MAKERS, within
from bridge.replay.script import Noise
from bridge.speech.synthesis import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.int16]

_SILENT_RMS = 0.1
_FULL_SCALE = 32768.0
_NOMINAL_RMS = 0.05 * _FULL_SCALE
"""Level of speech (-26 dBFS, ITU-T P.56's active level) for a caller who says nothing."""


def make_noise(noise: Noise, said: Sequence[Samples], folder: Path) -> Samples:
    """Make a stretch of noise that can be repeated.

    Args:
        noise: what is asked for.
        said: all that the caller will say, (n,) int16 at 24 kHz each; measures its level.
        folder: where a relative path begins.

    Returns:
        (n,) int16 at 24 kHz.

    Raises:
        ConfigError: the file can't be read, or is silent.
    """
    if noise.file is not None:
        raw = read_speech(folder / noise.file, SAMPLE_RATE_HZ).astype(np.float64)
    else:
        raw = MAKERS[noise.kind or "white"](np.random.default_rng(noise.seed))
    rms = float(np.sqrt(np.mean(np.square(raw)))) if raw.size else 0.0
    if rms < _SILENT_RMS:
        raise ConfigError("the noise is silent", path=str(noise.file), remedy="name another file")
    wanted_rms = speech_rms(said) / 10 ** (noise.snr_db / 20)
    return _as_samples(raw * (wanted_rms / rms))


def speech_rms(said: Sequence[Samples]) -> float:
    """Measure how loud speech is while somebody speaks, pauses left out.

    Args:
        said: (n,) int16 at 24 kHz each.

    Returns:
        RMS in the units of the samples; that of nominal speech where there is none.
    """
    loud = [
        samples[start:end].astype(np.float64)
        for samples in said
        for start, end in find_speech(samples, SAMPLE_RATE_HZ)
    ]
    if not loud:
        return _NOMINAL_RMS
    return float(np.sqrt(np.mean(np.square(np.concatenate(loud)))))


def through_band(samples: Samples, low_hz: int, high_hz: int) -> Samples:
    """Return what a narrow line lets through, (n,) int16 at 24 kHz."""
    return _as_samples(within(samples.astype(np.float64), low_hz, high_hz))


def _as_samples(signal: npt.NDArray[np.float64]) -> Samples:
    samples: Samples = np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
    return samples
