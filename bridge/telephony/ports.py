"""Media ports: the small interface between PJSIP's audio clock and the rings.

One row of the arena is one call. PJSIP writes caller audio into the row of ``rx`` and takes agent
audio from the row of ``tx``; how far it has come is in two position arrays, in samples at the
arena's rate, which is the conference's: 8 kHz, or 16 kHz where a trunk has G.722.
Positions only grow; a row that is opened again goes on from where it was. Both step together, one
conference tick (20 ms) at a time, and they step while the call is on hold, too. Positions are
PJSIP's; everything else reads them, as they were at the last :meth:`MediaPorts.refresh` or later.
"""

import ctypes
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bridge.audio.rings import RingArena

Positions = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class ConferencePort:
    """A call's port in PJSIP's conference.

    Attributes:
        media: pjsua2's `AudioMedia`, which has no type.
        number: PJSUA's, of the call.
    """

    media: Any
    number: int

    @property
    def slot(self) -> int:
        """Its place in the conference."""
        return int(self.media.getPortId())

    def exists(self, lib: ctypes.CDLL) -> bool:
        """Return whether the port is still the call's; its place may be another call's if not.

        PJSUA takes a port out before it says so, the conference at its next tick. The call knows at
        once.
        """
        return int(lib.pjsua_call_get_conf_port(self.number)) == self.slot


class MediaPorts(Protocol):
    """A way to fill the rings. Called from the loop's thread only."""

    arena: RingArena

    @property
    def rx_positions(self) -> Positions:
        """Samples that PJSIP has written into each row of ``rx``; shape (rows,)."""

    @property
    def tx_positions(self) -> Positions:
        """Samples that PJSIP has taken from each row of ``tx``; shape (rows,)."""

    @property
    def stamps_ns(self) -> Positions:
        """When each row's ``rx`` position last moved (monotonic); shape (rows,)."""

    def refresh(self) -> None:
        """Bring positions and stamps of all rows up to now: before each look that must be live."""

    def open_row(self) -> int:
        """Take a zeroed row and have PJSIP step it from now on.

        Raises:
            RingsExhausted: no row is free.
            TelephonyError: PJSIP refused the port.
        """

    def connect(self, row: int, audio: ConferencePort) -> None:
        """Join a row to a call's audio, both ways; again after each re-INVITE."""

    def disconnect(self, row: int) -> None:
        """Part a row from its call's audio; the row goes on stepping in silence."""

    def close_row(self, row: int) -> None:
        """Take the row out of the conference and give it back."""

    def heard(self, rows: Positions, starts: Positions, count: int) -> Samples:
        """Return what calls heard, shape (rows, count): the agent, or whom they are joined to.

        What a guest says is not in it (:meth:`said_by_guests`).
        """

    def said_by_guests(self, rows: Positions, starts: Positions, count: int) -> Samples | None:
        """Return what guests said in calls, shape (rows, count); None where there are none."""


class JoinablePorts(MediaPorts, Protocol):
    """Media ports whose calls can hear each other, and guests."""

    def join(self, row: int, other: int) -> None:
        """Have the calls of two rows hear each other, until :meth:`part` or the end of one.

        Their own links stay, and a re-INVITE of either side does not part them.

        Raises:
            TelephonyError: PJSIP refused it.
            ValueError: one of them is joined already.
        """

    def part(self, row: int) -> None:
        """Part a row's call from the other one, if it is joined."""

    def seat(self, row: int, guest: int) -> None:
        """Have a row's call hear what is laid into another row, too, until :meth:`unseat`.

        The guest's row was opened and has no call of its own.

        Raises:
            TelephonyError: PJSIP refused it.
            ValueError: the row has a guest already.
        """

    def unseat(self, row: int) -> None:
        """Have a row's call not hear its guest any more, if it has one."""
