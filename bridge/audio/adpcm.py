"""IMA ADPCM: 4 bits a sample, for audio that is kept to be listened to."""

import numpy as np
from numpy.typing import NDArray

from bridge.audio.stdlib_audioop import audioop

_SAMPLE_BYTES = 2


def encode(samples: NDArray[np.int16]) -> bytes:
    """Compress (n,) int16 samples to n / 2 bytes, the first sample of two in the high half.

    The predictor and the step begin at 0. An odd last sample is followed by a silent one.

    Raises:
        ValueError: another dtype.
    """
    if samples.dtype != np.int16:
        raise ValueError(f"samples of dtype {samples.dtype}; int16 expected")
    even = np.pad(samples, (0, samples.size % 2))
    encoded, _ = audioop.lin2adpcm(even.tobytes(), _SAMPLE_BYTES, None)
    return encoded
