"""Wire audio formats as samples: decoding, encoding, silence.

G.711 is the standard library's here, so that no table of the gateway's is judged by itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.audio.g711 import Law, decode, encode
from bridge.audio.resample import PHONE_HZ, REALTIME_HZ, downsample_whole, resample_rational
from bridge.realtime.session_config import AudioFormat

_LAWS = {AudioFormat.PCMU: Law.PCMU, AudioFormat.PCMA: Law.PCMA}


@dataclass(frozen=True, slots=True)
class WireFormat:
    """A format of audio on the wire: mono, G.711 or 16-bit PCM, little-endian.

    Attributes:
        rate_hz: its sample rate.
        law: of G.711; None for PCM.
    """

    rate_hz: int
    law: Law | None = None

    @property
    def sample_bytes(self) -> int:
        """How many bytes a sample takes."""
        return 2 if self.law is None else 1

    @property
    def bytes_per_ms(self) -> int:
        """How many bytes a millisecond takes."""
        return self.rate_hz * self.sample_bytes // 1000

    def decode(self, audio: bytes) -> NDArray[np.int16]:
        """Turn wire bytes into (n,) int16 at the format's rate.

        Raises:
            ValueError: PCM with half a sample.
        """
        if self.law is not None:
            return decode(self.law, audio)
        return np.frombuffer(audio, dtype="<i2").astype(np.int16)

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Turn (n,) int16 at the format's rate into wire bytes."""
        if self.law is not None:
            return encode(self.law, samples)
        return samples.astype("<i2").tobytes()

    def silence(self, samples: int) -> bytes:
        """Return so many samples of silence."""
        return self.encode(np.zeros(samples, np.int16))

    def encode_speech(self, speech: NDArray[np.int16]) -> bytes:
        """Turn (n,) int16 at 24 kHz into wire bytes."""
        if self.rate_hz == PHONE_HZ:
            return self.encode(downsample_whole(speech))
        return self.encode(resample_rational(speech, REALTIME_HZ, self.rate_hz))


def wire_format(audio_format: AudioFormat) -> WireFormat:
    """Return how a format of the Realtime API is on the wire."""
    return WireFormat(audio_format.rate_hz, _LAWS.get(audio_format))
