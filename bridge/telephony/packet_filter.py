"""Has the kernel drop a UDP socket's packets by their source, before anybody reads them.

A classic BPF program (Linux, Documentation/networking/filter.rst) on a socket sees each datagram
from its UDP header on; the IP header is reached by an offset of its own. Dropped packets are
counted by the kernel for each socket, together with those that came while its buffer was full.
Linux only.
"""

import ctypes
import socket
import struct
from ipaddress import IPv4Network
from typing import NamedTuple

from bridge.sip.media_sources import Network, SourceRule

_ATTACH_FILTER = 26
"""`SO_ATTACH_FILTER` (asm-generic/socket.h)."""
_MEMINFO, _MEMINFO_WORDS, _DROPS = 55, 9, 8
"""`SO_MEMINFO`, its length, and `SK_MEMINFO_DROPS` in it (linux/sock_diag.h)."""

_NETWORK_HEADER = 0xFFF0_0000
"""`SKF_NET_OFF` (linux/filter.h): -0x100000."""
_IPV4_SOURCE, _IPV6_SOURCE = 12, 8
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_AND, _JUMP, _JUMP_IF_EQUAL, _RETURN = 0x54, 0x05, 0x15, 0x06
_WORD_BITS = 32
_ALL_BITS = 0xFFFF_FFFF
_VERSION_BITS = 0xF0


class _Step(NamedTuple):
    """One instruction: a `sock_filter`."""

    code: int
    operand: int
    if_true: int = 0
    if_false: int = 0

    def packed(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.if_true, self.if_false, self.operand)


def program(rule: SourceRule) -> bytes:
    """Compile a rule: `sock_filter`s that keep its sources' packets whole, and no other's."""
    steps = [_Step(_RETURN, 0)]
    for network in reversed(rule.networks):
        tests = _tests(network)
        if rule.port is not None:
            tests += [[_Step(_LOAD_HALF, 0), _Step(_JUMP_IF_EQUAL, rule.port)]]
        steps = [*_all_of(tests), *steps]
    return b"".join(step.packed() for step in steps)


def _tests(network: Network) -> list[list[_Step]]:
    """Return what must hold of a packet from a network; each test ends with its comparison."""
    is_v4 = isinstance(network, IPv4Network)
    source = _IPV4_SOURCE if is_v4 else _IPV6_SOURCE
    tests = [
        [
            _Step(_LOAD_BYTE, _NETWORK_HEADER),
            _Step(_AND, _VERSION_BITS),
            _Step(_JUMP_IF_EQUAL, network.version << 4),
        ]
    ]
    wanted, mask = network.network_address.packed, network.netmask.packed
    for place in range(0, len(wanted), 4):
        bits = int.from_bytes(mask[place : place + 4], "big")
        if bits:
            word = int.from_bytes(wanted[place : place + 4], "big")
            load = _Step(_LOAD_WORD, _NETWORK_HEADER + source + place)
            narrow = [] if bits == _ALL_BITS else [_Step(_AND, bits)]
            tests.append([load, *narrow, _Step(_JUMP_IF_EQUAL, word)])
    return tests


def _all_of(tests: list[list[_Step]]) -> list[_Step]:
    """Return steps that keep a packet if every test holds, and go on behind them if not."""
    steps = [_Step(_RETURN, _ALL_BITS)]
    for test in reversed(tests):
        steps = [*test[:-1], test[-1]._replace(if_false=len(steps)), *steps]
    return steps


def attach(fd: int, rule: SourceRule) -> None:
    """Have the kernel apply a rule to a socket, in the place of the one so far.

    Raises:
        OSError: it is no socket, or this kernel has no filters.
    """
    code = program(rule)
    kept = ctypes.create_string_buffer(code, len(code))
    with _borrowed(fd) as found:
        length = len(code) // struct.calcsize("=HBBI")
        described = struct.pack("HP", length, ctypes.addressof(kept))
        found.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, described)


def drain(fd: int) -> None:
    """Take all packets away that wait at a socket: they came before its filter."""
    with _borrowed(fd) as found:
        while True:
            try:
                found.recv(1, socket.MSG_DONTWAIT)
            except OSError:  # nothing is left; or an ICMP error of another's packet
                return


def dropped(fd: int) -> int:
    """Return how many packets the kernel has dropped at a socket, modulo 2**32.

    Raises:
        OSError: it is no socket.
    """
    with _borrowed(fd) as found:
        words = found.getsockopt(socket.SOL_SOCKET, _MEMINFO, 4 * _MEMINFO_WORDS)
    return int(struct.unpack_from("=I", words, 4 * _DROPS)[0])


class _borrowed:
    """A socket object on a descriptor of PJSIP's, which stays open behind it."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *exc: object) -> None:
        self._socket.detach()
