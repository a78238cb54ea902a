"""The way up: new caller audio of all calls, from the rx ring to the listeners.

Each call's new 8 kHz samples are gathered with their history straight from the ring and turned into
24 kHz by one matrix product for every call.
"""

import numpy as np

from bridge.audio.resample import Upsampler
from bridge.audio.rings import FRAME_SAMPLES, gather
from bridge.clock import NS_PER_S
from bridge.telephony.guests import mixed
from bridge.telephony.lines import LineSet, PumpStats
from bridge.telephony.ports import RATE_HZ, MediaPorts, Positions


class Uplink:
    """Hands caller audio up, in pieces.

    Args:
        append_ms: audio in one piece.
    """

    def __init__(self, ports: MediaPorts, stats: PumpStats, append_ms: int) -> None:
        self._ports = ports
        self._stats = stats
        self._block = append_ms * RATE_HZ // 1000
        self._resample = Upsampler(self._block)
        self._taken: Positions = np.zeros(ports.arena.rows, dtype=np.int64)

    @property
    def delay_ms(self) -> float:
        """The resampler's delay."""
        return self._resample.delay_ms

    def begin(self, row: int) -> None:
        """Begin a row's audio where PJSIP is now."""
        self._taken[row] = self._ports.rx_positions[row]

    def move(self, lines: LineSet) -> None:
        """Hand up every whole piece that is there."""
        rows = lines.rows
        rx, stamps_ns = self._ports.rx_positions[rows], self._ports.stamps_ns[rows]
        self._skip_lost(rows, rx)
        while True:
            due = np.flatnonzero(rx - self._taken[rows] >= self._block)
            if not due.size:
                return
            self._move_block(lines, due, rx[due], stamps_ns[due])

    def _move_block(
        self, lines: LineSet, due: Positions, rx: Positions, stamps_ns: Positions
    ) -> None:
        """Hand up one piece of the lines at the places ``due``; the arrays have their shape."""
        rows, history, block = lines.rows[due], self._resample.history_samples, self._block
        starts = self._taken[rows] - history
        windows = gather(self._ports.arena.rx, rows, starts, history + block)
        guests = self._ports.said_by_guests(rows, starts, history + block)
        if guests is not None:  # who speaks beside the agent is heard by it, as the caller is
            windows = mixed(windows, guests)
        audio = self._resample(windows).astype("<i2", copy=False).tobytes()
        self._taken[rows] += block
        later = rx - self._taken[rows]
        captured_ns = (stamps_ns - later * NS_PER_S // RATE_HZ).tolist()
        self._stats.blocks_up += len(captured_ns)
        size = len(audio) // len(captured_ns)
        for number, line in enumerate(lines.at(due)):
            piece = audio[number * size : (number + 1) * size]
            line.listener.on_caller_audio(piece, captured_ns[number])

    def _skip_lost(self, rows: Positions, rx: Positions) -> None:
        """Go on with what the ring still holds where the loop stood still for too long."""
        capacity = self._ports.arena.length_samples - self._resample.history_samples - FRAME_SAMPLES
        behind = rx - self._taken[rows]
        lost = behind > capacity
        if lost.any():
            skipped = (behind[lost] - capacity // 2) // self._block * self._block
            self._taken[rows[lost]] += skipped
            self._stats.overruns += int(lost.sum())
