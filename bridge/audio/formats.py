"""Converts the rings' samples into a session's wire format and back, of all calls at once.

Where the rates are the same there is no filter, and so neither history nor delay: G.711 of an 8 kHz
ring is a look-up a sample. PJSIP has decoded the caller's G.711 by the same law, so the bytes that
came by RTP are the bytes that go up, but for one: mu-law's 0x7F, the second of its two zeros, goes
up as 0xFF (G.711 table 2).
"""

import functools

import numpy as np
from numpy.typing import NDArray

from bridge.audio import g711
from bridge.audio.resample import BlockResampler, resample_rational
from bridge.realtime.session_config import AudioFormat

_LAWS = {AudioFormat.PCMU: g711.Law.PCMU, AudioFormat.PCMA: g711.Law.PCMA}


class FromRing:
    """Turns blocks of a ring into what goes up.

    Args:
        audio_format: of what goes up.
        block_samples: of one block, at the ring's rate.
        ring_hz: the ring's rate.

    Attributes:
        history_samples: samples of the ring that go before each block.
        delay_ms: of the filter; 0 where there is none.
    """

    def __init__(self, audio_format: AudioFormat, block_samples: int, ring_hz: int) -> None:
        self._format = audio_format
        self._resample = _resampler(block_samples, ring_hz, ring_hz, audio_format.rate_hz)
        self.history_samples = 0 if self._resample is None else self._resample.history_samples
        self.delay_ms = 0.0 if self._resample is None else self._resample.delay_ms

    def __call__(self, windows: NDArray[np.int16]) -> bytes:
        """Return the blocks of (calls, history + block) int16, one behind the other."""
        samples = windows if self._resample is None else self._resample(windows)
        return encode_samples(self._format, samples)


class ToRing:
    """Turns what came down into blocks of a ring.

    Args:
        audio_format: of what came down.
        block_samples: of one block, at the ring's rate.
        ring_hz: the ring's rate.

    Attributes:
        history_samples: at the format's rate, that go before each block.
        window_samples: history and block together.
        delay_ms: of the filter; 0 where there is none.
    """

    def __init__(self, audio_format: AudioFormat, block_samples: int, ring_hz: int) -> None:
        self._resample = _resampler(block_samples, ring_hz, audio_format.rate_hz, ring_hz)
        self.history_samples = 0 if self._resample is None else self._resample.history_samples
        self.delay_ms = 0.0 if self._resample is None else self._resample.delay_ms
        block = block_samples * audio_format.rate_hz // ring_hz
        self.window_samples = self.history_samples + block

    def __call__(self, windows: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return (calls, block) int16 of (calls, history + block) int16 at the format's rate."""
        return windows if self._resample is None else self._resample(windows)


def encode_samples(audio_format: AudioFormat, samples: NDArray[np.int16]) -> bytes:
    """Spell int16 samples at the format's rate as its bytes."""
    law = _LAWS.get(audio_format)
    if law is None:
        return samples.astype("<i2", copy=False).tobytes()
    return _codes(law).take(samples.view(np.uint16)).tobytes()


def decode_samples(audio_format: AudioFormat, audio: bytes) -> NDArray[np.int16]:
    """Return (n,) int16 at the format's rate; it may be a view of ``audio``.

    Raises:
        ValueError: PCM that ends within a sample.
    """
    law = _LAWS.get(audio_format)
    if law is None:
        return np.frombuffer(audio, dtype="<i2").astype(np.int16, copy=False)
    return _values(law).take(np.frombuffer(audio, dtype=np.uint8))


def silence_of(audio_format: AudioFormat) -> bytes:
    """Return the byte that silence is made of: 0, or G.711's code of it."""
    law = _LAWS.get(audio_format)
    return b"\0" if law is None else g711.encode(law, np.zeros(1, dtype=np.int16))


def converted(audio: bytes, from_format: AudioFormat, to_format: AudioFormat) -> bytes:
    """Return a whole piece of audio in another format, without delay; as it is in the same one."""
    if from_format is to_format:
        return audio
    samples = decode_samples(from_format, audio)
    if from_format.rate_hz != to_format.rate_hz:
        samples = resample_rational(samples, from_format.rate_hz, to_format.rate_hz)
    return encode_samples(to_format, samples)


def _resampler(block_samples: int, ring_hz: int, from_hz: int, to_hz: int) -> BlockResampler | None:
    return None if from_hz == to_hz else BlockResampler(block_samples, ring_hz, from_hz, to_hz)


@functools.cache
def _codes(law: g711.Law) -> NDArray[np.uint8]:
    """Return (65536,) uint8: the code of each sample, by its bits as they are unsigned."""
    every = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.int16)
    return np.frombuffer(g711.encode(law, every), dtype=np.uint8)


@functools.cache
def _values(law: g711.Law) -> NDArray[np.int16]:
    """Return (256,) int16: the sample of each code."""
    return g711.decode(law, bytes(range(256)))
