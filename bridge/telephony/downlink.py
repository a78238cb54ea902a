"""The way down: agent audio of all calls, from the playouts into the tx ring.

Blocks of one format become the ring's samples for all calls at once, 24 kHz PCM by one matrix
product, G.711 by one look-up, and are laid *ahead* of PJSIP's read position, so a slow loop makes
no gap.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bridge.audio.formats import ToRing, decode_samples
from bridge.audio.ledger import NEVER, PlayedItem
from bridge.audio.rings import FRAME_MS, clear, gather, scatter, write
from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat
from bridge.telephony.dry_ends import DryEnds
from bridge.telephony.lines import SILENCED, UNDUCKED, Line, LineSet, PumpStats
from bridge.telephony.playout import Block
from bridge.telephony.ports import MediaPorts, Positions, Samples

_SAFETY_FRAMES = 1
"""Kept free ahead of the read position: PJSIP may take a frame while we write."""

_IN_TIME_NS = _SAFETY_FRAMES * FRAME_MS * NS_PER_MS // 2
"""Audio that was laid so soon after a look at PJSIP's position is in time. To look again costs a
cache miss a call, every time."""

_MOST_RUN_FRAMES = 3
"""Laid at once where so much waits: what a block costs beside its samples is most of it. At most
half of what is laid ahead, so that the other half bears a loop that stands still."""

_FADE_FRAMES = 1
"""A gain changes over 20 ms, as a step would click. Two changes, to low and to silent, make up the
40 ms and more that `NEEDS.md` section 5 asks for; a longer fade would cost the bridge its 60 ms."""

_CUT_MS = 5
"""What is cut short fades over so much, which nobody hears as sound."""

_DRY_FRAMES = 8
"""Kept beyond what is laid ahead: a block, the safety, and a position that is a few frames old."""

_BURST_BEGINS = -1
"""Stands in ``Line.burst_queued_ns`` until the burst's first block is laid."""


class Downlink:
    """Lays agent audio, and reports how much of it was heard.

    Args:
        clock: stamps queued audio.
        ahead_ms: how far ahead of PJSIP audio is laid.

    Attributes:
        ends: fades those that nobody announces.
    """

    def __init__(self, ports: MediaPorts, clock: Clock, stats: PumpStats, ahead_ms: int) -> None:
        self._ports = ports
        self._clock = clock
        self._stats = stats
        rate_hz, self._frame = ports.arena.rate_hz, ports.arena.frame_samples
        self._rate_hz = rate_hz
        self._safety, self._fade = _SAFETY_FRAMES * self._frame, _FADE_FRAMES * self._frame
        self._cut = rate_hz * _CUT_MS // 1000
        self._ahead = ahead_ms * rate_hz // 1000
        self._run_frames = max(1, min(_MOST_RUN_FRAMES, self._ahead // (2 * self._frame)))
        self._to_ring = {
            (frames, each): ToRing(each, frames * self._frame, rate_hz)
            for frames in (1, self._run_frames)
            for each in AudioFormat
        }
        rows = ports.arena.rows
        history = max(each.history_samples for each in self._to_ring.values())
        # What a row was given last, at the rate that it had then.
        self._history: Samples = np.zeros((rows, history), dtype=np.int16)
        self._history_hz: Positions = np.zeros(rows, dtype=np.int64)
        # What lies ahead of PJSIP in the tx ring, before its gain: it may have to come back.
        length = (self._ahead // self._frame + _DRY_FRAMES) * self._frame
        self._dry: Samples = np.zeros((rows, length), dtype=np.int16)
        self._quiet_until: Positions = np.full(rows, NEVER, dtype=np.int64)
        self._lines: dict[int, Line] = {}
        self._fresh: dict[int, Line] = {}
        self.ends = DryEnds(ports)

    @property
    def delay_ms(self) -> float:
        """The longest filter's delay."""
        return max(each.delay_ms for each in self._to_ring.values())

    def begin(self, line: Line) -> None:
        """Begin a line where PJSIP is now."""
        self._lines[line.row] = line
        line.playout.written = int(self._ports.tx_positions[line.row])
        self._history[line.row] = 0
        line.gain = UNDUCKED
        self._quiet_until[line.row] = NEVER

    def end(self, line: Line) -> None:
        """Lay no more of a line."""
        del self._lines[line.row]
        self._fresh.pop(line.row, None)
        self.ends.forget(line.row)

    def flush(self, row: int) -> tuple[PlayedItem, ...]:
        """Silence a call's agent audio from the next frame on; return what was heard of it.

        It ends in a fade of 5 ms: from a loud sample to silence is a click. The position is read
        after the ring is silenced: a frame that PJSIP took meanwhile was heard, and counts as
        heard.
        """
        line = self._lines[row]
        self.ends.forget(row)
        self._ports.refresh()
        before = int(self._ports.tx_positions[row])
        if line.playout.written > before:
            self._fade_out(row, before, line.playout.written - before)
        self._history[row] = 0
        line.gain = UNDUCKED
        line.burst_queued_ns = None
        self._quiet_until[row] = NEVER
        self._ports.refresh()
        return line.playout.flush(int(self._ports.tx_positions[row]))

    def _fade_out(self, row: int, start: int, count: int) -> None:
        tx, fade = self._ports.arena.tx, min(count, self._cut)
        laid = gather(tx, np.array([row]), np.array([start]), fade)[0]
        clear(tx, row, start, count)
        write(tx, row, start, _scaled(laid, np.linspace(1, 0, fade, endpoint=False)))
        self._ports.refresh()
        late = int(self._ports.tx_positions[row]) - start
        if late > 0:  # PJSIP took the frame meanwhile: the fade would be heard a whole ring later
            clear(tx, row, start, min(late, fade))

    def queued_ms(self, row: int) -> float:
        """Return how much of a call's agent audio PJSIP has yet to take, laid or waiting."""
        line = self._lines[row]
        self._ports.refresh()
        laid = line.playout.written - int(self._ports.tx_positions[row])
        return max(laid, 0) * 1000 / self._rate_hz + line.playout.queued_ms

    def fade_when_dry(self, row: int) -> None:
        """Fade a call's agent audio where it runs dry, until then or until it is flushed."""
        self.ends.watch(self._lines[row])

    def duck(self, row: int, by_db: float) -> None:
        """Lower a call's agent audio from the next frame on; 0 dB brings it back.

        What lies ahead of PJSIP is changed, too. A frame that PJSIP takes meanwhile is heard with
        either gain, or some of each.
        """
        line, gain = self._lines[row], UNDUCKED * 10 ** (-by_db / 20)
        before, line.gain = line.gain, gain
        self._ports.refresh()
        start = int(self._ports.tx_positions[line.row])
        count = min(line.playout.written - start, self._dry.shape[1])
        if gain == before:
            return
        fade = min(max(count, 0), self._fade)
        if gain == SILENCED:
            line.playout.ledger.silence(start + fade)
        elif before == SILENCED:
            line.playout.ledger.unsilence(start)
        if count <= 0:
            return
        laid = gather(self._dry, np.array([line.row]), np.array([start]), count)[0]
        gains = np.full(count, gain)
        gains[:fade] = np.linspace(before, gain, fade)
        write(self._ports.arena.tx, line.row, start, _scaled(laid, gains))

    def play(
        self,
        row: int,
        item_id: ItemId,
        content_index: int,
        audio: bytes,
        audio_format: AudioFormat = AudioFormat.PCM_24KHZ,
    ) -> None:
        """Queue a call's agent audio; a burst's first is laid at once, not at the tick.

        Less than a frame waits for the tick: the rest of it may be on its way.
        """
        line = self._lines[row]
        playout = line.playout
        playout.queue(item_id, content_index, audio, self._clock.now_ns(), audio_format)
        # A stale position only says that more is still to be heard: then the tick lays it.
        silent = playout.written <= self._ports.tx_positions[row]
        if silent and playout.waiting_ms >= FRAME_MS:
            self.move((line,))
        else:
            self._fresh[row] = line

    def move_fresh(self) -> None:
        """Lay what was queued since the last look, where there is room for it."""
        fresh, self._fresh = self._fresh, {}
        self.move(tuple(fresh.values()))

    def move(self, lines: Sequence[Line]) -> None:
        """Lay every block that is due."""
        due = [line for line in lines if line.playout.waiting_ms and not line.playout.paused]
        if not due:
            return
        self._ports.refresh()  # what went up may have taken its time
        looked_ns = self._clock.now_ns()
        tx = self._ports.tx_positions.tolist()
        while due:
            batches: defaultdict[tuple[int, AudioFormat], _Batch] = defaultdict(_Batch)
            for line in due:
                read = tx[line.row]
                frames = self._frames_due(line, read)
                if not frames:
                    continue
                position = self._next_position(line, read)
                block = line.playout.take_block(frames * self._frame)
                if block is not None:
                    batches[frames, block.audio_format].add(line, block, position)
            for (frames, audio_format), batch in batches.items():
                self._lay(batch, frames, audio_format, looked_ns)
            due = [
                line
                for batch in batches.values()
                for line in batch.lines
                if line.playout.waiting_ms
            ]

    def report(self, lines: LineSet) -> None:
        """Notify the listeners of what began and ended by PJSIP's positions."""
        tx = self._ports.tx_positions[lines.rows]
        due = np.flatnonzero(tx >= self._quiet_until[lines.rows])
        if not due.size:
            return
        now_ns = self._clock.now_ns()
        reads, reads_ns = tx[due].tolist(), self._taken_ns(lines.rows[due], tx[due])
        for line, read, read_ns in zip(lines.at(due), reads, reads_ns, strict=True):
            queued_ns = line.burst_queued_ns
            if queued_ns is not None and queued_ns >= 0 and read > line.burst_starts:
                line.burst_queued_ns = None
                line.on_downlink(now_ns - queued_ns)
            events = line.playout.advance(read, read_ns)
            self._quiet_until[line.row] = _quiet_until(line)
            for event in events:
                line.listener.on_playout(event)

    def _taken_ns(self, rows: Positions, tx: Positions) -> list[int]:
        """Return when PJSIP's read positions became ``tx``.

        Both rings step at one conference tick, and of the ``rx`` positions the times are known; in
        the middle of a tick one of the two is ahead.
        """
        ahead = tx - self._ports.rx_positions[rows]
        taken_ns: list[int] = (
            self._ports.stamps_ns[rows] + ahead * NS_PER_S // self._rate_hz
        ).tolist()
        return taken_ns

    def _frames_due(self, line: Line, read: int) -> int:
        """Return how many frames are to be laid now; 0 for none.

        Mostly a run of them, when there is room for it; the end of what waits goes frame by frame.
        A block that would need padding waits while there is time.
        """
        laid_ahead = line.playout.written - read
        waiting_ms = line.playout.waiting_ms
        if waiting_ms < FRAME_MS:
            return int(laid_ahead <= self._safety)
        if waiting_ms < self._run_frames * FRAME_MS:
            return int(laid_ahead < self._ahead)
        room = self._ahead - laid_ahead
        return self._run_frames if room >= self._run_frames * self._frame else 0

    def _next_position(self, line: Line, read: int) -> int:
        """Return where the next block goes: behind what lies there, else safely ahead of PJSIP."""
        earliest = read + self._safety
        ran_dry = line.playout.written < earliest
        if (ran_dry or line.playout.padded) and line.playout.continues_item():
            self._stats.underruns += 1
            line.underruns += 1
        if not ran_dry:
            self.ends.go_on(line.row, line.playout.written)
            return line.playout.written
        self.ends.forget(line.row)
        line.burst_queued_ns = _BURST_BEGINS
        self._history[line.row] = 0
        return earliest

    def _lay(self, batch: "_Batch", frames: int, audio_format: AudioFormat, looked_ns: int) -> None:
        """Convert one block of each line and write it into the ring.

        Args:
            batch: what goes where.
            frames: of each block; ``audio_format``: of all.
            looked_ns: when PJSIP's positions were read.
        """
        lines, count = batch.lines, frames * self._frame
        rows = np.array([line.row for line in lines], dtype=np.int64)
        starts = np.array(batch.positions, dtype=np.int64)
        audio = decode_samples(audio_format, b"".join([block.audio for block in batch.blocks]))
        laid = self._as_of_ring(frames, audio_format, rows, audio.reshape(len(lines), -1))
        scatter(self._dry, rows, starts, laid)
        if any(line.gain != UNDUCKED for line in lines):
            laid = _scaled(laid, np.array([[line.gain] for line in lines]))
        scatter(self._ports.arena.tx, rows, starts, laid)
        now_ns = self._clock.now_ns()
        if now_ns - looked_ns > _IN_TIME_NS:
            self._clear_late(rows, starts, count)
        for line, block, position in zip(lines, batch.blocks, batch.positions, strict=True):
            line.playout.laid(block, position, count, now_ns)
            if line.burst_queued_ns == _BURST_BEGINS:
                line.burst_queued_ns, line.burst_starts = block.queued_ns, position
        self._quiet_until[rows] = [_quiet_until(line) for line in lines]
        self._stats.blocks_down += frames * len(lines)

    def _as_of_ring(
        self, frames: int, audio_format: AudioFormat, rows: Positions, audio: Samples
    ) -> Samples:
        """Turn a block of each row, at the format's rate, into the ring's samples."""
        to_ring = self._to_ring[frames, audio_format]
        others = rows[self._history_hz[rows] != audio_format.rate_hz]
        self._history[others], self._history_hz[others] = 0, audio_format.rate_hz
        history = to_ring.history_samples
        if not history:
            return to_ring(audio)
        windows = np.empty((len(rows), to_ring.window_samples), dtype=np.int16)
        windows[:, :history] = self._history[rows, -history:]
        windows[:, history:] = audio
        self._history[rows, -history:] = windows[:, -history:]
        return to_ring(windows)

    def _clear_late(self, rows: Positions, starts: Positions, block_samples: int) -> None:
        """Take back what PJSIP has passed meanwhile: it would be played a whole ring later."""
        self._ports.refresh()
        late = self._ports.tx_positions[rows] - starts
        for place in np.flatnonzero(late > 0).tolist():
            count = min(int(late[place]), block_samples)
            clear(self._ports.arena.tx, int(rows[place]), int(starts[place]), count)
            self._stats.late_blocks += 1


class _Batch:
    """Blocks of one length that are laid together; the three lists belong to each other."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.blocks: list[Block] = []
        self.positions: list[int] = []

    def add(self, line: Line, block: Block, position: int) -> None:
        """Add a line's block, and where it goes."""
        self.lines.append(line)
        self.blocks.append(block)
        self.positions.append(position)


def _quiet_until(line: Line) -> int:
    """Return the position up to which there is nothing to report of a line."""
    until = line.playout.quiet_until
    queued_ns = line.burst_queued_ns
    if queued_ns is not None and queued_ns >= 0:
        until = min(until, line.burst_starts + 1)
    return until


def _scaled(samples: Samples, gains: npt.NDArray[np.float64]) -> Samples:
    """Return samples times gains, which broadcast; what would overflow is clipped."""
    limits = np.iinfo(np.int16)
    scaled: Samples = np.rint(samples * gains).clip(limits.min, limits.max).astype(np.int16)
    return scaled
