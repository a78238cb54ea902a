"""Noise at the caller's end of the line, under the words and between them. Pure."""

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


class Noise:
    """A stretch of noise that is repeated without an end.

    Args:
        samples: (n,) int16.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, samples: Samples) -> None:
        if not samples.size:
            raise ValueError("noise without samples")
        self._samples = samples
        self._position = 0

    def next(self, count: int) -> Samples:
        """Return the next stretch, (count,) int16."""
        at = (self._position + np.arange(count)) % self._samples.size
        self._position = (self._position + count) % self._samples.size
        stretch: Samples = self._samples[at]
        return stretch

    def under(self, speech: Samples) -> Samples:
        """Add the next stretch to speech, (n,) int16."""
        mixed = speech.astype(np.int32) + self.next(speech.size)
        clipped: Samples = np.clip(mixed, -32768, 32767).astype(np.int16)
        return clipped
