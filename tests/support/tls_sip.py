"""A SIP phone and a SIP server over TLS, by Python's own; neither shares code with the bridge."""

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

_ANSWER_WITHIN_S = 10.0
_numbers = itertools.count(1)

SDP = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} {profile} 0
{more}"""


def sdp(port: int = 40_000, profile: str = "RTP/AVP", *attributes: str) -> str:
    """Return a session description with one stream of PCMU."""
    more = "".join(f"a={each}\n" for each in attributes)
    return SDP.format(port=port, profile=profile, more=more).replace("\n", "\r\n")


def client_context(
    authority: Path | None = None, shown: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    """Return a client's TLS context; without an authority it believes every server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(authority)
    if shown is not None:
        context.load_cert_chain(*shown)
    return context


async def read_message(reader: asyncio.StreamReader) -> str:
    """Read one SIP message of a stream; "" where it has ended."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            head = (await reader.readuntil(b"\r\n\r\n")).lstrip(b"\r\n").decode()
            length = int(header(head, "Content-Length") or 0)
            return head + (await reader.readexactly(length)).decode()
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        return ""


def headers(message: str, name: str) -> list[str]:
    """Return a header's values, one a line."""
    return [
        line.partition(":")[2].strip()
        for line in message.split("\r\n")[1:]
        if line.lower().startswith(f"{name.lower()}:")
    ]


def header(message: str, name: str) -> str:
    """Return a header's first value; "" for none."""
    for line in message.split("\r\n")[1:]:
        if line.lower().startswith(f"{name.lower()}:"):
            return line.partition(":")[2].strip()
    return ""


class TlsPhone:
    """One connection, and the call on it.

    Attributes:
        contact: of its requests.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        self.reader, self.writer, self.port = reader, writer, port
        number = next(_numbers)
        self._call_id, self._branch = f"tls-{number}-{id(self)}", f"z9hG4bK-tls-{number}-{id(self)}"
        own_port = writer.get_extra_info("sockname")[1]
        self.contact = f"<sip:tester@127.0.0.1:{own_port};transport=tls>"
        self._cseq = 0
        self._target = f"sip:support@127.0.0.1:{port};transport=tls"
        self._to = f"<{self._target}>"
        self._routes: list[str] = []

    @property
    def shown(self) -> bytes:
        """The server's certificate, DER."""
        return bytes(self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    def send(self, method: str, body: str = "", cseq: int | None = None) -> None:
        """Send a request."""
        self._cseq = self._cseq + 1 if cseq is None else self._cseq
        number = self._cseq if cseq is None else cseq
        lines = (
            f"{method} {self._target} SIP/2.0",
            f"Via: SIP/2.0/TLS 127.0.0.1:9;branch={self._branch}-{method}-{number};rport",
            "Max-Forwards: 70",
            *(f"Route: {each}" for each in self._routes),
            f"From: <sip:tester@127.0.0.1>;tag=t{self._branch[-6:]}",
            f"To: {self._to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {number} {method}",
            f"Contact: {self.contact}",
            *(("Content-Type: application/sdp",) if body else ()),
            f"Content-Length: {len(body)}",
        )
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    async def final(self) -> str:
        """Read responses up to a final one; "" where the connection ends."""
        while message := await read_message(self.reader):
            if not message.startswith("SIP/2.0 1"):
                return message
        return ""

    async def options(self) -> str:
        """Ask by OPTIONS; return the answer, "" where there is none."""
        self.send("OPTIONS")
        return await self.final()

    async def invite(self, body: str) -> str:
        """Call, or offer anew within the call; acknowledge what comes and return it."""
        self.send("INVITE", body)
        answer = await self.final()
        if answer:
            self._to = header(answer, "To")
            if routes := headers(answer, "Record-Route"):  # a proxy's, before us
                self._routes = routes[::-1]
                self._target = header(answer, "Contact").strip("<>").split(">")[0]
            self.send("ACK", cseq=self._cseq)
        return answer

    def goes_on(self, former: "TlsPhone") -> None:
        """Take another connection's call over, with its Contact."""
        own = (self.reader, self.writer, self.port)
        self.__dict__.update(former.__dict__)
        self.reader, self.writer, self.port = own

    async def bye(self) -> str:
        self.send("BYE")
        return await self.final()


@asynccontextmanager
async def tls_phone(port: int, context: ssl.SSLContext) -> AsyncIterator[TlsPhone]:
    """Connect to a port of 127.0.0.1."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1"
    )
    try:
        yield TlsPhone(reader, writer, port)
    finally:
        writer.transport.abort()


class TlsServer:
    """A SIP server that answers each INVITE by what ``answer`` makes of its session description.

    Attributes:
        port: where it listens.
        requests: that came, whole.
        failed: handshakes that came to nothing.
    """

    def __init__(self, answer: Callable[[str], tuple[str, str]]) -> None:
        self.port = 0
        self.requests: list[str] = []
        self._answer = answer
        self._connections: list[asyncio.StreamWriter] = []

    def cut_connections(self) -> None:
        """End what is connected: a client would go on using it for the next server's calls."""
        for writer in self._connections:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self._connections.append(writer)
        while message := await read_message(reader):
            self.requests.append(message)
            method = message.partition(" ")[0]
            if method == "ACK":
                continue
            offer = message.partition("\r\n\r\n")[2]
            status, body = self._answer(offer) if method == "INVITE" else ("200 OK", "")
            copied = [
                line
                for line in message.split("\r\n")
                if line.partition(":")[0] in {"Via", "From", "Call-ID", "CSeq"}
            ]
            to = header(message, "To")
            to = to if ";tag=" in to else f"{to};tag=server"
            # A dialog that was asked for by SIPS stays in it (RFC 3261 section 12.1.1).
            scheme = message.split(" ", 2)[1].partition(":")[0]
            place = f"Contact: <{scheme}:server@127.0.0.1:{self.port};transport=tls>"
            kind = ("Content-Type: application/sdp",) if body else ()
            lines = (f"SIP/2.0 {status}", *copied, f"To: {to}", place, *kind)
            text = "\r\n".join((*lines, f"Content-Length: {len(body)}")) + "\r\n\r\n" + body
            writer.write(text.encode())
        writer.close()


@asynccontextmanager
async def tls_server(
    shown: tuple[Path, Path],
    answer: Callable[[str], tuple[str, str]] = lambda offer: ("200 OK", sdp()),
    clients_of: Path | None = None,
    port: int = 0,
) -> AsyncIterator[TlsServer]:
    """Run a SIP server over TLS on 127.0.0.1.

    Args:
        clients_of: authority that must have signed the clients' certificates; None for any client.
        port: to listen on; 0 for any.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*shown)
    if clients_of is not None:
        context.load_verify_locations(clients_of)
        context.verify_mode = ssl.CERT_REQUIRED
    server = TlsServer(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", port, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.cut_connections()
