"""Wire audio formats as samples: decoding, encoding.

G.711 is the standard library's here, so that no table of the gateway's is judged by itself.
"""

import numpy as np
from numpy.typing import NDArray

from bridge.audio.g711 import Law, decode, encode
from bridge.audio.resample import downsample_whole, resample_rational
from bridge.realtime.session_config import AudioFormat

_LAWS = {AudioFormat.PCMU: Law.PCMU, AudioFormat.PCMA: Law.PCMA}
_SPEECH_HZ = AudioFormat.PCM_24KHZ.rate_hz


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
    return resample_rational(speech, _SPEECH_HZ, audio_format.rate_hz).astype("<i2").tobytes()
