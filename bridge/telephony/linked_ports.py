"""Media ports whose rows are linked to calls, calls to each other, and guests to calls.

What links two ports of the conference is each kind's own; what is linked when is the same for all.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from bridge.audio.rings import RingArena, gather
from bridge.telephony.library import load_symbols
from bridge.telephony.linked_rows import RowLinks, mixed
from bridge.telephony.ports import ConferencePort, Positions, Samples

Port = TypeVar("Port")
"""A port of the conference, as a kind names it."""


class LinkedPorts(ABC, Generic[Port]):
    """Base of a :class:`bridge.telephony.ports.JoinablePorts`.

    Args:
        rows: calls at once.
        rate_hz: the conference's.
    """

    def __init__(self, rows: int, rate_hz: int) -> None:
        self._library = load_symbols()
        self.arena = RingArena(rows, rate_hz=rate_hz)
        self.rx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.tx_positions: Positions = np.zeros(rows, dtype=np.int64)
        self.stamps_ns: Positions = np.zeros(rows, dtype=np.int64)
        self._calls: dict[int, ConferencePort] = {}
        self._joined = RowLinks(self.arena.frame_samples)
        self._guests = RowLinks(self.arena.frame_samples)
        self._played_ring = self.arena.tx

    @abstractmethod
    def refresh(self) -> None:
        """Bring positions and stamps of all rows up to now."""

    @abstractmethod
    def _port(self, audio: ConferencePort) -> Port:
        """Return a call's port."""

    @abstractmethod
    def _row_ports(self, row: int) -> tuple[Port, Port]:
        """Return a row's ports: the one that it plays by, and the one that it takes audio by."""

    @abstractmethod
    def _link(self, source: Port, sink: Port) -> None:
        """Have a port hear another one; linking twice does nothing."""

    @abstractmethod
    def _unlink(self, source: Port, sink: Port) -> None:
        """Have a port not hear another one any more."""

    def connect(self, row: int, audio: ConferencePort) -> None:
        """Join a row to a call's audio, both ways.

        Raises:
            TelephonyError: PJSIP refused it; likewise below.
        """
        self._calls[row] = audio
        self._each_way(self._link, row, self._port(audio))
        self._with_joined(self._link, row)
        self._with_guest(self._link, row)

    def disconnect(self, row: int) -> None:
        """Part a row from its call's audio, if it is joined."""
        self._with_joined(self._unlink, row)
        self._with_guest(self._unlink, row)
        call = self._call(row)
        self._calls.pop(row, None)
        if call is not None:
            self._each_way(self._unlink, row, call)

    def join(self, row: int, other: int) -> None:
        """Have the calls of two rows hear each other; see :class:`JoinablePorts`."""
        known = {self._joined.other(row), self._joined.other(other)}
        if row == other or known != {None}:
            raise ValueError(f"rows {row} and {other} can't be joined: one of them is already")
        self.refresh()
        self._joined.add(row, other, self.rx_positions)
        self._joined.add(other, row, self.rx_positions)
        self._with_joined(self._link, row)

    def part(self, row: int) -> None:
        """Part a row's call from the other one, if it is joined."""
        self._with_joined(self._unlink, row)
        other = self._joined.remove(row)
        if other is not None:
            self._joined.remove(other)

    def seat(self, row: int, guest: int) -> None:
        """Have a row's call hear a guest; see :class:`MediaPorts`."""
        if (other := self._guests.other(row)) is not None:
            raise ValueError(f"row {row} has a guest already: row {other}")
        self.refresh()
        self._guests.add(row, guest, self.tx_positions)
        self._with_guest(self._link, row)

    def unseat(self, row: int) -> None:
        """Have a row's call not hear its guest any more, if it has one."""
        self._with_guest(self._unlink, row)
        self._guests.remove(row)

    def _leave(self, row: int) -> None:
        """Part a row from its call, and from all that is linked to it."""
        self.disconnect(row)
        self.part(row)
        self.unseat(row)

    def heard(self, rows: Positions, starts: Positions, count: int) -> Samples:
        """Return what the calls heard, shape (rows, count)."""
        played = gather(self._played_ring, rows, starts, count)
        joined = self._joined.heard(rows, starts, count, partial(gather, self.arena.rx))
        return played if joined is None else mixed(played, joined)

    def said_by_guests(self, rows: Positions, starts: Positions, count: int) -> Samples | None:
        """Return what guests said in calls, shape (rows, count); None where there are none."""
        return self._guests.heard(rows, starts, count, partial(gather, self._played_ring))

    def _call(self, row: int) -> Port | None:
        """Return the port of a row's call; None where PJSUA took it out, and the links with it."""
        audio = self._calls.get(row)
        return self._port(audio) if audio is not None and audio.exists(self._library) else None

    def _each_way(self, link: Callable[[Port, Port], None], row: int, call: Port) -> None:
        player, taker = self._row_ports(row)
        link(call, taker)
        link(player, call)

    def _with_joined(self, link: Callable[[Port, Port], None], row: int) -> None:
        """Link two calls, or unlink them, where there is another one, and both have audio."""
        other = self._joined.other(row)
        if other is None:
            return
        ours, theirs = self._call(row), self._call(other)
        if ours is not None and theirs is not None:
            link(ours, theirs)
            link(theirs, ours)

    def _with_guest(self, link: Callable[[Port, Port], None], row: int) -> None:
        guest, call = self._guests.other(row), self._call(row)
        if guest is not None and call is not None:
            link(self._row_ports(guest)[0], call)
