"""A phone's sound beside the caller's words: noise of the place, the agent's voice. Pure.

All samples are int16 at one rate.
"""

from functools import reduce

import numpy as np
import numpy.typing as npt

from bridge.telephony.linked_rows import mixed

Samples = npt.NDArray[np.int16]


class NoiseLoop:
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


class Echo:
    """The agent's voice on its way back through a headset or a line: later, and quieter.

    Args:
        delay_samples: from hearing it to sending it.
        gain: 0 to 1.
        slack_samples: so much may wait beyond the delay; what is older was not sent, and is lost.
    """

    def __init__(self, delay_samples: int, gain: float, slack_samples: int) -> None:
        self._delay = delay_samples
        self._gain = gain
        self._most = delay_samples + slack_samples
        self._heard: Samples = np.zeros(0, np.int16)

    def hear(self, piece: Samples) -> None:
        """Take what came in, (n,) int16."""
        self._heard = np.concatenate([self._heard, piece])[-self._most :]

    def next(self, count: int) -> Samples:
        """Return the next stretch, (count,) int16: silence until the delay is over."""
        due = min(count, max(0, self._heard.size - self._delay))
        stretch: Samples = np.zeros(count, np.int16)
        stretch[:due] = np.rint(self._heard[:due] * self._gain)
        self._heard = self._heard[due:]
        return stretch


class Background:
    """Everything that is sent beside words.

    The echo is heard between the words alone: while somebody speaks a headset lets nothing back.
    """

    def __init__(self, noise: NoiseLoop | None, echo: Echo | None) -> None:
        self._noise = noise
        self._echo = echo

    def hear(self, piece: Samples) -> None:
        """Take what came in, (n,) int16."""
        if self._echo is not None:
            self._echo.hear(piece)

    def next(self, count: int) -> Samples:
        """Return the next stretch between words, (count,) int16."""
        parts = [part.next(count) for part in (self._noise, self._echo) if part is not None]
        return reduce(mixed, parts, np.zeros(count, np.int16))

    def under(self, speech: Samples) -> Samples:
        """Add the next stretch of noise to speech, (n,) int16."""
        if self._noise is None:
            return speech
        return mixed(speech, self._noise.next(speech.size))
