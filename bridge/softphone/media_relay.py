"""The media of one call between two phones, over a network that is made worse.

Each side has a port pair here (RTP and RTCP) that it takes for the other side. What comes in at one
side's pair goes out of the other's, as its fate says. Runs in the loop's thread.
"""

import asyncio
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from bridge.clock import NS_PER_MS, Clock
from bridge.errors import InfrastructureError
from bridge.softphone.sdp import MediaAddress
from bridge.softphone.settings import Network

_PAIR_ATTEMPTS = 20
_CLEAN = Network.model_construct()
"""A network that does nothing."""

OVERTAKEN_BY_MS = 50.0
"""How much longer a reordered packet takes: the next two of 20 ms overtake it."""


@dataclass(slots=True)
class PathCounts:
    """What became of one direction's packets, RTP and RTCP.

    Attributes:
        passed: that went on, some of them late; ``lost``: that did not.
    """

    passed: int = 0
    lost: int = 0


class _Port(asyncio.DatagramProtocol):
    """One UDP port; what comes in is handed on."""

    def __init__(self) -> None:
        self.take: Callable[[bytes], None] = lambda data: None
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport is no subclass of it.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.take(data)

    def error_received(self, exc: Exception) -> None:
        """Pass over a far end that has closed its port: it may open it again."""

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, to)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Side:
    """Where one of the two phones sends its media, and where it awaits it.

    Attributes:
        address: of this side's ports here.
        awaits: where the phone itself awaits media; None until its SDP has said so, and while it
            takes none.
    """

    def __init__(self, address: MediaAddress, rtp: _Port, rtcp: _Port) -> None:
        self.address = address
        self.awaits: MediaAddress | None = None
        self.rtp, self.rtcp = rtp, rtcp

    @classmethod
    async def open(cls, host: str) -> "Side":
        """Bind a pair of ports: RTP at an even one, RTCP at the next (RFC 3550 section 11).

        Raises:
            InfrastructureError: there is none.
        """
        for _ in range(_PAIR_ATTEMPTS):
            rtp_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            rtcp_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                rtp_socket.bind((host, 0))
                port = int(rtp_socket.getsockname()[1])
                if port % 2:
                    raise OSError("an odd port")
                rtcp_socket.bind((host, port + 1))
            except OSError:
                rtp_socket.close()
                rtcp_socket.close()
                continue
            return cls(
                MediaAddress(host, port, port + 1),
                await _serve(rtp_socket),
                await _serve(rtcp_socket),
            )
        raise InfrastructureError(f"no pair of UDP ports is free at {host}")

    def close(self) -> None:
        """Close both ports."""
        self.rtp.close()
        self.rtcp.close()


async def _serve(bound: socket.socket) -> _Port:
    bound.setblocking(False)
    loop = asyncio.get_running_loop()
    _, port = await loop.create_datagram_endpoint(_Port, sock=bound)
    return port


class FateStream:
    """Draws the fates of one direction's packets, in the order in which they are sent.

    Losses follow Gilbert and Elliott: a path is good or bad, in the bad state every packet is lost,
    and the chances of going over are such that the mean loss and the mean length of a run of losses
    are those that were asked for. Pure: same seed, same fates.

    Four numbers are drawn for each packet, whatever becomes of it, so the fate of packet n hangs on
    the seed, the lane and n, but for an outage, which hangs on its time.

    Args:
        network: what is asked for.
        lane: makes streams with one seed differ.
    """

    def __init__(self, network: Network, lane: int) -> None:
        self._network = network
        self._random = np.random.default_rng([network.seed, lane])
        loss = network.loss_pct / 100
        # From bad to good once in `burst` packets; packets that are lost each by itself come in
        # runs, too, of 1 / (1 - loss), and a run can't be shorter than that.
        self._recovers = min(1 / network.burst, 1 - loss)
        self._fails = 1.0 if loss == 1 else self._recovers * loss / (1 - loss)
        self._bad = False
        self._last_ms: float = -math.inf
        self._begun = False
        self._answered_ms: float | None = None

    def answered(self, at_ms: float) -> None:
        """Count the times of outages from here; only the first answer counts."""
        if self._answered_ms is None:
            self._answered_ms = at_ms

    def next(self, at_ms: float) -> float | None:
        """Decide about the next packet.

        Args:
            at_ms: when it is sent, ms on a clock that never goes back.

        Returns:
            When it arrives on that clock; None for a packet that is lost.
        """
        network = self._network
        turns, jitters, reorders, starts = (float(each) for each in self._random.random(4))
        if self._begun:
            self._bad = turns >= self._recovers if self._bad else turns < self._fails
        else:  # in the long run a path is bad for as much of the time as packets are lost
            self._begun, self._bad = True, starts < network.loss_pct / 100
        if self._bad or self._is_out(at_ms):
            return None
        arrives_ms = at_ms + network.delay_ms + jitters * network.jitter_ms
        if reorders < network.reorder_pct / 100:
            return arrives_ms + OVERTAKEN_BY_MS
        self._last_ms = max(self._last_ms, arrives_ms)  # in order
        return self._last_ms

    def _is_out(self, at_ms: float) -> bool:
        if self._answered_ms is None:
            return False
        call_ms = at_ms - self._answered_ms
        return any(0 <= call_ms - outage.at_ms < outage.ms for outage in self._network.outage)


class MediaRelay:
    """Carries one call's RTP and RTCP between a caller and the bridge.

    Args:
        network: what becomes of packets.
        caller: the caller's side; bridge: the bridge's.
        clock: times packets.
    """

    def __init__(self, network: Network, caller: Side, bridge: Side, clock: Clock) -> None:
        self.caller, self.bridge = caller, bridge
        self.to_bridge, self.to_caller = PathCounts(), PathCounts()
        self._clock = clock
        self._fates: list[FateStream] = []
        up = network if network.direction in ("both", "to_bridge") else _CLEAN
        down = network if network.direction in ("both", "to_caller") else _CLEAN
        # A lane a stream: RTCP packets must not take the fates of RTP's.
        self._connect(caller, bridge, up, self.to_bridge, 0)
        self._connect(bridge, caller, down, self.to_caller, 2)

    @classmethod
    async def open(cls, network: Network, host: str, clock: Clock) -> "MediaRelay":
        """Bind the ports of both sides.

        Raises:
            InfrastructureError: there are none.
        """
        caller = await Side.open(host)
        try:
            return cls(network, caller, await Side.open(host), clock)
        except InfrastructureError:
            caller.close()
            raise

    def answered(self) -> None:
        """Begin to count the time of outages, at the first answer."""
        for fates in self._fates:
            fates.answered(self._now_ms())

    def close(self) -> None:
        """Close all ports; what is on its way is lost."""
        self.caller.close()
        self.bridge.close()

    def _connect(
        self, source: Side, sink: Side, network: Network, counts: PathCounts, lane: int
    ) -> None:
        for number, (taken, given) in enumerate(((source.rtp, sink.rtp), (source.rtcp, sink.rtcp))):
            fates = FateStream(network, lane + number)
            self._fates.append(fates)

            def pass_on(
                data: bytes, given: _Port = given, fates: FateStream = fates, rtcp: int = number
            ) -> None:
                awaits = sink.awaits
                if awaits is None:
                    return
                to = (awaits.host, awaits.rtcp_port if rtcp else awaits.rtp_port)
                self._send(given, data, to, fates, counts)

            taken.take = pass_on

    def _send(
        self,
        port: _Port,
        data: bytes,
        to: tuple[str, int],
        fates: FateStream,
        counts: PathCounts,
    ) -> None:
        now_ms = self._now_ms()
        arrives_ms = fates.next(now_ms)
        if arrives_ms is None:
            counts.lost += 1
            return
        counts.passed += 1
        if arrives_ms <= now_ms:
            port.send(data, to)
        else:
            delay_s = (arrives_ms - now_ms) / 1000
            asyncio.get_running_loop().call_later(delay_s, port.send, data, to)

    def _now_ms(self) -> float:
        return self._clock.now_ns() / NS_PER_MS
