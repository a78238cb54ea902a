"""A telephone line, as far as it changes sound: 8 kHz and G.711, there and back."""

import numpy as np
from numpy.typing import NDArray

from bridge.audio.g711 import Law, decode, encode
from bridge.audio.resample import downsample_whole, upsample_whole


def over_the_phone(speech: NDArray[np.int16], law: Law = Law.PCMU) -> NDArray[np.int16]:
    """Send (n,) int16 at 24 kHz over the line; about (n,) int16 at 24 kHz come out."""
    return upsample_whole(decode(law, encode(law, downsample_whole(speech))))


def silence(ms: int, rate_hz: int = 24_000) -> NDArray[np.int16]:
    """Return digital silence."""
    return np.zeros(rate_hz * ms // 1000, np.int16)
