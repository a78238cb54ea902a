"""Pairs rows whose calls hear each other, and adds to each what it heard of the other.

Two rows that are joined stay joined to their own calls, too: PJSIP mixes what is laid into a row
(a tone while the other side holds) with the other call's audio, and the rows go on receiving, so
that both sides can be recorded. Loop's thread.
"""

from dataclasses import dataclass

import numpy as np

from bridge.audio.rings import gather
from bridge.telephony.ports import Positions, Samples


@dataclass(frozen=True, slots=True)
class _Joint:
    """A row's other side; positions of the row plus ``offset`` are the other row's."""

    other: int
    since: int
    offset: int


class JoinedRows:
    """The pairs of joined rows.

    Args:
        frame_samples: what PJSIP moves at once.
    """

    def __init__(self, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self._joints: dict[int, _Joint] = {}

    def join(self, row: int, other: int, rx_positions: Positions) -> None:
        """Note that two rows are joined from now on.

        Raises:
            ValueError: one of them is joined already.
        """
        if row == other or row in self._joints or other in self._joints:
            raise ValueError(f"rows {row} and {other} can't be joined: one of them is already")
        at, other_at = int(rx_positions[row]), int(rx_positions[other])
        # A frame behind: PJSIP may step between the two readings, and what it has not written yet
        # must not be read.
        self._joints[row] = _Joint(other, at, other_at - at - self._frame_samples)
        self._joints[other] = _Joint(row, other_at, at - other_at - self._frame_samples)

    def other(self, row: int) -> int | None:
        """Return the row that a row is joined to."""
        joint = self._joints.get(row)
        return None if joint is None else joint.other

    def part(self, row: int) -> int | None:
        """Forget a row's joint; return the row that it was joined to."""
        joint = self._joints.pop(row, None)
        if joint is None:
            return None
        del self._joints[joint.other]
        return joint.other

    def add_heard(self, heard: Samples, rows: Positions, starts: Positions, rx: Samples) -> Samples:
        """Add what joined rows heard of each other to what was played to them.

        Args:
            heard: shape (rows, count), changed in place.
            rows: rows; starts: their positions.
            rx: the receiving rings.
        """
        if not self._joints:
            return heard
        count = heard.shape[1]
        for place, row in enumerate(rows.tolist()):
            joint = self._joints.get(row)
            if joint is None:
                continue
            start = int(starts[place])
            other = gather(rx, np.array([joint.other]), starts[place, None] + joint.offset, count)
            other[0, : max(min(joint.since - start, count), 0)] = 0
            mixed = heard[place].astype(np.int32) + other[0]
            heard[place] = np.clip(mixed, -32768, 32767)
        return heard
