"""The pump: moves the audio of all calls once a tick, in the loop's thread.

Three ways, each for all calls at once: up (:mod:`bridge.telephony.uplink`), down
(:mod:`bridge.telephony.downlink`), and to the side (:mod:`bridge.telephony.taps`).
"""

from collections.abc import Callable

from bridge.clock import NS_PER_MS, Clock
from bridge.engine.media import PlayedItem
from bridge.realtime.ids import ItemId
from bridge.telephony.downlink import Downlink
from bridge.telephony.lines import (
    UNDUCKED,
    Line,
    LineListener,
    LineSet,
    PumpStats,
    Sounds,
)
from bridge.telephony.ports import MediaPorts
from bridge.telephony.recorder import Recorder
from bridge.telephony.taps import Audience, Levels, Taps
from bridge.telephony.uplink import Uplink

STALL_NS = 60 * NS_PER_MS
"""Three frames: a longer gap gets through a jitter buffer of 40 to 80 ms (`NEEDS.md` section 5)."""


class ClockWatch:
    """Watches PJSIP's audio clock, by a position that steps with it.

    Attributes:
        stalls: how often it stood still for :data:`STALL_NS`.
        still_ns: for how long it stands still.
    """

    def __init__(self) -> None:
        self.stalls = 0
        self.still_ns = 0
        self._position = -1
        self._moved_ns = 0
        self._stalled = False

    def forget(self) -> None:
        """Begin anew: another row's position comes next."""
        self._position = -1

    def feed(self, position: int, now_ns: int) -> bool:
        """Return whether the clock has stepped since it was last looked at."""
        if position != self._position:
            if self._position >= 0:  # else nobody knows yet whether it steps
                self.still_ns = 0
            self._position, self._moved_ns, self._stalled = position, now_ns, False
            return True
        self.still_ns = now_ns - self._moved_ns
        if not self._stalled and self.still_ns >= STALL_NS:
            self._stalled = True
            self.stalls += 1
        return False


class Pump:
    """Moves audio between the rings and the calls' listeners.

    Args:
        ports: the rings and PJSIP's positions.
        clock: stamps queued audio.
        append_ms: caller audio in one piece handed up.
        ahead_ms: how far ahead of PJSIP agent audio is laid.
    """

    def __init__(self, ports: MediaPorts, clock: Clock, *, append_ms: int, ahead_ms: int) -> None:
        self.stats = PumpStats()
        self._ports = ports
        self._clock = clock
        self._watch = ClockWatch()
        self._up = Uplink(ports, self.stats, append_ms)
        self._down = Downlink(ports, clock, self.stats, ahead_ms)
        self._taps = Taps(ports)
        self._lines: dict[int, Line] = {}
        self._set = LineSet()

    @property
    def delay_ms(self) -> float:
        """Delay of the two resamplers together, ms."""
        return self._up.delay_ms + self._down.delay_ms

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
    ) -> Line:
        """Begin to move the audio of a row, from where PJSIP is now.

        Args:
            row: its row in the rings.
            listener: hears of its audio.
            recorder: gets both directions of it.
            on_downlink: receives, for each burst of agent audio, the ns from its queueing to the
                frame in which PJSIP took its first sample (resolution: one tick).
            sounds: tells when the caller makes a sound.
        """
        line = Line(row, listener, recorder, on_downlink, sounds)
        self._ports.refresh()
        self._up.begin(row)
        self._down.begin(line)
        self._taps.begin(line)
        self._lines[row] = line
        self._line_up()
        return line

    def remove(self, row: int) -> None:
        """Stop moving a row's audio; what was not yet recorded is recorded."""
        line = self._lines.pop(row, None)
        if line is None:
            return
        self._line_up()
        self._down.end(line)
        self._ports.refresh()
        self._taps.move(LineSet((line,)))

    def flush(self, row: int) -> tuple[PlayedItem, ...]:
        """Silence a call's agent audio from the next frame on; return what was heard of it."""
        return self._down.flush(self._lines[row])

    def play(self, row: int, item_id: ItemId, content_index: int, audio: bytes) -> None:
        """Queue agent audio, 24 kHz PCM; a burst's first is laid at once, not at the tick."""
        self._down.play(self._lines[row], item_id, content_index, audio)

    def queued_ms(self, row: int) -> float:
        """Return how much of a call's agent audio PJSIP has yet to take, laid or waiting."""
        return self._down.queued_ms(self._lines[row])

    def fade_when_dry(self, row: int) -> None:
        """Fade a call's agent audio where it runs dry, until then or until it is flushed."""
        self._down.ends.watch(self._lines[row])

    def admit(self, row: int, audience: Audience) -> None:
        """Have somebody hear both sides of a call from now on."""
        self._taps.admit(row, audience)

    def dismiss(self, row: int, audience: Audience) -> None:
        """Have them hear it no more."""
        self._taps.dismiss(row, audience)

    def duck(self, row: int, by_db: float) -> None:
        """Lower a call's agent audio from the next frame on; 0 dB brings it back."""
        self._down.set_gain(self._lines[row], UNDUCKED * 10 ** (-by_db / 20))

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
            self._down.move_fresh()
            return
        self._down.report(lines)
        self._up.move(lines)
        self._down.move(lines.lines)
        self._down.ends.fade()
        self._taps.move(lines)

    def _line_up(self) -> None:
        self._set = LineSet(tuple(self._lines.values()))
        self._watch.forget()
