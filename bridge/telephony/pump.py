"""The pump: moves the audio of all calls once a tick, in the loop's thread.

Three ways, each for all calls at once: up (:class:`Uplink`), down
(:mod:`bridge.telephony.downlink`), and to the side (:mod:`bridge.telephony.taps`).
"""

from collections.abc import Callable, Iterable

import numpy as np

from bridge.audio.formats import FromRing
from bridge.audio.rings import gather
from bridge.clock import NS_PER_MS, NS_PER_S, Clock
from bridge.realtime.session_config import AudioFormat
from bridge.telephony.audio_clock import ClockWatch
from bridge.telephony.downlink import Downlink
from bridge.telephony.lines import (
    Line,
    LineListener,
    LineSet,
    PumpStats,
    Sounds,
)
from bridge.telephony.linked_rows import mixed
from bridge.telephony.playout import Playout
from bridge.telephony.ports import MediaPorts, Positions
from bridge.telephony.recorder import Recorder
from bridge.telephony.taps import Audience, Levels, Taps


class Pump:
    """Moves audio between the rings and the calls' listeners.

    Args:
        ports: the rings and PJSIP's positions.
        clock: stamps queued audio.
        append_ms: caller audio in one piece handed up.
        ahead_ms: how far ahead of PJSIP agent audio is laid.

    Attributes:
        downlink: takes agent audio, by the row of its call.
    """

    def __init__(self, ports: MediaPorts, clock: Clock, *, append_ms: int, ahead_ms: int) -> None:
        self.stats = PumpStats()
        self._ports = ports
        self._clock = clock
        self._watch = ClockWatch()
        self._up = Uplink(ports, self.stats, append_ms)
        self.downlink = Downlink(ports, clock, self.stats, ahead_ms)
        self._taps = Taps(ports)
        self._lines: dict[int, Line] = {}
        self._set = LineSet()

    @property
    def delay_ms(self) -> float:
        """Delay of the two filters together, ms; G.711 has none."""
        return self._up.delay_ms + self.downlink.delay_ms

    @property
    def rate_hz(self) -> int:
        """The rings' rate, and so that of recordings and of who listens."""
        return self._ports.arena.rate_hz

    @property
    def levels(self) -> Levels:
        """How loud each row is, both ways."""
        return self._taps.levels

    def add(
        self,
        row: int,
        listener: LineListener,
        recorder: Recorder | None = None,
        *,
        on_downlink: Callable[[int], None] = lambda ns: None,
        sounds: Sounds | None = None,
        audio_format: AudioFormat = AudioFormat.PCM_24KHZ,
    ) -> Line:
        """Begin to move the audio of a row, from where PJSIP is now.

        Args:
            row: its row in the rings.
            listener: hears of its audio.
            recorder: gets both directions of it.
            on_downlink: receives, for each burst of agent audio, the ns from its queueing to the
                frame in which PJSIP took its first sample (resolution: one tick).
            sounds: settings and listener of the caller's sounds.
            audio_format: of what the listener hears.
        """
        playout = Playout(self.rate_hz)
        line = Line(row, listener, recorder, on_downlink, sounds, playout=playout)
        self._ports.refresh()
        self._up.begin(row, audio_format)
        self.downlink.begin(line)
        self._taps.begin(line)
        self._lines[row] = line
        self._line_up()
        return line

    def hand_up(self, row: int, audio_format: AudioFormat) -> None:
        """Have a row's listener hear its caller in another format, from the next piece on."""
        self._up.formats[row] = audio_format

    def remove(self, row: int) -> None:
        """Stop moving a row's audio; what was not yet recorded is recorded."""
        line = self._lines.pop(row, None)
        if line is None:
            return
        self._line_up()
        self.downlink.end(line)
        self._ports.refresh()
        self._taps.move(LineSet((line,)))

    def admit(self, row: int, audience: Audience) -> None:
        """Have somebody hear both sides of a call from now on."""
        self._taps.admit(row, audience)

    def dismiss(self, row: int, audience: Audience) -> None:
        """Have them hear it no more."""
        self._taps.dismiss(row, audience)

    def pause_recording(self, row: int, *, paused: bool) -> None:
        """Have a call's recording hold silence from the present frame on, or its audio again."""
        line = self._lines[row]
        if line.recorder is None or line.recorder.paused == paused:
            return
        # What came before is taken as it was to be: audio up to a pause, silence up to its end.
        self._ports.refresh()
        self._taps.move(LineSet((line,)))
        line.recorder.paused = paused

    def recorded_ms(self, row: int, at_ns: int) -> int:
        """Return where a moment (monotonic ns) lies in a call's recording."""
        return self._taps.recorded_ms(self._lines[row], at_ns)

    def tick(self) -> None:
        """Move everything that is due; mostly nothing where PJSIP's clock has not stepped."""
        lines = self._set
        if not lines:
            self.stats.clock_still_ms = 0
            return
        self._ports.refresh()
        position = int(self._ports.tx_positions[lines.lines[0].row])  # all rows step together
        stepped = self._watch.feed(position, self._clock.now_ns())
        self.stats.clock_stalls = self._watch.stalls
        self.stats.clock_still_ms = self._watch.still_ns // NS_PER_MS
        if not stepped:
            self.downlink.move_fresh()
            return
        self.downlink.report(lines)
        self._up.move(lines)
        self.downlink.move(lines.lines)
        self.downlink.ends.fade()
        self._taps.move(lines)

    def _line_up(self) -> None:
        self._set = LineSet(tuple(self._lines.values()))
        self._watch.forget()


class Uplink:
    """Hands caller audio up, in pieces: from the rx ring to the listeners, of all calls at once.

    Each call's new samples are gathered with their history straight from the ring and turned
    into its format: PCM of another rate by one matrix product for all calls that have it, G.711 by
    one look-up.

    Args:
        append_ms: audio in one piece.

    Attributes:
        formats: what each row's audio is handed up in.
    """

    def __init__(self, ports: MediaPorts, stats: PumpStats, append_ms: int) -> None:
        self._ports = ports
        self._stats = stats
        self._rate_hz = ports.arena.rate_hz
        self._block = append_ms * self._rate_hz // 1000
        self._from_ring = {each: FromRing(each, self._block, self._rate_hz) for each in AudioFormat}
        self._longest_history = max(each.history_samples for each in self._from_ring.values())
        self.formats = [AudioFormat.PCM_24KHZ] * ports.arena.rows
        self._taken: Positions = np.zeros(ports.arena.rows, dtype=np.int64)

    @property
    def delay_ms(self) -> float:
        """The longest filter's delay."""
        return max(each.delay_ms for each in self._from_ring.values())

    def begin(self, row: int, audio_format: AudioFormat) -> None:
        """Begin a row's audio where PJSIP is now."""
        self.formats[row] = audio_format
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
            for audio_format, places in self._by_format(rows, due):
                self._move_block(audio_format, lines, places, rx[places], stamps_ns[places])

    def _by_format(
        self, rows: Positions, due: Positions
    ) -> Iterable[tuple[AudioFormat, Positions]]:
        """Sort the lines at the places ``due`` by what they are handed up in."""
        places: dict[AudioFormat, list[int]] = {}
        for place, row in zip(due.tolist(), rows[due].tolist(), strict=True):
            places.setdefault(self.formats[row], []).append(place)
        return [(each, np.array(found, dtype=np.int64)) for each, found in places.items()]

    def _move_block(
        self,
        audio_format: AudioFormat,
        lines: LineSet,
        due: Positions,
        rx: Positions,
        stamps_ns: Positions,
    ) -> None:
        """Hand up one piece of the lines at the places ``due``; the arrays have their shape."""
        from_ring, block = self._from_ring[audio_format], self._block
        rows, history = lines.rows[due], from_ring.history_samples
        starts = self._taken[rows] - history
        windows = gather(self._ports.arena.rx, rows, starts, history + block)
        guests = self._ports.said_by_guests(rows, starts, history + block)
        if guests is not None:  # who speaks beside the agent is heard by it, as the caller is
            windows = mixed(windows, guests)
        audio = from_ring(windows)
        self._taken[rows] += block
        later = rx - self._taken[rows]
        captured_ns = (stamps_ns - later * NS_PER_S // self._rate_hz).tolist()
        self._stats.blocks_up += len(captured_ns)
        size = len(audio) // len(captured_ns)
        for number, line in enumerate(lines.at(due)):
            piece = audio[number * size : (number + 1) * size]
            line.listener.on_caller_audio(piece, captured_ns[number])

    def _skip_lost(self, rows: Positions, rx: Positions) -> None:
        """Go on with what the ring still holds where the loop stood still for too long."""
        arena = self._ports.arena
        capacity = arena.length_samples - self._longest_history - arena.frame_samples
        behind = rx - self._taken[rows]
        lost = behind > capacity
        if lost.any():
            skipped = (behind[lost] - capacity // 2) // self._block * self._block
            self._taken[rows[lost]] += skipped
            self._stats.overruns += int(lost.sum())
