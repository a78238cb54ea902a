"""Writes SIP messages as a packet capture that Wireshark opens. Pure.

The file is pcap with microseconds and LINKTYPE_RAW (101): each packet begins with its IP header.
Every message is one UDP datagram, those of TCP and TLS, too: what TCP did with them was not seen,
and the message in it is plain.
"""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from bridge.sip.trace import TracedMessage

_MAGIC, _SNAP_BYTES, _LINKTYPE_RAW = 0xA1B2C3D4, 262_144, 101
_UDP, _HOPS = 17, 64
_MOST_BYTES = 65_000
"""A datagram's length has 16 bits, headers and all (RFC 768, RFC 791 section 3.1)."""

_NOWHERE = IPv4Address(0)
Address = IPv4Address | IPv6Address


def encode_pcap(messages: Iterable[TracedMessage]) -> bytes:
    """Return the content of a capture."""
    packets = [struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, _SNAP_BYTES, _LINKTYPE_RAW)]
    for message in messages:
        ends = (_end(message.local), _end(message.far_end))
        packet = _packet(*(ends if message.sent else ends[::-1]), message.text)
        seconds, rest_ns = divmod(message.at_ns, 1_000_000_000)
        packets.append(struct.pack("<IIII", seconds, rest_ns // 1000, len(packet), len(packet)))
        packets.append(packet)
    return b"".join(packets)


def _packet(source: tuple[Address, int], target: tuple[Address, int], text: str) -> bytes:
    payload = text.encode("utf-8", "surrogateescape")[:_MOST_BYTES]
    from_, to = _same_family(source[0], target[0])
    length = 8 + len(payload)
    pseudo = (
        from_.packed
        + to.packed
        + (
            struct.pack("!BBH", 0, _UDP, length)
            if from_.version == 4
            else struct.pack("!IHBB", length, 0, 0, _UDP)
        )
    )
    udp = struct.pack("!HHH", source[1], target[1], length)
    # Nought means that there is no checksum (RFC 768).
    summed = _checksum(pseudo + udp + b"\0\0" + payload) or 0xFFFF
    datagram = udp + struct.pack("!H", summed) + payload
    return _header(from_, to, len(datagram)) + datagram


def _header(from_: Address, to: Address, length: int) -> bytes:
    if from_.version == 6:  # RFC 8200 section 3
        return struct.pack("!IHBB", 6 << 28, length, _UDP, _HOPS) + from_.packed + to.packed
    bare = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0, _HOPS, _UDP)
    addresses = from_.packed + to.packed
    return bare + struct.pack("!H", _checksum(bare + b"\0\0" + addresses)) + addresses


def _checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071)."""
    words = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _end(place: str) -> tuple[Address, int]:
    """Read ``host:port``; what is no address is 0.0.0.0."""
    host, _, port = place.rpartition(":")
    try:
        return ip_address(host.strip("[]").partition("%")[0]), int(port) & 0xFFFF
    except ValueError:
        return _NOWHERE, 0


def _same_family(one: Address, other: Address) -> tuple[Address, Address]:
    if one.version == other.version:
        return one, other
    return _as_ipv6(one), _as_ipv6(other)


def _as_ipv6(address: Address) -> IPv6Address:
    """Return an IPv4 address mapped into IPv6 (RFC 4291 section 2.5.5.2)."""
    if isinstance(address, IPv6Address):
        return address
    return IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)
