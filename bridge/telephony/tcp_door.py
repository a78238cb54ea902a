"""Bounds the TCP connections to the SIP ports, so that strangers can't fill PJSIP's tables.

PJSIP accepts every connection and keeps it for ten minutes of silence. Each has a place in its
table of sockets, and a place is free again half a second after its socket was closed
(`PJ_IOQUEUE_KEY_FREE_DELAY`). The table of the pip wheel has 64 places, and the wheel ends the
process when a socket comes while all are taken or not free yet: 70 connections within half a second
do it. The capacity build has 4,096 places, beside the limit of the process's files.

    places at the bound   the kernel drops what asks for a connection (a filter on the listening
                          socket); who asks repeats it, and is accepted later
    and                   the connections that have been silent longest are closed, those of trunks
                          last

What is in a TLS handshake is no connection to PJSIP yet, so the sockets at the TLS port are counted
themselves, whenever the process has got more descriptors.

A call whose connection was closed goes on: whoever has a request opens another one (RFC 3261
section 18.1.1). Runs in the loop's thread, inside the poll. Linux only.
"""

import ctypes
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from operator import itemgetter

import structlog

from bridge.clock import NS_PER_S, Clock
from bridge.errors import TelephonyError
from bridge.telephony.guarding import guarded
from bridge.telephony.transport_states import CONNECTED, DESTROYED, TransportStates

log = structlog.get_logger(__name__)

MOST_IN_A_SMALL_TABLE = 32
"""Of 64: one poll accepts 10 more, 6 may wait in the kernel; the rest is for what we open."""
MOST = 1024

_KEPT_NS = NS_PER_S
"""Twice PJSIP's delay: places are looked through at its next event only."""
_SILENT_MS = 1_000
"""A connection is not closed before: whoever opens it may be about to send."""
_CLOSED_AT_ONCE = 10

_COUNTED_EVERY_NS = NS_PER_S // 10
_MORE_DESCRIPTORS = 32
"""From so many more on, sockets are counted: a call takes two."""

_ATTACH_FILTER, _DETACH_FILTER = 26, 27
"""`SO_ATTACH_FILTER` and `SO_DETACH_FILTER` (asm-generic/socket.h)."""
_DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)
"""A `sock_filter` (linux/filter.h): return 0 bytes of the packet."""
_LAST_DATA_RECEIVED = slice(52, 56)
"""`tcpi_last_data_recv` in `tcp_info` (linux/tcp.h), in ms; counted from the connection's begin."""


class TcpDoor:
    """Counts PJSIP's TCP connections, and keeps their number at a bound.

    Args:
        lib: PJSIP's symbols; PJSIP must be listening already.
        ports: where it does: plain, and with TLS where it has that.
        most: places of connections, open or closed lately, from which no more are accepted.
        is_trunk: says of a host whether it is one that calls come from.
        on_closed: given the address of the `pjsip_transport` that goes.

    Raises:
        TelephonyError: no socket of this process listens at one of the ports.
    """

    def __init__(
        self,
        lib: ctypes.CDLL,
        ports: Collection[int],
        clock: Clock,
        *,
        most: int,
        is_trunk: Callable[[str], bool],
        on_closed: Callable[[int], None],
    ) -> None:
        self._ports = ports
        self._clock = clock
        self._most = most
        self._is_trunk = is_trunk
        self._on_closed = on_closed
        self._open: set[int] = set()
        self._closed_ns: deque[int] = deque()
        self._shut = False
        self._evicted_ns: int | None = None
        self._sockets = 0  # with those in a handshake, when last counted
        self._descriptors = 0
        self._counted_ns = 0
        self._listeners: list[socket.socket] = []
        self.open()
        self._drop_all = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
        self._states = TransportStates(lib, self._on_state)

    def look(self) -> None:
        """Open or shut the door as the places are; to be called after each event of PJSIP's."""
        now_ns = self._clock.now_ns()
        while self._closed_ns and now_ns - self._closed_ns[0] > _KEPT_NS:
            self._closed_ns.popleft()
        if len(self._ports) > 1 and now_ns - self._counted_ns > _COUNTED_EVERY_NS:
            self._counted_ns = now_ns
            self._count()
        taken = max(len(self._open), self._sockets)
        full = taken + len(self._closed_ns) >= self._most
        if full is not self._shut:
            self._shut = full
            self._filter()
        waited = self._evicted_ns is None or now_ns - self._evicted_ns > _KEPT_NS
        if full and waited and taken > self._most - _CLOSED_AT_ONCE:
            self._evicted_ns = now_ns
            self._evict()

    def open(self) -> None:
        """Take hold of the listening sockets, as after one was replaced.

        Raises:
            TelephonyError: no socket of this process listens at one of the ports.
        """
        self._listeners = [_listener_at(port) for port in self._ports]
        if self._shut:
            self._filter()

    def close(self) -> None:
        """Let go of the listening sockets; PJSIP has its own hold on them."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    def _count(self) -> None:
        descriptors = len(os.listdir("/proc/self/fd"))
        if not self._sockets and descriptors < self._descriptors + _MORE_DESCRIPTORS:
            self._descriptors = min(self._descriptors, descriptors)
            return
        self._descriptors = descriptors
        found = 0
        for each in _sockets_at(self._ports):
            with each:
                found += not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        self._sockets = found if found > len(self._open) + _MORE_DESCRIPTORS else 0

    def _on_state(self, transport: int, state: int, info: int) -> None:
        with guarded(log, "connection_not_counted"):
            if state == CONNECTED:
                self._open.add(transport)
            elif state == DESTROYED:
                self._open.discard(transport)
                self._closed_ns.append(self._clock.now_ns())
                self._on_closed(transport)

    def _filter(self) -> None:
        program = struct.pack("HP", 1, ctypes.addressof(self._drop_all))
        for listener in self._listeners:
            try:
                if self._shut:
                    listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
                else:
                    with suppress(FileNotFoundError):  # it could not be shut
                        listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
            except PermissionError:  # Linux 6.18 refuses it, of TCP sockets alone
                log.warning("tcp_door_not_shut", remedy="give the gateway CAP_NET_ADMIN")

    def _evict(self) -> None:
        """Close connections; PJSIP finds them closed at its next event."""
        with ExitStack() as held:
            silent: list[tuple[bool, int, socket.socket]] = []
            for each in _sockets_at(self._ports):
                held.enter_context(each)
                with suppress(OSError):  # the listening socket, or the far end is just gone
                    host = str(each.getpeername()[0])
                    silent.append((self._is_trunk(host), -_silent_ms(each), each))
            silent = [each for each in silent if -each[1] >= _SILENT_MS]
            for _, _, chosen in sorted(silent, key=itemgetter(0, 1))[:_CLOSED_AT_ONCE]:
                with suppress(OSError):
                    chosen.shutdown(socket.SHUT_RDWR)
        log.warning("tcp_connections_full", open=len(self._open), silent=len(silent))


def _silent_ms(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.stop)
    return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder)


def _listener_at(port: int) -> socket.socket:
    for each in _sockets_at((port,)):
        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return each
        each.close()
    raise TelephonyError(f"no socket of this process listens on TCP port {port}")


def _sockets_at(ports: Collection[int]) -> Iterator[socket.socket]:
    """Yield this process's TCP sockets at some ports, as copies: whoever gets one closes it."""
    for name in os.listdir("/proc/self/fd"):
        found = _copy(int(name))
        if found is None:
            continue
        inet = found.family in (socket.AF_INET, socket.AF_INET6)
        if inet and found.type == socket.SOCK_STREAM and found.getsockname()[1] in ports:
            yield found
        else:
            found.close()


def _copy(fd: int) -> socket.socket | None:
    """Return another descriptor of a socket; None where it is none, or was closed by a thread."""
    try:
        copy = os.dup(fd)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
