"""Judges packet by packet the sound that callers get, for all calls at once. Pure numpy.

A call is a row. A jitter buffer of 60 ms stands for the phone: a packet that comes more than that
after the fastest path so far would have missed its time to be played. After a packet that was late
the buffer has slipped, as a phone's does, so that one stall counts once for each packet that it
kept waiting and not for the rest of the call.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.clock import NS_PER_MS, NS_PER_S

BUFFER_MS = 60
"""`NEEDS.md` section 5: what the bridge may add each way; also a common phone's buffer."""

DROPOUT_FRAMES = 25
"""Silence up to 500 ms between two loud packets is a hole in the answer: answers are a steady tone,
with seconds between them."""

_NS_PER_SAMPLE = NS_PER_S // 8000
_LATE_NS = BUFFER_MS * NS_PER_MS
_WRAP = 1 << 16
_FARTHEST = 1 << 15

_LOUD_BELOW = 0x40
"""Of a mu-law byte without its sign: the lower, the louder (G.711); about 1,900 of 32,767."""

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeardRtp:
    """The packets that all calls together heard in one window.

    Attributes:
        packets: that came.
        lost: missing by sequence number.
        late: came more than 60 ms after the fastest path.
        gaps: pauses of more than 60 ms between two packets of a call.
        longest_gap_ms: the longest of all pauses.
        dropouts: holes in an answer.
    """

    packets: int
    lost: int
    late: int
    gaps: int
    longest_gap_ms: float
    dropouts: int


class RtpHearing:
    """The ears of up to ``rows`` calls.

    Attributes:
        loud_ns: (rows,) when each call's last loud packet came, on the clock of the stamps.
        gap_ends_ns: of pauses of more than 60 ms between two packets, the ends, on that clock.
    """

    def __init__(self, rows: int) -> None:
        self.loud_ns: Int64s = np.zeros(rows, dtype=np.int64)
        self.gap_ends_ns: list[int] = []
        self._expected: Int64s = np.full(rows, -1, dtype=np.int64)
        self._arrived_ns: Int64s = np.zeros(rows, dtype=np.int64)
        self._fastest_ns: Int64s = np.zeros(rows, dtype=np.int64)
        self._silent: Int64s = np.zeros(rows, dtype=np.int64)
        self._totals = np.zeros(5, dtype=np.int64)
        self._longest_ns = 0

    def forget(self, row: int) -> None:
        """Begin a new call on a row."""
        self._expected[row] = -1
        self._silent[row] = DROPOUT_FRAMES + 1

    def window(self) -> HeardRtp:
        """Return what was heard since the last time."""
        packets, lost, late, gaps, dropouts = (int(each) for each in self._totals)
        heard = HeardRtp(packets, lost, late, gaps, self._longest_ns / NS_PER_MS, dropouts)
        self._totals[:] = 0
        self.gap_ends_ns = []
        self._longest_ns = 0
        return heard

    def take(
        self,
        rows: Int64s,
        sequences: Int64s,
        timestamps: Int64s,
        stamps_ns: Int64s,
        audio: np.ndarray,
    ) -> None:
        """Take packets, in the order of their arrival.

        Args:
            rows: (n,) whose they are.
            sequences: (n,) RTP sequence numbers.
            timestamps: (n,) RTP timestamps, 8 kHz samples.
            stamps_ns: (n,) arrivals.
            audio: (n, samples) uint8, mu-law.
        """
        loud = (audio & 0x7F).min(axis=1, initial=0x7F) < _LOUD_BELOW
        left = np.arange(len(rows))
        while len(left):  # one round for each packet that the busiest call has in here
            _, first = np.unique(rows[left], return_index=True)
            now = left[first]
            self._take_one_each(
                rows[now], sequences[now], timestamps[now], stamps_ns[now], loud[now]
            )
            left = np.delete(left, first)

    def _take_one_each(
        self,
        rows: Int64s,
        sequences: Int64s,
        timestamps: Int64s,
        stamps_ns: Int64s,
        loud: npt.NDArray[np.bool_],
    ) -> None:
        transit_ns = stamps_ns - timestamps * _NS_PER_SAMPLE
        new = self._expected[rows] < 0
        if new.any():
            begun = rows[new]
            self._expected[begun] = sequences[new]
            self._arrived_ns[begun] = stamps_ns[new]
            self._fastest_ns[begun] = transit_ns[new]
        missing = (sequences - self._expected[rows]) % _WRAP
        missing = np.where(missing < _FARTHEST, missing, 0)  # one that was overtaken
        pauses_ns = stamps_ns - self._arrived_ns[rows]
        late = transit_ns - self._fastest_ns[rows] > _LATE_NS
        slipped_ns = np.where(late, transit_ns - _LATE_NS, self._fastest_ns[rows])
        self._fastest_ns[rows] = np.minimum(slipped_ns, transit_ns)
        silent = self._silent[rows]
        dropped = loud & (silent > 0) & (silent <= DROPOUT_FRAMES)
        self._silent[rows] = np.where(loud, 0, silent + 1)
        self.loud_ns[rows[loud]] = stamps_ns[loud]
        self._expected[rows] = (sequences + 1) % _WRAP
        self._arrived_ns[rows] = stamps_ns
        self._totals += (
            len(rows),
            int(missing.sum()),
            int(late.sum()),
            int((pauses_ns > _LATE_NS).sum()),
            int(dropped.sum()),
        )
        self.gap_ends_ns += stamps_ns[pauses_ns > _LATE_NS].tolist()
        self._longest_ns = max(self._longest_ns, int(pauses_ns.max()))
