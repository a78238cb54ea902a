"""Hears in a call's audio, as both sides have it, when the far end's agent is first heard. Pure."""

from collections.abc import Callable

import numpy as np

from bridge.audio.levels import SpeechGate, Started
from bridge.telephony.ports import Samples
from bridge.telephony.taps import AGENT, CALLER

_EMPTY: Samples = np.empty((0, 2), dtype=np.int16)


class FirstVoice:
    """Waits for the first sound on the agent's side.

    Args:
        rate_hz: of the rings.
        on_heard: called once, with whether the caller had not spoken before.
    """

    def __init__(self, rate_hz: int, on_heard: Callable[[bool], None]) -> None:
        self._gates = {side: SpeechGate(rate_hz) for side in (CALLER, AGENT)}
        self._on_heard: Callable[[bool], None] | None = on_heard
        self._unasked = True
        self._rest: Samples = _EMPTY

    def hear(self, sound: Samples) -> None:
        """Take what is said, shape (n, 2) or more int16: caller, agent as heard."""
        if self._on_heard is None:
            return
        size = self._gates[AGENT].frame_samples
        sound = np.concatenate([self._rest, sound[:, : AGENT + 1]])
        whole = len(sound) // size * size
        self._rest = sound[whole:]
        for frame in sound[:whole].reshape(-1, size, AGENT + 1):
            starts = {
                side: isinstance(gate.feed(np.ascontiguousarray(frame[:, side])), Started)
                for side, gate in self._gates.items()
            }
            if starts[AGENT]:
                on_heard, self._on_heard = self._on_heard, None
                on_heard(self._unasked)
                return
            self._unasked = self._unasked and not starts[CALLER]
