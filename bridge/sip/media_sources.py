"""Decides from which addresses one socket of a call's media takes packets. Pure.

    OPEN     packets of the far end's possible addresses are taken: those of its SDP, of its SIP
             messages, and the networks that its trunk's media comes from
    LOCKED   packets of one address and port are taken: the first whose packet was played

    OPEN    --a packet was played---------------------------------------------------> LOCKED
    LOCKED  --its source is silent while others are dropped--> OPEN for its address, any port
    either  --an offer and answer, or SIP from another address-----------------------> OPEN

A packet of anybody else is dropped by the kernel (:mod:`bridge.telephony.packet_filter`), so that
PJMEDIA, which follows a new source by itself, never sees it. The SDP's address is wrong behind a
NAT, and the SIP messages' is right there, with another port (RFC 4961, RFC 7362 section 4).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Place = tuple[str, int]
"""An address and a port."""


@dataclass(frozen=True, slots=True)
class SourceRule:
    """The sources that a socket takes packets from.

    Attributes:
        networks: of their addresses; empty for none.
        port: theirs; None for any.
    """

    networks: tuple[Network, ...]
    port: int | None = None


def networks_of(hosts: Iterable[str]) -> tuple[Network, ...]:
    """Return the network of each address, without names, without 0.0.0.0 and ::, and each once."""
    found: dict[Network, None] = {}
    for host in hosts:
        try:
            address = ip_address(host)
        except ValueError:
            continue
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not address.is_unspecified:
            found[ip_network(address)] = None
    return tuple(found)


class SourceLock:
    """The sources of one socket: learnt once, and anew after the far end said so.

    Args:
        silent_ns: its source must have sent nothing for so long before another port of the same
            address may take its place.

    Attributes:
        rule: as it is to be applied.
        source: the one that is locked on; None while it is open.
    """

    def __init__(self, silent_ns: int) -> None:
        self.rule = SourceRule(())
        self.source: Place | None = None
        self._silent_ns = silent_ns
        self._packets = 0
        self._still_ns: int | None = None

    def open(self, networks: tuple[Network, ...], packets: int) -> None:
        """Take packets of these networks, and learn the source from the next one.

        Args:
            networks: of the far end's possible addresses.
            packets: that were played so far.
        """
        self.rule, self.source = SourceRule(networks), None
        self._packets, self._still_ns = packets, None

    def learn(self, packets: int, last: Place | None) -> bool:
        """Lock on the last packet's source, if one was played since; return whether it was.

        Args:
            packets: that were played so far.
            last: the source of the last one that came.
        """
        networks = networks_of([last[0]]) if last is not None else ()
        if self.source is not None or last is None or not networks or packets <= self._packets:
            return False
        self.rule, self.source = SourceRule(networks, last[1]), last
        self._packets, self._still_ns = packets, None
        return True

    def doubt(self, packets: int, now_ns: int) -> bool:
        """Open for other ports of the source's address where it is silent; return whether it is.

        To be asked about a source while others are dropped.

        Args:
            packets: that were played so far.
            now_ns: monotonic.
        """
        if self.source is None:
            return False
        if packets != self._packets or self._still_ns is None:
            self._packets, self._still_ns = packets, now_ns
        if now_ns - self._still_ns < self._silent_ns:
            return False
        self.open(self.rule.networks, packets)
        return True
