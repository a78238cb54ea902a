"""Callers who talk: each says a few sentences, pauses, and says them again, as long as it is up.

They are the other calls of `bridge replay --load`; their orders are those of the callers.
"""

import numpy as np

from bridge.audio import g711
from bridge.audio.resample import downsample_whole
from bridge.bench.callers import Callers
from bridge.bench.lanes import FRAME_SAMPLES, Frames
from bridge.bench.phones import run_phones
from bridge.speech.synthesis import Synthesizer

_TEXT = "Good morning. I would like to know when my parcel arrives, and what it costs to return it."
_PAUSE_FRAMES = 150
"""3 s, in which an agent may answer."""


class Talkers(Callers):
    """Callers in rooms where somebody speaks."""

    def __init__(self, server: tuple[str, int], user: str) -> None:
        super().__init__(server, user)
        self._speech = _speech()

    def tick(self) -> None:
        """Move RTP, and have whoever has finished begin again."""
        super().tick()
        for slot in self.up:
            lane = self.lane_of(slot)
            if not lane.is_busy(slot):
                # Each begins at another place: rooms don't speak in chorus.
                lane.say(slot, np.roll(self._speech, -37 * slot, axis=0))


def run_talkers(server: tuple[str, int], user: str) -> None:
    """Be the talkers until stdin ends.

    Raises:
        InfrastructureError: this is no 64-bit Linux, or a socket can't be had.
    """
    run_phones(lambda: Talkers(server, user))


def _speech() -> Frames:
    """Return the sentences and the pause as packets, (n, 160) mu-law."""
    samples = downsample_whole(Synthesizer("en-us").say(_TEXT))
    padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES + _PAUSE_FRAMES * FRAME_SAMPLES))
    encoded = g711.encode(g711.Law.PCMU, padded)
    return np.frombuffer(encoded, dtype=np.uint8).reshape(-1, FRAME_SAMPLES)
