"""Notes which rows' audio other rows' calls hear, beside their own, and since when.

The other row may be that of a call, joined to this one, or a guest's: a row without a call. PJSIP
mixes what both lay into the call, and the rows themselves stay as they are: nothing of the row is
touched when another is linked to it, so its caller hears neither a gap nor another level, and both
sides can be recorded. Loop's thread.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bridge.telephony.ports import Positions, Samples

Read = Callable[[Positions, Positions, int], Samples]
"""Returns what is in rows, shape (rows, count), from their own positions on."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A row's other row; positions of the row plus ``offset`` are the other's."""

    other: int
    since: int
    offset: int


class RowLinks:
    """The rows that are heard by other rows' calls, one by each.

    Args:
        frame_samples: what PJSIP moves at once.
    """

    def __init__(self, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self._links: dict[int, _Link] = {}

    def add(self, row: int, other: int, positions: Positions) -> None:
        """Note that a row's call hears another row from now on."""
        at, other_at = int(positions[row]), int(positions[other])
        # A frame behind: PJSIP may step between the two readings, and what it has not written yet
        # must not be read.
        self._links[row] = _Link(other, at, other_at - at - self._frame_samples)

    def other(self, row: int) -> int | None:
        """Return the row that a row's call hears."""
        link = self._links.get(row)
        return None if link is None else link.other

    def remove(self, row: int) -> int | None:
        """Forget a row's link; return the row that its call heard."""
        link = self._links.pop(row, None)
        return None if link is None else link.other

    def heard(self, rows: Positions, starts: Positions, count: int, read: Read) -> Samples | None:
        """Return what calls heard of other rows, shape (rows, count), silence where of none.

        Args:
            rows: of the calls; starts: their positions.
            read: reads the other rows.

        Returns:
            None where none of the rows has a link.
        """
        places = [place for place, row in enumerate(rows.tolist()) if row in self._links]
        if not places:
            return None
        heard: Samples = np.zeros((len(rows), count), dtype=np.int16)
        for place in places:
            link, start = self._links[int(rows[place])], int(starts[place])
            at = np.array([start + link.offset])
            heard[place] = read(np.array([link.other]), at, count)[0]
            heard[place, : max(min(link.since - start, count), 0)] = 0
        return heard


def mixed(one: Samples, other: Samples) -> Samples:
    """Return two sounds at once; what would overflow is clipped."""
    total: Samples = np.clip(one.astype(np.int32) + other, -32768, 32767).astype(np.int16)
    return total
