"""A caller whose INVITE is bytes of the test's own, on a UDP socket, without any product code.

Names that no library would send: other encodings, control characters, forged brackets.
"""

import asyncio
from itertools import count
from types import TracebackType
from typing import Self

from tests.support.waiting import PATIENCE_S

_numbers = count(1)
_TIMEOUT_S = PATIENCE_S

Header = tuple[bytes, bytes]


class RawCaller(asyncio.DatagramProtocol):
    """One call to a server on loopback; open it with ``async with``.

    Args:
        from_: the From header's value, without its tag.
        uri: the Request-URI; None calls ``test`` at the server.
        more: further headers of the INVITE.
    """

    def __init__(
        self,
        port: int,
        *,
        from_: bytes = b"<sip:test@127.0.0.1>",
        uri: bytes | None = None,
        more: tuple[Header, ...] = (),
    ) -> None:
        self.call_id = f"raw-{next(_numbers)}-{port}".encode()
        self._server = ("127.0.0.1", port)
        self._from = from_ + b";tag=raw"
        self._uri = uri or b"sip:test@127.0.0.1:%d" % port
        self._to = b"<" + self._uri + b">"
        self._more = more
        self._cseq = 0
        self._final: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._bye: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.DatagramTransport
        self._own = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._own = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()

    async def invite(self) -> int:
        """Send the INVITE; return its final status, acknowledged."""
        sdp = (
            b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            b"m=audio %d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n" % (self._own + 1)
        )
        self._send(b"INVITE", sdp, self._more)
        async with asyncio.timeout(_TIMEOUT_S):
            return await self._final

    async def bye(self) -> int:
        """End the call; return what the BYE is answered with."""
        self._send(b"BYE")
        async with asyncio.timeout(_TIMEOUT_S):
            return await self._bye

    def _send(self, method: bytes, body: bytes = b"", more: tuple[Header, ...] = ()) -> None:
        if method != b"ACK":
            self._cseq += 1
        lines = [
            method + b" " + self._uri + b" SIP/2.0",
            b"Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK-%s-%d-%s;rport"
            % (self._own, self.call_id, self._cseq, method),
            b"Max-Forwards: 70",
            b"From: " + self._from,
            b"To: " + self._to,
            b"Call-ID: " + self.call_id,
            b"CSeq: %d %s" % (self._cseq, method),
            b"Contact: <sip:raw@127.0.0.1:%d>" % self._own,
            *(name + b": " + value for name, value in more),
            *([b"Content-Type: application/sdp"] if body else []),
            b"Content-Length: %d" % len(body),
            b"",
            b"",
        ]
        self._transport.sendto(b"\r\n".join(lines) + body, self._server)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
        if not head[0].startswith(b"SIP/2.0 "):
            return
        status = int(head[0].split(b" ")[1])
        values = {
            line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip()
            for line in head[1:]
        }
        if status < 200:
            return
        if values[b"cseq"].endswith(b"BYE"):
            if not self._bye.done():
                self._bye.set_result(status)
            return
        self._to = values[b"to"]
        self._send(b"ACK")
        if not self._final.done():
            self._final.set_result(status)
