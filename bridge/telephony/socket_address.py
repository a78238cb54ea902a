"""Socket addresses as PJLIB has them (`pj_sockaddr`, pj/sock.h)."""

import ctypes
import ipaddress
import socket
from contextlib import suppress
from typing import Self

from bridge.sip.addresses import host_and_port

_IPV6_PLACE = 4
"""Bytes of the flow label before an IPv6 address."""


class SocketAddress(ctypes.Structure):
    """`pj_sockaddr`, a union: both families have the port in the same place."""

    _fields_ = (
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint8 * 2),
        ("rest", ctypes.c_uint8 * 24),
    )

    @classmethod
    def of(cls, host: str, port: int) -> Self:
        """Write an address.

        Args:
            host: an IPv4 or IPv6 address, no name.

        Raises:
            ValueError: it is no address.
        """
        ip = ipaddress.ip_address(host)
        address = cls(family=socket.AF_INET if ip.version == 4 else socket.AF_INET6)
        address.port[:] = port.to_bytes(2, "big")
        begin = 0 if ip.version == 4 else _IPV6_PLACE
        address.rest[begin : begin + len(ip.packed)] = ip.packed
        return address

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address as text, and the port."""
        rest = bytes(self.rest)
        raw = rest[:4] if self.family == socket.AF_INET else rest[_IPV6_PLACE : _IPV6_PLACE + 16]
        return str(ipaddress.ip_address(raw)), int.from_bytes(bytes(self.port), "big")

    @property
    def size(self) -> int:
        """Bytes of it that a system call takes; 0 for an unknown family."""
        return {socket.AF_INET: 16, socket.AF_INET6: 28}.get(self.family, 0)


def place_towards(host: str, port: int, far_end: str) -> str:
    """Return our own ``host:port`` as a far end sees it.

    Args:
        host: that our socket is bound to; where that is every address of this machine, the one that
            a datagram to the far end would leave from.
        port: of our socket.
        far_end: ``host:port``, an IPv6 address in brackets.
    """
    own = ipaddress.ip_address(host) if host else ipaddress.IPv4Address(0)
    if own.is_unspecified:
        far_host, _, far_port = far_end.rpartition(":")
        family = socket.AF_INET6 if ":" in far_host else socket.AF_INET
        with suppress(OSError, ValueError), socket.socket(family, socket.SOCK_DGRAM) as route:
            route.connect((far_host.strip("[]"), int(far_port) or 1))  # sends nothing
            own = ipaddress.ip_address(route.getsockname()[0].partition("%")[0])
    return host_and_port(str(own), port)
