"""The taps: levels and recordings of what both rings have stepped over, both ways, for all calls.

Caller and agent are read at the same positions, the agent as PJSIP took it, so the two channels of
a recording and the two levels of a frame belong together.
"""

import numpy as np

from bridge.audio.levels import FLOOR_DBFS, peak_dbfs, rms_dbfs
from bridge.audio.rings import FRAME_SAMPLES, gather
from bridge.telephony.lines import LineSet
from bridge.telephony.ports import MediaPorts, Positions, Samples
from bridge.telephony.recorder import Recorder

CALLER, AGENT = 0, 1
"""First index of :class:`Levels`; the recordings' channels, too."""


class Levels:
    """Levels of the latest 20 ms of every row.

    Attributes:
        rms_dbfs: (2, rows) float32: caller, agent as heard.
        peak_dbfs: the same.
    """

    def __init__(self, rows: int) -> None:
        self.rms_dbfs = np.full((2, rows), FLOOR_DBFS, dtype=np.float32)
        self.peak_dbfs = np.full((2, rows), FLOOR_DBFS, dtype=np.float32)

    def measure(self, direction: int, rows: Positions, samples: Samples) -> None:
        """Take the end of new audio, shape (rows, n) int16 at 8 kHz."""
        frames = samples[:, -FRAME_SAMPLES:]
        self.rms_dbfs[direction, rows] = rms_dbfs(frames)
        self.peak_dbfs[direction, rows] = peak_dbfs(frames)

    def forget(self, row: int) -> None:
        """Begin a row in silence."""
        self.rms_dbfs[:, row] = self.peak_dbfs[:, row] = FLOOR_DBFS


class Taps:
    """Measures and records."""

    def __init__(self, ports: MediaPorts) -> None:
        self.levels = Levels(ports.arena.rows)
        self._ports = ports
        self._seen: Positions = np.zeros(ports.arena.rows, dtype=np.int64)
        self._kept = ports.arena.length_samples - 2 * FRAME_SAMPLES  # PJSIP steps on meanwhile

    def begin(self, row: int) -> None:
        """Begin a row where PJSIP is now."""
        self._seen[row] = self._ports.rx_positions[row]
        self.levels.forget(row)

    def move(self, lines: LineSet) -> None:
        """Take what is new of every line."""
        counts = self._ports.rx_positions[lines.rows] - self._seen[lines.rows]
        if not counts.any():
            return
        self._skip_lost(lines, counts)
        for count in np.unique(counts).tolist():  # PJSIP steps all rows together: mostly one
            if count > 0:
                self._take(lines, np.flatnonzero(counts == count), count)

    def _take(self, lines: LineSet, places: Positions, count: int) -> None:
        rows = lines.rows[places]
        starts = self._seen[rows]
        caller = gather(self._ports.arena.rx, rows, starts, count)
        agent = self._ports.heard(rows, starts, count)
        self._seen[rows] += count
        self.levels.measure(CALLER, rows, caller)
        self.levels.measure(AGENT, rows, agent)
        recorders: list[Recorder] = []
        recorded: list[int] = []
        for number, line in enumerate(lines.at(places)):
            if line.recorder is not None:
                recorders.append(line.recorder)
                recorded.append(number)
        if recorders:
            stereo = np.empty((len(recorders), count, 2), dtype=np.int16)
            stereo[:, :, CALLER] = caller[recorded]
            stereo[:, :, AGENT] = agent[recorded]
            recorders[0].desk.append(recorders, stereo)

    def _skip_lost(self, lines: LineSet, counts: Positions) -> None:
        """Step over what the ring has forgotten; silence keeps the recordings' clock."""
        for place in np.flatnonzero(counts > self._kept).tolist():
            line, lost = lines.lines[place], int(counts[place]) - self._kept
            if line.recorder is not None:
                line.recorder.owe(lost)
            self._seen[line.row] += lost
            counts[place] = self._kept
