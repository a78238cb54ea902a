"""The pump: moves the audio of all calls once a tick, in the loop's thread.

Up: each call's new 8 kHz samples are gathered with their history straight from the ring and turned
into 24 kHz by one matrix product for every call. Down: 24 kHz blocks become 8 kHz by another, laid
into the tx ring *ahead* of PJSIP's read position, so a slow loop makes no gap.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bridge.audio.resample import Downsampler, Upsampler
from bridge.audio.rings import FRAME_SAMPLES, clear, gather, write
from bridge.clock import NS_PER_S, Clock
from bridge.engine.inputs import PlayedItem, PlayoutDrained, PlayoutStarted
from bridge.realtime.ids import ItemId
from bridge.telephony.playout import UPSAMPLING, Block, Playout
from bridge.telephony.ports import RATE_HZ, MediaPorts, Positions
from bridge.telephony.recorder import Recorder

_SAFETY_SAMPLES = FRAME_SAMPLES
"""Kept free ahead of the read position: PJSIP may take a frame while we write."""

_BURST_BEGINS = -1
"""Stands in ``Line.burst_queued_ns`` until the burst's first block is laid."""


class LineListener(Protocol):
    """Who hears of one call's audio."""

    def on_caller_audio(self, audio: bytes, captured_ns: int) -> None:
        """Take caller audio, 24 kHz PCM; ``captured_ns`` is when its last sample came in."""
        ...

    def on_playout(self, event: PlayoutStarted | PlayoutDrained) -> None:
        """Learn that the caller hears an item now, or has heard all there was."""
        ...


@dataclass(slots=True)
class PumpStats:
    """Counts since start.

    Attributes:
        overruns: caller audio was lost because the loop stood still for almost a whole ring.
        underruns: an item's audio had a gap, because more of it wasn't there in time.
        late_blocks: PJSIP had passed a block's place by the time that it was laid.
    """

    overruns: int = 0
    underruns: int = 0
    late_blocks: int = 0
    blocks_up: int = 0
    blocks_down: int = 0


@dataclass(slots=True)
class Line:
    """One call in the pump."""

    row: int
    listener: LineListener
    recorder: Recorder | None
    on_downlink: Callable[[int], None]
    playout: Playout = field(default_factory=Playout)
    taken: int = 0
    recorded: int = 0
    burst_queued_ns: int | None = None
    burst_starts: int = 0
    underruns: int = 0


class Pump:
    """Moves audio between the rings and the calls' listeners.

    Args:
        ports: the rings and PJSIP's positions.
        clock: stamps queued audio.
        append_ms: caller audio in one piece handed up.
        ahead_ms: how far ahead of PJSIP agent audio is laid.
    """

    def __init__(
        self,
        ports: MediaPorts,
        clock: Clock,
        *,
        append_ms: int,
        ahead_ms: int,
    ) -> None:
        self.stats = PumpStats()
        self._ports = ports
        self._clock = clock
        self._block = append_ms * RATE_HZ // 1000
        self._ahead = ahead_ms * RATE_HZ // 1000
        self._up = Upsampler(self._block)
        self._down = Downsampler(FRAME_SAMPLES)
        history = self._down.history_samples
        self._down_windows = np.zeros(
            (ports.arena.rows, history + FRAME_SAMPLES * UPSAMPLING), dtype=np.int16
        )
        self._lines: dict[int, Line] = {}

    @property
    def delay_ms(self) -> float:
        """Delay of the two resamplers together, ms."""
        return self._up.delay_ms + self._down.delay_ms

    def add(
        self,
        row: int,
        listener: LineListener,
        recorder: Recorder | None = None,
        *,
        on_downlink: Callable[[int], None] = lambda ns: None,
    ) -> Line:
        """Begin to move the audio of a row, from where PJSIP is now.

        Args:
            row: its row in the rings.
            listener: hears of its audio.
            recorder: gets both directions of it.
            on_downlink: receives, for each burst of agent audio, the ns from its queueing to the
                frame in which PJSIP took its first sample (resolution: one tick).
        """
        self._ports.refresh()
        line = Line(row, listener, recorder, on_downlink)
        line.taken = line.recorded = int(self._ports.rx_positions[row])
        line.playout.written = int(self._ports.tx_positions[row])
        self._down_windows[row] = 0
        self._lines[row] = line
        return line

    def remove(self, row: int) -> None:
        """Stop moving a row's audio; what was not yet recorded is recorded."""
        self._ports.refresh()
        line = self._lines.pop(row, None)
        if line is not None and line.recorder is not None:
            self._record([line], self._ports.rx_positions.copy())

    def flush(self, row: int) -> tuple[PlayedItem, ...]:
        """Silence a call's agent audio from the next frame on; return what was heard of it.

        The position is read after the ring is silenced: a frame that PJSIP took meanwhile was
        heard, and counts as heard.
        """
        line = self._lines[row]
        arena = self._ports.arena
        self._ports.refresh()
        before = int(self._ports.tx_positions[row])
        if line.playout.written > before:
            clear(arena.tx, row, before, line.playout.written - before)
        self._down_windows[row] = 0
        line.burst_queued_ns = None
        self._ports.refresh()
        return line.playout.flush(int(self._ports.tx_positions[row]))

    def play(self, row: int, item_id: ItemId, content_index: int, audio: bytes) -> None:
        """Queue agent audio, 24 kHz PCM; a burst's first is laid at once, not at the tick.

        Less than a frame waits for the tick: the rest of it may be on its way.
        """
        line = self._lines[row]
        playout = line.playout
        playout.queue(item_id, content_index, audio, self._clock.now_ns())
        self._ports.refresh()
        silent = playout.written <= self._ports.tx_positions[row]
        if silent and playout.waiting_samples >= FRAME_SAMPLES * UPSAMPLING:
            self._pump_down([line])

    def tick(self) -> None:
        """Move everything that is due."""
        self._ports.refresh()
        lines = list(self._lines.values())
        if not lines:
            return
        rx, stamps_ns = self._ports.rx_positions.copy(), self._ports.stamps_ns.copy()
        self._report_playout(lines)
        self._pump_up(lines, rx, stamps_ns)
        self._pump_down(lines)
        self._record([line for line in lines if line.recorder is not None], rx)

    def _pump_up(self, lines: list[Line], rx: Positions, stamps_ns: Positions) -> None:
        history, block = self._up.history_samples, self._block
        capacity = self._ports.arena.length_samples - history - FRAME_SAMPLES
        for line in lines:
            behind = int(rx[line.row]) - line.taken
            if behind > capacity:
                line.taken += (behind - capacity // 2) // block * block
                self.stats.overruns += 1
        due = [line for line in lines if rx[line.row] - line.taken >= block]
        while due:
            rows = np.array([line.row for line in due])
            starts = np.array([line.taken - history for line in due], dtype=np.int64)
            arena = self._ports.arena
            audio = self._up(gather(arena.rx, rows, starts, history + block))
            for line, samples in zip(due, audio, strict=True):
                line.taken += block
                later = int(rx[line.row]) - line.taken
                captured_ns = int(stamps_ns[line.row]) - later * NS_PER_S // RATE_HZ
                line.listener.on_caller_audio(samples.tobytes(), captured_ns)
            self.stats.blocks_up += len(due)
            due = [line for line in due if rx[line.row] - line.taken >= block]

    def _pump_down(self, lines: list[Line]) -> None:
        self._ports.refresh()
        tx = self._ports.tx_positions.copy()  # anew: what went up may have taken its time
        due = [line for line in lines if line.playout.waiting_samples and not line.playout.paused]
        while due:
            taken: list[tuple[Line, Block, int]] = []
            for line in due:
                read = int(tx[line.row])
                if not self._wants_block(line, read):
                    continue
                position = self._next_position(line, read)
                block = line.playout.take_block(FRAME_SAMPLES)
                if block is not None:
                    taken.append((line, block, position))
            if not taken:
                return
            self._lay(taken)
            due = [line for line, *_ in taken if line.playout.waiting_samples]

    def _wants_block(self, line: Line, read: int) -> bool:
        """Tell whether a block is due; one that would need padding waits while there is time."""
        laid_ahead = line.playout.written - read
        if line.playout.waiting_samples < FRAME_SAMPLES * UPSAMPLING:
            return laid_ahead <= _SAFETY_SAMPLES
        return laid_ahead < self._ahead

    def _next_position(self, line: Line, read: int) -> int:
        """Return where the next block goes: behind what lies there, else safely ahead of PJSIP."""
        earliest = read + _SAFETY_SAMPLES
        ran_dry = line.playout.written < earliest
        if (ran_dry or line.playout.padded) and line.playout.continues_item():
            self.stats.underruns += 1
            line.underruns += 1
        if not ran_dry:
            return line.playout.written
        line.burst_queued_ns = _BURST_BEGINS
        self._down_windows[line.row] = 0
        return earliest

    def _lay(self, taken: list[tuple[Line, Block, int]]) -> None:
        """Resample one block of each call and write it into the ring."""
        width = FRAME_SAMPLES * UPSAMPLING
        rows = [line.row for line, *_ in taken]
        history = self._down.history_samples
        for line, block, _ in taken:
            self._down_windows[line.row, history:] = block.samples
        audio = self._down(self._down_windows[rows])
        self._down_windows[rows, :history] = self._down_windows[rows, width:]
        arena = self._ports.arena
        self._ports.refresh()
        for (line, block, position), samples in zip(taken, audio, strict=True):
            write(arena.tx, line.row, position, samples)
            late = int(self._ports.tx_positions[line.row]) - position
            if late > 0:  # it would be played a whole ring later
                clear(arena.tx, line.row, position, min(late, FRAME_SAMPLES))
                self.stats.late_blocks += 1
            line.playout.laid(block, position, FRAME_SAMPLES)
            if line.burst_queued_ns == _BURST_BEGINS:
                line.burst_queued_ns, line.burst_starts = block.queued_ns, position
        self.stats.blocks_down += len(taken)

    def _report_playout(self, lines: list[Line]) -> None:
        now_ns, tx = self._clock.now_ns(), self._ports.tx_positions.copy()
        for line in lines:
            read = int(tx[line.row])
            queued_ns = line.burst_queued_ns
            if queued_ns is not None and queued_ns >= 0 and read > line.burst_starts:
                line.burst_queued_ns = None
                line.on_downlink(now_ns - queued_ns)
            for event in line.playout.advance(read):
                line.listener.on_playout(event)

    def _record(self, lines: list[Line], rx: Positions) -> None:
        """Give each recorder the span that both rings have stepped over."""
        kept = self._ports.arena.length_samples - 2 * FRAME_SAMPLES  # PJSIP steps on meanwhile
        for line in lines:
            count = int(rx[line.row]) - line.recorded
            if line.recorder is None or count <= 0:
                continue
            if count > kept:  # the ring has forgotten it; silence keeps the clock
                line.recorder.append(np.zeros((count - kept, 2), dtype=np.int16))
                line.recorded += count - kept
                count = kept
            starts = np.array([line.recorded], dtype=np.int64)
            row = np.array([line.row])
            stereo: npt.NDArray[np.int16] = np.empty((count, 2), dtype=np.int16)
            stereo[:, 0] = gather(self._ports.arena.rx, row, starts, count)[0]
            stereo[:, 1] = self._ports.heard(row, starts, count)[0]
            line.recorder.append(stereo)
            line.recorded += count
