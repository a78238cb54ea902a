"""The taps: levels, recordings, listeners and sounds, from the audio that both rings have passed.

Caller and agent are read at the same positions, the agent as PJSIP took it, so the two channels of
a recording and the two levels of a frame belong together, and echo and caller can be distinguished.
"""

from collections.abc import Callable
from typing import assert_never

import numpy as np

from bridge.audio.levels import FLOOR_DBFS, peak_dbfs, rms_dbfs
from bridge.audio.rings import FRAME_MS, gather
from bridge.audio.sounds import (
    CallerSounds,
    Sound,
    SoundChange,
    SoundEdge,
    SoundLasted,
    SoundStarted,
    SoundStopped,
)
from bridge.clock import NS_PER_MS, NS_PER_S
from bridge.telephony.lines import Line, LineSet, SoundListener
from bridge.telephony.linked_rows import mixed
from bridge.telephony.ports import MediaPorts, Positions, Samples
from bridge.telephony.recorder import Recorder

Audience = Callable[[Samples], None]
"""Takes what is said from now on, shape (n, 2) int16: caller, agent as heard; (n, 3) while any call
has a guest, whose voice is the third."""

_FRAME_NS = FRAME_MS * NS_PER_MS

CALLER, AGENT = 0, 1
"""First index of :class:`Levels`; the recordings' channels, too."""


class Levels:
    """Levels of the latest 20 ms of every row.

    Args:
        frame_samples: 20 ms.

    Attributes:
        rms_dbfs: (2, rows) float32: caller, agent as heard.
        peak_dbfs: the same.
    """

    def __init__(self, rows: int, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self.rms_dbfs = np.full((2, rows), FLOOR_DBFS, dtype=np.float32)
        self.peak_dbfs = np.full((2, rows), FLOOR_DBFS, dtype=np.float32)

    def measure(self, direction: int, rows: Positions, samples: Samples) -> None:
        """Take the end of new audio, shape (rows, n) int16."""
        frames = samples[:, -self._frame_samples :]
        self.rms_dbfs[direction, rows] = rms_dbfs(frames)
        self.peak_dbfs[direction, rows] = peak_dbfs(frames)

    def forget(self, row: int) -> None:
        """Begin a row in silence."""
        self.rms_dbfs[:, row] = self.peak_dbfs[:, row] = FLOOR_DBFS


class Taps:
    """Measures and records."""

    def __init__(self, ports: MediaPorts) -> None:
        self._rate_hz, self._frame_samples = ports.arena.rate_hz, ports.arena.frame_samples
        self.levels = Levels(ports.arena.rows, self._frame_samples)
        self._ports = ports
        self._sounds = CallerSounds(ports.arena.rows)
        self._seen: Positions = np.zeros(ports.arena.rows, dtype=np.int64)
        self._audiences: dict[int, list[Audience]] = {}
        # PJSIP steps on meanwhile.
        self._kept = ports.arena.length_samples - 2 * self._frame_samples

    def begin(self, line: Line) -> None:
        """Begin a line where PJSIP is now."""
        row = line.row
        self._seen[row] = self._ports.rx_positions[row]
        self.levels.forget(row)
        if line.sounds is not None:
            self._sounds.begin(row, line.sounds.settings)

    def admit(self, row: int, audience: Audience) -> None:
        """Have somebody hear a row from now on."""
        self._audiences.setdefault(row, []).append(audience)

    def dismiss(self, row: int, audience: Audience) -> None:
        """Have them hear it no more; somebody who does not is no error."""
        heard = [each for each in self._audiences.pop(row, ()) if each != audience]
        if heard:
            self._audiences[row] = heard

    def recorded_ms(self, line: Line, at_ns: int) -> int:
        """Return where a moment (monotonic) lies in a line's recording.

        Good to a frame: PJSIP's clock steps by frames, and is read at ticks.
        """
        recorder, row = line.recorder, line.row
        if recorder is None:
            return 0
        untaken = int(self._ports.rx_positions[row] - self._seen[row])
        ago_ns = int(self._ports.stamps_ns[row]) - at_ns
        since_ms = max(ago_ns, -_FRAME_NS) // NS_PER_MS
        return max((recorder.samples + untaken) * 1000 // self._rate_hz - since_ms, 0)

    def move(self, lines: LineSet) -> None:
        """Take what is new of every line."""
        counts = self._ports.rx_positions[lines.rows] - self._seen[lines.rows]
        if not counts.any():
            return
        self._skip_lost(lines, counts)
        events: list[tuple[SoundListener, Sound]] = []
        for count in np.unique(counts).tolist():  # PJSIP steps all rows together: mostly one
            if count > 0:
                places = np.flatnonzero(counts == count)
                events.extend(self._take(lines, places, count))
        for listener, event in events:  # last: they may end calls
            listener(event)

    def _take(
        self, lines: LineSet, places: Positions, count: int
    ) -> list[tuple[SoundListener, Sound]]:
        rows = lines.rows[places]
        starts = self._seen[rows]
        caller = gather(self._ports.arena.rx, rows, starts, count)
        agent = self._ports.heard(rows, starts, count)
        guest = self._ports.said_by_guests(rows, starts, count)
        if self._audiences:
            self._pass_to_audiences(rows, caller, agent, guest)
        if guest is not None:
            agent = mixed(agent, guest)
        self._seen[rows] += count
        self.levels.measure(CALLER, rows, caller)
        self.levels.measure(AGENT, rows, agent)
        recorders: list[Recorder] = []
        recorded: list[int] = []
        for number, line in enumerate(lines.at(places)):
            if line.recorder is None:
                continue
            if line.recorder.paused:
                line.recorder.owe(count)
                continue
            recorders.append(line.recorder)
            recorded.append(number)
        if recorders:
            stereo = np.empty((len(recorders), count, 2), dtype=np.int16)
            stereo[:, :, CALLER] = caller[recorded]
            stereo[:, :, AGENT] = agent[recorded]
            recorders[0].desk.append(recorders, stereo)
        return self._listen(lines, places, caller, agent)

    def _pass_to_audiences(
        self, rows: Positions, caller: Samples, agent: Samples, guest: Samples | None
    ) -> None:
        sides = (caller, agent) if guest is None else (caller, agent, guest)
        for row, audience in self._audiences.items():
            for place in np.flatnonzero(rows == row).tolist():
                sound = np.stack([side[place] for side in sides], axis=1)
                for each in audience:
                    each(sound)

    def _listen(
        self, lines: LineSet, places: Positions, caller: Samples, agent: Samples
    ) -> list[tuple[SoundListener, Sound]]:
        """Return the callers' sounds, each with its listener; new samples are (places, n).

        The levels of the last frame are those that were just measured.
        """
        heard = np.flatnonzero(lines.listened[places])
        if not heard.size:
            return []
        places = places[heard]
        rows, count = lines.rows[places], caller.shape[1]
        events: list[tuple[SoundListener, Sound]] = []
        size = self._frame_samples
        for end in range(count % size + size, count + 1, size):
            if end == count:
                levels = self.levels.rms_dbfs[:, rows]
            else:
                frame = slice(end - size, end)
                levels = np.stack([rms_dbfs(each[heard, frame]) for each in (caller, agent)])
            later_ns = (count - end) * NS_PER_S // self._rate_hz
            ended_ns = self._ports.stamps_ns[rows] - later_ns
            for change in self._sounds.feed(rows, levels[CALLER], levels[AGENT]):
                sounds = lines.lines[places[change.place]].sounds
                at_ns = int(ended_ns[change.place]) - change.ago_ms * NS_PER_MS
                if sounds is not None:
                    events.append((sounds.listener, _event(change, at_ns)))
        return events

    def _skip_lost(self, lines: LineSet, counts: Positions) -> None:
        """Step over what the ring has forgotten; silence keeps the recordings' clock."""
        for place in np.flatnonzero(counts > self._kept).tolist():
            line, lost = lines.lines[place], int(counts[place]) - self._kept
            if line.recorder is not None:
                line.recorder.owe(lost)
            self._seen[line.row] += lost
            counts[place] = self._kept


def _event(change: SoundChange, at_ns: int) -> Sound:
    match change.change:
        case SoundEdge.STARTED:
            return SoundStarted(at_ns)
        case SoundEdge.LASTED:
            return SoundLasted(at_ns, change.lasted_ms)
        case SoundEdge.STOPPED:
            return SoundStopped(at_ns)
        case _:
            assert_never(change.change)
