"""Keeps each row's guest: a row without a call, heard in that row's call beside its own audio.

A guest has a row and no call: what is laid into it goes to the host's call, where PJSIP mixes it
with what the host's row plays. Nothing of the host's row is touched, so its caller hears neither a
gap nor another level when a guest comes or goes. Loop's thread.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bridge.telephony.ports import Positions, Samples

Played = Callable[[Positions, Positions, int], Samples]
"""Returns what rows have played, shape (rows, count), from their own positions on."""


@dataclass(frozen=True, slots=True)
class _Seat:
    """A host's guest; positions of the host plus ``offset`` are the guest's."""

    guest: int
    since: int
    offset: int


class GuestRows:
    """The guests of all rows.

    Args:
        frame_samples: what PJSIP moves at once.
    """

    def __init__(self, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self._seats: dict[int, _Seat] = {}

    def seat(self, host: int, guest: int, tx_positions: Positions) -> None:
        """Note a guest from now on.

        Raises:
            ValueError: the host has one already.
        """
        if host in self._seats:
            raise ValueError(f"row {host} has a guest already: row {self._seats[host].guest}")
        at, guest_at = int(tx_positions[host]), int(tx_positions[guest])
        # A frame behind: PJSIP may step between the two readings.
        self._seats[host] = _Seat(guest, at, guest_at - at - self._frame_samples)

    def of(self, host: int) -> int | None:
        """Return a row's guest."""
        seat = self._seats.get(host)
        return None if seat is None else seat.guest

    def unseat(self, host: int) -> int | None:
        """Forget a row's guest; return it."""
        seat = self._seats.pop(host, None)
        return None if seat is None else seat.guest

    def said(
        self, rows: Positions, starts: Positions, count: int, played: Played
    ) -> Samples | None:
        """Return what guests said, shape (rows, count), silence for rows without one.

        Args:
            rows: hosts or not; starts: their positions.
            played: of any row.

        Returns:
            None where none of the rows has a guest.
        """
        places = [place for place, row in enumerate(rows.tolist()) if row in self._seats]
        if not places:
            return None
        said: Samples = np.zeros((len(rows), count), dtype=np.int16)
        for place in places:
            seat, start = self._seats[int(rows[place])], int(starts[place])
            at = np.array([start + seat.offset])
            said[place] = played(np.array([seat.guest]), at, count)[0]
            said[place, : max(min(seat.since - start, count), 0)] = 0
        return said


def mixed(one: Samples, other: Samples) -> Samples:
    """Return two sounds at once; what would overflow is clipped."""
    total: Samples = np.clip(one.astype(np.int32) + other, -32768, 32767).astype(np.int16)
    return total
