"""Noise for a scripted call, as loud as its signal-to-noise ratio says. Blocks for a moment."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.audio.levels import find_speech
from bridge.audio.wav import read_speech
from bridge.errors import ConfigError
from bridge.replay.script import Noise
from bridge.speech.synthesis import SAMPLE_RATE_HZ, Synthesizer

Samples = npt.NDArray[np.int16]

_NOISE_S = 10
_FULL_SCALE = 32768.0
_NOMINAL_RMS = 0.05 * _FULL_SCALE
"""Level of speech (-26 dBFS, ITU-T P.56's active level) for a caller who says nothing."""

_BABBLE_VOICES = ("en-us", "en-us+f3", "en-gb-x-rp+m3", "en-us+f4", "en-gb-scotland", "en-us+m7")
_BABBLE = (
    "The train on platform four is late again, so they all walk over the bridge and wait there. "
    "My sister bought green apples, some bread, and a bottle of milk on her way home. "
    "We could meet at the corner near the bank, or else come to the office after lunch."
)
"""Nothing that a caller would say to an agent: its words must not be taken for the caller's."""


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
    elif noise.kind == "white":
        random = np.random.default_rng(noise.seed)
        raw = random.normal(0.0, 1000.0, SAMPLE_RATE_HZ * _NOISE_S)
    else:
        raw = _babble(noise.seed)
    rms = float(np.sqrt(np.mean(np.square(raw)))) if raw.size else 0.0
    if rms < 1.0:
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


def _babble(seed: int) -> npt.NDArray[np.float64]:
    """Let several voices speak at once, each from somewhere else on."""
    random = np.random.default_rng(seed)
    mixed = np.zeros(SAMPLE_RATE_HZ * _NOISE_S)
    for voice in _BABBLE_VOICES:
        speech = Synthesizer(voice, int(random.integers(140, 190))).say(_BABBLE)
        begin = int(random.integers(speech.size))
        mixed += np.resize(np.roll(speech, -begin), mixed.size)
    return mixed


def _as_samples(signal: npt.NDArray[np.float64]) -> Samples:
    samples: Samples = np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
    return samples
