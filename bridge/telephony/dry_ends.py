"""Fades out audio that is about to run dry without notice, or lets it go on if more comes.

Whoever sends live audio can't say which piece is the last. So the end of what lies in the ring is
faded once there is little left of it, and put back as it was when more comes in time.
"""

import numpy as np

from bridge.audio.rings import clear, gather, write
from bridge.telephony.lines import Line
from bridge.telephony.ports import MediaPorts, Samples

_LITTLE_FRAMES = 2
"""PJSIP takes a frame each 20 ms, and a tick may be late by as much."""

_FADE_MS = 5
"""Nobody hears that as sound, nor as a click."""


class DryEnds:
    """Watches the lines that may run dry.

    Args:
        ports: the rings and PJSIP's positions.
    """

    def __init__(self, ports: MediaPorts) -> None:
        self._ports = ports
        self._fade_samples = ports.arena.rate_hz * _FADE_MS // 1000
        self._little_samples = _LITTLE_FRAMES * ports.arena.frame_samples
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
            if row not in self._whole and not line.playout.queued_ms and self._is_near(left):
                self._fade(row, end - self._fade_samples)

    def go_on(self, row: int, position: int) -> None:
        """Put an end back as it was, before more is laid at ``position``."""
        start, whole = self._whole.pop(row, (0, None))
        if whole is not None and start + len(whole) == position:
            self._put(row, start, whole)

    def _fade(self, row: int, start: int) -> None:
        tx = self._ports.arena.tx
        whole = gather(tx, np.array([row]), np.array([start]), self._fade_samples)[0]
        self._whole[row] = start, whole
        fade = np.linspace(1, 0, self._fade_samples)
        self._put(row, start, np.rint(whole * fade).astype(np.int16))

    def _put(self, row: int, start: int, samples: Samples) -> None:
        write(self._ports.arena.tx, row, start, samples)
        self._ports.refresh()
        if int(self._ports.tx_positions[row]) > start:  # it would be heard a whole ring later
            clear(self._ports.arena.tx, row, start, len(samples))

    def _is_near(self, left_samples: int) -> bool:
        return self._fade_samples <= left_samples <= self._little_samples
