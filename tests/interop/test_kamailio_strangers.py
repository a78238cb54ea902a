"""Kamailio as it is shipped serves its carriers and its nodes, and relays for nobody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from tests.support.kamailio import CARRIER, Kamailio, kamailio
from tests.support.raw_sip import RawSip
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.sip

STRANGER = "127.0.0.9"


class Node(asyncio.DatagramProtocol):
    """A node that takes calls, and keeps what comes: it answers OPTIONS alone."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.transport: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        head = data.decode().split("\r\n")
        method = head[0].split()[0]
        if method == "OPTIONS":
            kept = ("via", "from", "to", "call-id", "cseq")
            lines = [line for line in head[1:] if line.partition(":")[0].lower() in kept]
            answer = "\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""])
            self.transport.sendto(answer.encode(), addr)
        else:
            self.requests.append(data.decode())


@dataclass(frozen=True, slots=True)
class Edge:
    """Kamailio in front of one node."""

    kamailio: Kamailio
    node: Node
    node_port: int


@asynccontextmanager
async def an_edge() -> AsyncIterator[Edge]:
    loop = asyncio.get_running_loop()
    transport, node = await loop.create_datagram_endpoint(Node, local_addr=("127.0.0.1", 0))
    node.transport = transport
    port = int(transport.get_extra_info("sockname")[1])
    try:
        async with kamailio([port]) as server:
            await server.until(60, AP=[port])
            yield Edge(server, node, port)
    finally:
        transport.close()


def request(method: str, sip: RawSip, number: int = 1, more: str = "") -> bytes:
    """Return a request; ``more``: header lines, each with its end."""
    tag = ";tag=theirs" if "Route:" in more else ""
    return (
        f"{method} sip:support@127.0.0.1:{sip.server_port} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {sip.host}:{sip.port};branch=z9hG4bK-{method}-{sip.port}-{number}\r\n"
        f"From: <sip:a@{sip.host}>;tag=a\r\nTo: <sip:b@127.0.0.1>{tag}\r\n"
        f"Call-ID: {method}-{sip.port}-{number}\r\nCSeq: {number} {method}\r\n"
        f"Contact: <sip:a@{sip.host}:{sip.port}>\r\nMax-Forwards: 70\r\n{more}"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def _has_more(sip: RawSip, than: int) -> bool:
    return len(sip.replies) > than


async def test_carrier_reaches_a_node_and_a_stranger_gets_403() -> None:
    async with an_edge() as edge:
        port = edge.kamailio.port
        async with RawSip(port, CARRIER) as carrier, RawSip(port, STRANGER) as stranger:
            for method in ("INVITE", "OPTIONS", "REGISTER", "BYE"):
                before = len(stranger.replies)
                stranger.send(request(method, stranger))
                await wait_until(partial(_has_more, stranger, before))
            assert [reply.code for reply in stranger.replies] == [403] * 4
            assert edge.node.requests == []
            carrier.send(request("INVITE", carrier))
            await wait_until(lambda: edge.node.requests)
        assert edge.node.requests[0].startswith("INVITE ")


async def test_no_request_of_a_strangers_is_relayed_by_its_own_route() -> None:
    """An open relay would send what anybody likes, from an address that the nodes trust."""
    async with an_edge() as edge:
        port = edge.kamailio.port
        route = f"Route: <sip:127.0.0.1:{port};lr>, <sip:127.0.0.1:{edge.node_port};lr>\r\n"
        async with RawSip(port, CARRIER) as carrier, RawSip(port, STRANGER) as stranger:
            for number, method in enumerate(("BYE", "INFO", "REFER", "INVITE", "ACK")):
                stranger.send(request(method, stranger, number, route))
            await wait_until(lambda: len(stranger.replies) == 4)
            assert {reply.code for reply in stranger.replies} == {403}
            assert edge.node.requests == []
            carrier.send(request("INFO", carrier, 1, route))
            await wait_until(lambda: edge.node.requests, "a carrier's request in a call is relayed")


async def test_flood_of_a_strangers_is_answered_a_few_times_and_a_carrier_none_the_less() -> None:
    async with an_edge() as edge:
        port = edge.kamailio.port
        async with RawSip(port, CARRIER) as carrier, RawSip(port, STRANGER) as stranger:
            for number in range(600):
                stranger.send(request("OPTIONS", stranger, number))
                if number % 10 == 0:
                    await asyncio.sleep(0.005)  # no more than the socket takes
            async with asyncio.timeout(PATIENCE_S):
                while not carrier.replies:  # a datagram is lost where the flood fills the socket
                    carrier.send(request("OPTIONS", carrier))
                    await carrier.reply(lambda reply: True, timeout_s=0.5)
            assert carrier.replies[0].code == 200
            assert 0 < len(stranger.replies) < 100
