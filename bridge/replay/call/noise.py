"""Noise for a scripted call, as loud as its signal-to-noise ratio says. Blocks for a moment.

The sounds of places (a street, an office, music, voices) are made by code: (n,) float64 at 24 kHz,
at no particular level; the same seed makes the same. Nothing is a recording.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bridge.audio.levels import find_speech
from bridge.audio.wav import read_speech
from bridge.errors import ConfigError
from bridge.replay.script import Noise
from bridge.speech.synthesis import SAMPLE_RATE_HZ, Synthesizer

Signal = npt.NDArray[np.float64]

NOISE_S = 10
_SAMPLES = SAMPLE_RATE_HZ * NOISE_S

_BABBLE_VOICES = ("en-us", "en-us+f3", "en-gb-x-rp+m3", "en-us+f4", "en-gb-scotland", "en-us+m7")
_BABBLE = (
    "The train on platform four is late again, so they all walk over the bridge and wait there. "
    "My sister bought green apples, some bread, and a bottle of milk on her way home. "
    "We could meet at the corner near the bank, or else come to the office after lunch."
)
"""Nothing that a caller would say to an agent: its words must not be taken for the caller's."""
_OFFICE_VOICES = _BABBLE_VOICES[:3]

_CARS, _KEYS, _RINGS = 5, 90, 2
_CHORDS_HZ = ((220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7), (164.8, 207.7))
_BEAT_S = 0.5

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


class MakeNoise(Protocol):
    """Makes one kind of noise."""

    def __call__(self, random: np.random.Generator) -> Signal:
        """Return :data:`NOISE_S` seconds of it."""


def white(random: np.random.Generator) -> Signal:
    """Return white noise."""
    return random.normal(0.0, 1000.0, _SAMPLES)


def babble(random: np.random.Generator) -> Signal:
    """Let several voices speak at once, each from somewhere else on."""
    return _voices(random, _BABBLE_VOICES)


def street(random: np.random.Generator) -> Signal:
    """Return a rumble of traffic, in which cars pass by, and one of them hoots."""
    mixed = 1.5 * _in_band(random, 30, 250)
    for begin_s in random.uniform(0, NOISE_S, _CARS):
        passing = np.exp(-0.5 * ((_seconds() - begin_s) / 0.8) ** 2)
        mixed += 2.5 * passing * _in_band(random, 150, 1_800)
    hoot = _pulse(float(random.uniform(1, NOISE_S - 1)), 0.4)
    return mixed + 0.8 * hoot * (_tone(370) + _tone(466))


def office(random: np.random.Generator) -> Signal:
    """Return colleagues at a distance, a fan, keyboards, and a telephone."""
    talk = _voices(random, _OFFICE_VOICES)
    mixed = talk / _rms(talk) + 0.4 * _in_band(random, 60, 500)
    clicks = _in_band(random, 1_500, 5_000)
    for begin_s in random.uniform(0, NOISE_S - 0.1, _KEYS):
        begin, end = _span(float(begin_s), 0.05)
        fading = np.exp(-np.arange(end - begin) / SAMPLE_RATE_HZ / 0.006)
        mixed[begin:end] += float(random.uniform(0.5, 1.5)) * fading * clicks[begin:end]
    for begin_s in random.uniform(0, NOISE_S - 1, _RINGS):
        warble = np.where(np.floor(_seconds() * 20) % 2 == 0, _tone(1_100), _tone(1_400))
        mixed += 0.5 * _pulse(float(begin_s), 0.8) * warble
    return mixed


def music(random: np.random.Generator) -> Signal:
    """Return four chords, again and again, with a bass and a beat."""
    mixed = np.zeros(_SAMPLES)
    shift = int(random.integers(len(_CHORDS_HZ)))
    hiss = _in_band(random, 2_000, 8_000)
    for beat in range(int(NOISE_S / _BEAT_S)):
        begin, end = _span(beat * _BEAT_S, _BEAT_S)
        chord = _CHORDS_HZ[(beat // 4 + shift) % len(_CHORDS_HZ)]
        since_s = np.arange(end - begin) / SAMPLE_RATE_HZ
        for tone_hz in (chord[0] / 2, *chord):
            for harmonic in (1, 2, 3):
                swing = np.sin(2 * np.pi * harmonic * tone_hz * since_s) / harmonic**1.5
                mixed[begin:end] += np.exp(-since_s / 0.25) * swing
        mixed[begin:end] += 0.8 * np.exp(-since_s / 0.03) * hiss[begin:end]
    return mixed


MAKERS: Mapping[str, MakeNoise] = {
    "white": white,
    "babble": babble,
    "street": street,
    "office": office,
    "music": music,
}


def within(signal: Signal, low_hz: float, high_hz: float) -> Signal:
    """Return what of a signal is between two frequencies; its edges are 50 Hz wide."""
    spectrum = np.fft.rfft(signal)
    hz = np.fft.rfftfreq(signal.size, 1 / SAMPLE_RATE_HZ)
    rising = np.clip((hz - low_hz) / 50 + 0.5, 0, 1) if low_hz > 0 else np.ones(hz.size)
    falling = np.clip((high_hz - hz) / 50 + 0.5, 0, 1)
    return np.fft.irfft(spectrum * rising * falling, signal.size)


def _voices(random: np.random.Generator, voices: tuple[str, ...]) -> Signal:
    mixed = np.zeros(_SAMPLES)
    for spoken in _spoken(random, voices):
        mixed += np.resize(spoken, mixed.size)
    return mixed


def _spoken(
    random: np.random.Generator, voices: tuple[str, ...]
) -> Iterator[npt.NDArray[np.int16]]:
    for voice in voices:
        speech = Synthesizer(voice, int(random.integers(140, 190))).say(_BABBLE)
        yield np.roll(speech, -int(random.integers(speech.size)))


def _in_band(random: np.random.Generator, low_hz: float, high_hz: float) -> Signal:
    """Return noise of one band, at an RMS of 1."""
    noise = within(random.normal(0.0, 1.0, _SAMPLES), low_hz, high_hz)
    return noise / _rms(noise)


def _seconds() -> Signal:
    return np.arange(_SAMPLES) / SAMPLE_RATE_HZ


def _tone(hz: float) -> Signal:
    # Whole periods in the stretch, which is repeated: no click where it begins again.
    whole_hz = round(hz * NOISE_S) / NOISE_S
    return np.sin(2 * np.pi * whole_hz * _seconds())


def _span(begin_s: float, length_s: float) -> tuple[int, int]:
    begin = round(begin_s * SAMPLE_RATE_HZ)
    return begin, min(_SAMPLES, begin + round(length_s * SAMPLE_RATE_HZ))


def _pulse(begin_s: float, length_s: float) -> Signal:
    return ((_seconds() >= begin_s) & (_seconds() < begin_s + length_s)).astype(np.float64)


def _rms(signal: Signal) -> float:
    return float(np.sqrt(np.mean(np.square(signal))))
