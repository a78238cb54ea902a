"""Fades out audio that is about to run dry without notice, or lets it go on if more comes.

Whoever sends live audio can't say which piece is the last. So the end of what lies in the ring is
faded once there is little left of it, and put back as it was when more comes in time.
"""

import numpy as np

from bridge.audio.rings import FRAME_SAMPLES, clear, gather, write
from bridge.telephony.lines import Line
from bridge.telephony.ports import RATE_HZ, MediaPorts, Samples

_LITTLE_SAMPLES = 2 * FRAME_SAMPLES
"""PJSIP takes a frame each 20 ms, and a tick may be late by as much."""

_FADE_SAMPLES = RATE_HZ * 5 // 1000
"""Nobody hears 5 ms as sound, nor as a click."""


class DryEnds:
    """Watches the lines that may run dry.

    Args:
        ports: the rings and PJSIP's positions.
    """

    def __init__(self, ports: MediaPorts) -> None:
        self._ports = ports
        self._watched: dict[int, Line] = {}
        self._whole: dict[int, tuple[int, Samples]] = {}

    def watch(self, line: Line) -> None:
        """Fade a line's audio where it runs dry, from now on."""
        self._watched[line.row] = line

    def forget(self, row: int) -> None:
        """Leave a line alone: it was silenced, or is gone."""
        self._watched.pop(row, None)
        self._whole.pop(row, None)

    def fade(self) -> None:
        """Fade the ends that PJSIP comes near to; to be called when its clock has stepped."""
        for row, line in self._watched.items():
            end = line.playout.written
            left = end - int(self._ports.tx_positions[row])
            if row not in self._whole and not line.playout.waiting_samples and _near(left):
                self._fade(row, end - _FADE_SAMPLES)

    def go_on(self, row: int, position: int) -> None:
        """Put an end back as it was, before more is laid at ``position``."""
        start, whole = self._whole.pop(row, (0, None))
        if whole is not None and start + len(whole) == position:
            self._put(row, start, whole)

    def _fade(self, row: int, start: int) -> None:
        tx = self._ports.arena.tx
        whole = gather(tx, np.array([row]), np.array([start]), _FADE_SAMPLES)[0]
        self._whole[row] = start, whole
        fade = np.linspace(1, 0, _FADE_SAMPLES)
        self._put(row, start, np.rint(whole * fade).astype(np.int16))

    def _put(self, row: int, start: int, samples: Samples) -> None:
        write(self._ports.arena.tx, row, start, samples)
        self._ports.refresh()
        if int(self._ports.tx_positions[row]) > start:  # it would be heard a whole ring later
            clear(self._ports.arena.tx, row, start, len(samples))


def _near(left_samples: int) -> bool:
    return _FADE_SAMPLES <= left_samples <= _LITTLE_SAMPLES
