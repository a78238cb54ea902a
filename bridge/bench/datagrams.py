"""Many datagrams with one system call: sendmmsg(2) and recvmmsg(2) over numpy buffers. Linux.

What a packet costs in Python would else be most of what the load costs: 200 calls are 20,000
packets a second, and the machine is needed for what is measured. Arrivals are stamped by the
kernel (SO_TIMESTAMPNS), so that a caller who looks late still knows when a packet came.
"""

import ctypes
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.errors import InfrastructureError

_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_RECEIVE_BYTES = 4 * 1024 * 1024
_MSG_DONTWAIT = 0x40
_MOST_A_CALL = 1024
"""UIO_MAXIOV: what the kernel takes at once."""

_ADDRESS = np.dtype([("family", "u2"), ("port", ">u2"), ("host", "u1", 4), ("zero", "u1", 8)])
"""`sockaddr_in` (ip(7))."""

_VECTOR = np.dtype([("base", "u8"), ("bytes", "u8")])
"""`iovec`."""

_MESSAGE = np.dtype(
    [
        *(("name", "u8"), ("name_bytes", "u8"), ("vector", "u8"), ("vectors", "u8")),
        *(("control", "u8"), ("control_bytes", "u8"), ("flags", "u8"), ("length", "u8")),
    ]
)
"""`mmsghdr` of 64-bit Linux. Fields that are four bytes and padding are taken as eight: the padding
is ours, and `length`, which the kernel writes, is little-endian."""

_CONTROL = np.dtype([("bytes", "u8"), ("level", "i4"), ("type", "i4"), ("s", "i8"), ("ns", "i8")])
"""One `cmsghdr` with a `timespec` (cmsg(3))."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Datagrams, in the order of their arrival.

    Attributes:
        data: (n, size) uint8, views that the next receive overwrites.
        lengths: (n,) bytes of each.
        ports: (n,) where each came from.
        stamps_ns: (n,) when, on the wall clock.
    """

    data: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    ports: npt.NDArray[np.int64]
    stamps_ns: npt.NDArray[np.int64]


def _c_library() -> ctypes.CDLL:
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 2**32:
        raise InfrastructureError(
            "the benchmark's callers need sendmmsg and recvmmsg of 64-bit Linux",
            remedy="run it there; `bridge call` and `bridge demo` place calls everywhere",
        )
    return ctypes.CDLL(None, use_errno=True)


class Datagrams:
    """A UDP socket on 127.0.0.1 for datagrams of one size.

    Args:
        size: bytes of the largest datagram.
        most: datagrams sent at once.

    Raises:
        InfrastructureError: this is no 64-bit Linux.
    """

    def __init__(self, size: int, most: int) -> None:
        self._c = _c_library()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._widen()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self._outgoing = _Slots(most, size, stamped=False)
        self._incoming = _Slots(_MOST_A_CALL, size, stamped=True)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _widen(self) -> None:
        """Ask for a large receive buffer: beyond the system's limit if we may, else up to it."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)

    @property
    def out(self) -> npt.NDArray[np.uint8]:
        """What is sent, one row a destination; shape (most, size). Write into it."""
        return self._outgoing.data

    def aim(self, row: int, port: int) -> None:
        """Have a row sent to a port of 127.0.0.1."""
        self._outgoing.addresses[row] = (socket.AF_INET, port, (127, 0, 0, 1), (0,) * 8)

    def send(self, rows: npt.NDArray[np.intp]) -> int:
        """Send rows; return how many the kernel took (the rest is lost, as on a full line)."""
        messages = self._outgoing.messages[rows]
        sent = 0
        while sent < len(messages):
            at = messages.ctypes.data + sent * _MESSAGE.itemsize
            count = min(len(messages) - sent, _MOST_A_CALL)
            taken = int(self._c.sendmmsg(self._socket.fileno(), ctypes.c_void_p(at), count, 0))
            if taken <= 0:  # a port that has closed: its error comes with the next send
                sent += 1
                continue
            sent += taken
        return sent

    def send_one(self, data: bytes, port: int) -> None:
        """Send a datagram of any size to a port of 127.0.0.1; lost if the kernel won't take it."""
        with suppress(OSError):
            self._socket.sendto(data, ("127.0.0.1", port))

    def receive(self) -> Arrivals:
        """Take what has come, up to 1024 datagrams; never blocks.

        Raises:
            OSError: the socket is broken.
        """
        slots = self._incoming
        slots.rearm()
        at = ctypes.c_void_p(slots.messages.ctypes.data)
        came = int(self._c.recvmmsg(self._socket.fileno(), at, _MOST_A_CALL, _MSG_DONTWAIT, None))
        if came < 0:
            code = ctypes.get_errno()
            if code not in (11, 111):  # EAGAIN; ECONNREFUSED: one of ours went to a closed port
                raise OSError(code, os.strerror(code))
            came = 0
        controls = slots.controls[:came]
        return Arrivals(
            data=slots.data[:came],
            lengths=(slots.messages["length"][:came] & 0xFFFFFFFF).astype(np.int64),
            ports=slots.addresses["port"][:came].astype(np.int64),
            stamps_ns=controls["s"] * 1_000_000_000 + controls["ns"],
        )

    def overflowed(self) -> int:
        """Return how many datagrams the kernel threw away because we did not come for them."""
        wanted = f":{self.port:04X}"
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted):
                return int(fields[-1])
        return 0


class _Slots:
    """Buffers, addresses and headers that point at them; none of them ever moves."""

    def __init__(self, count: int, size: int, *, stamped: bool) -> None:
        self.data: npt.NDArray[np.uint8] = np.zeros((count, size), dtype=np.uint8)
        self.addresses = np.zeros(count, dtype=_ADDRESS)
        self.controls = np.zeros(count, dtype=_CONTROL)
        self.messages = np.zeros(count, dtype=_MESSAGE)
        self._vectors = np.zeros(count, dtype=_VECTOR)
        self._vectors["base"] = _addresses_of(self.data)
        self._vectors["bytes"] = size
        self.messages["name"] = _addresses_of(self.addresses)
        self.messages["vector"] = _addresses_of(self._vectors)
        self.messages["vectors"] = 1
        if stamped:
            self.messages["control"] = _addresses_of(self.controls)
        self.rearm()

    def rearm(self) -> None:
        """Set what the kernel overwrites."""
        self.messages["name_bytes"] = _ADDRESS.itemsize
        self.messages["flags"] = 0
        if self.messages["control"][0]:
            self.messages["control_bytes"] = _CONTROL.itemsize


def _addresses_of(array: npt.NDArray[np.void] | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    first, step = array.ctypes.data, array.strides[0]
    return np.arange(len(array), dtype=np.uint64) * np.uint64(step) + np.uint64(first)
