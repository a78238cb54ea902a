"""Wire audio formats as samples: rates, decoding, encoding."""

import numpy as np
from numpy.typing import NDArray

from bridge.audio.g711 import Law, decode, encode
from bridge.audio.resample import downsample_whole
from bridge.realtime.session_config import AudioFormat

_LAWS = {AudioFormat.PCMU: Law.PCMU, AudioFormat.PCMA: Law.PCMA}


def rate_hz(audio_format: AudioFormat) -> int:
    """Return the format's sample rate."""
    return 8_000 if audio_format in _LAWS else 24_000


def bytes_per_ms(audio_format: AudioFormat) -> int:
    """Return how many bytes a millisecond takes."""
    return 8 if audio_format in _LAWS else 48


def decode_audio(audio_format: AudioFormat, audio: bytes) -> NDArray[np.int16]:
    """Turn wire bytes into (n,) int16 at the format's rate.

    Raises:
        ValueError: PCM with half a sample.
    """
    law = _LAWS.get(audio_format)
    if law is not None:
        return decode(law, audio)
    return np.frombuffer(audio, dtype="<i2").astype(np.int16)


def encode_speech(audio_format: AudioFormat, speech: NDArray[np.int16]) -> bytes:
    """Turn (n,) int16 at 24 kHz into wire bytes."""
    law = _LAWS.get(audio_format)
    if law is not None:
        return encode(law, downsample_whole(speech))
    return speech.astype("<i2").tobytes()
