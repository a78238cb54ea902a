"""SIP as bytes on a UDP socket: a sender that adds nothing to what a test writes, and reads back.

It shares no code with the product, so that a test may judge the product's bytes by it.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Self

from tests.support.waiting import PATIENCE_S

_numbers = count(1)
_TIMEOUT_S = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Reply:
    """A message as it came."""

    data: bytes

    @property
    def start(self) -> str:
        return self.data.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def code(self) -> int:
        """The status; 0 for a request."""
        words = self.start.split(" ")
        return int(words[1]) if words[0] == "SIP/2.0" else 0

    @property
    def method(self) -> str:
        """Of the request, or of the one that is answered."""
        return self.header("CSeq").split(" ")[1] if self.code else self.start.split(" ")[0]

    def headers(self, name: str) -> list[str]:
        """Return the values of a header, one a line."""
        head = self.data.partition(b"\r\n\r\n")[0].decode("latin-1")
        lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return [value.strip() for key, _, value in pairs if key.strip().lower() == name.lower()]

    def header(self, name: str) -> str:
        """Return the first value of a header; empty where there is none."""
        return next(iter(self.headers(name)), "")

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def media(self) -> list[str]:
        """The m= lines of its SDP."""
        lines = self.body.decode("latin-1").split("\r\n")
        return [line[2:] for line in lines if line.startswith("m=")]


def written(host: str) -> str:
    """Return a host as SIP has it: an IPv6 address in brackets (RFC 3261 section 25.1)."""
    return f"[{host}]" if ":" in host else host


class RawSip(asyncio.DatagramProtocol):
    """A UDP socket on loopback; open it with ``async with``.

    Attributes:
        host, port: its own.
        server: the loopback address of the same family.
        replies: all that came, in order.
    """

    def __init__(self, server_port: int, host: str = "127.0.0.1") -> None:
        self.server_port = server_port
        self.host = host
        self.server = "::1" if ":" in host else "127.0.0.1"
        self.port = 0
        self.replies: list[Reply] = []
        self._came = asyncio.Event()
        self._transport: asyncio.DatagramTransport

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.host, 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.replies.append(Reply(data))
        self._came.set()

    def send(self, data: bytes, port: int | None = None) -> None:
        self._transport.sendto(data, (self.server, port or self.server_port))

    async def reply(
        self, wanted: Callable[[Reply], bool], timeout_s: float = _TIMEOUT_S
    ) -> Reply | None:
        """Wait for a message, also one that has come before; None where none comes."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._came.clear()
                    for reply in self.replies:
                        if wanted(reply):
                            return reply
                    await self._came.wait()
        except TimeoutError:
            return None

    def talk(self, user: str = "support") -> "RawTalk":
        """Return a new dialog of this socket's, nothing sent yet."""
        return RawTalk(self, user)


class RawTalk:
    """The requests of one dialog, with headers of the test's choice.

    Attributes:
        call_id: of each of its requests.
        to: the To header's value; has the far end's tag after a 2xx.
        contact: the Contact header's value.
        via: where its Via says that it is sent from.
    """

    def __init__(self, sip: RawSip, user: str) -> None:
        number = next(_numbers)
        self.call_id = f"raw-{sip.port}-{number}@127.0.0.1"
        self.uri = f"sip:{user}@{written(sip.server)}:{sip.server_port}"
        self.target = self.uri
        self.to = f"<{self.uri}>"
        self.tag = f"raw{number}"
        self.contact = f"<sip:raw@{written(sip.host)}:{sip.port}>"
        self.via = f"{written(sip.host)}:{sip.port}"
        self.sequence = 0
        self._sip = sip

    def request(
        self,
        method: str,
        body: bytes = b"",
        headers: tuple[str, ...] = (),
        *,
        sequence: int | None = None,
    ) -> bytes:
        """Write a request; ``headers`` are whole lines, ``sequence`` an old CSeq number."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        branch = f"z9hG4bK-raw-{self._sip.port}-{next(_numbers)}"
        head = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.via};rport;branch={branch}",
            "Max-Forwards: 70",
            f"From: <sip:raw@{written(self._sip.server)}:{self._sip.port}>;tag={self.tag}",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {sequence} {method}",
            f"Contact: {self.contact}",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    async def ask(self, method: str, body: bytes = b"", headers: tuple[str, ...] = ()) -> Reply:
        """Send a request and return its final response."""
        self._sip.send(self.request(method, body, headers))
        wanted = f"{self.sequence} {method}"
        reply = await self._sip.reply(
            lambda reply: (
                reply.code >= 200
                and reply.header("Call-ID") == self.call_id
                and reply.header("CSeq") == wanted
            )
        )
        assert reply is not None, f"no answer to {method}"
        return reply

    async def invite(self, sdp: bytes, headers: tuple[str, ...] = ()) -> Reply:
        """Send an INVITE, with SDP if there is any; return the final response, for no ACK yet."""
        kind = ("Content-Type: application/sdp",) if sdp else ()
        reply = await self.ask("INVITE", sdp, (*headers, *kind))
        if reply.code < 300:
            self.to = reply.header("To")
            self.target = reply.header("Contact").strip("<>").split(">")[0]
        return reply

    def acknowledge(self, body: bytes = b"", headers: tuple[str, ...] = ()) -> None:
        """Send the ACK of the last 2xx."""
        self._sip.send(self.request("ACK", body, headers, sequence=self.sequence))

    async def call(self, sdp: bytes) -> Reply:
        """Place a call and acknowledge its 2xx."""
        reply = await self.invite(sdp)
        assert reply.code == 200, reply.start
        self.acknowledge()
        return reply


def sdp(*media: str, port: int = 40_000, at: str = "IP4 127.0.0.1") -> bytes:
    """Write an SDP; ``media`` are its m= sections, by default one of PCMU and PCMA.

    Args:
        at: family and address of its c= line.
    """
    sections = media or (f"m=audio {port} RTP/AVP 0 8\r\n",)
    head = f"v=0\r\no=raw 1 1 IN {at}\r\ns=-\r\nc=IN {at}\r\nt=0 0\r\n"
    return (head + "".join(sections)).encode()
