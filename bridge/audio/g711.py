"""G.711 mu-law and A-law over the standard library's ``audioop``."""

import enum

import numpy as np
from numpy.typing import NDArray

from bridge.audio.stdlib_audioop import audioop


class Law(enum.StrEnum):
    """The two companding laws of G.711, by their RTP encoding names (RFC 3551 section 4.5.14)."""

    PCMU = "PCMU"
    PCMA = "PCMA"


_ENCODERS = {Law.PCMU: audioop.lin2ulaw, Law.PCMA: audioop.lin2alaw}
_DECODERS = {Law.PCMU: audioop.ulaw2lin, Law.PCMA: audioop.alaw2lin}
_SAMPLE_BYTES = 2


def encode(law: Law, samples: NDArray[np.int16]) -> bytes:
    """Compress (n,) int16 samples to n bytes.

    Raises:
        ValueError: another dtype.
    """
    if samples.dtype != np.int16:
        raise ValueError(f"samples of dtype {samples.dtype}; int16 expected")
    return _ENCODERS[law](samples.tobytes(), _SAMPLE_BYTES)


def decode(law: Law, payload: bytes) -> NDArray[np.int16]:
    """Expand n bytes to (n,) int16 samples, in an array of its own."""
    return np.frombuffer(_DECODERS[law](payload, _SAMPLE_BYTES), dtype=np.int16).copy()
