"""SIP on a bare UDP socket, written and read as text: it shares no code with the product.

A :class:`RawPhone` sends what it is told, byte for byte, keeps every message that comes, answers
requests in its dialogs, and acknowledges what it has to (RFC 3261 sections 13.2.2.4 and 17.1.1.3).
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from tests.support.waiting import PATIENCE_S

_numbers = count(1)


def sdp(
    rtp_port: int, *, direction: str = "sendrecv", version: int = 1, address: str = "127.0.0.1"
) -> str:
    """Offer PCMU and telephone-events at a port."""
    return (
        f"v=0\r\no=raw 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {rtp_port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came."""

    text: str

    @property
    def status(self) -> int:
        """Status of a response; 0 of a request."""
        found = re.match(r"SIP/2\.0 (\d{3})", self.text)
        return int(found[1]) if found else 0

    @property
    def method(self) -> str:
        return self.header("CSeq").rpartition(" ")[2]

    @property
    def to_tag(self) -> str:
        found = re.search(r";tag=([^;\s]+)", self.header("To"))
        return found[1] if found else ""

    def header(self, name: str) -> str:
        return next(iter(self.headers(name)), "")

    def headers(self, name: str) -> list[str]:
        head = self.text.partition("\r\n\r\n")[0]
        return re.findall(rf"(?im)^{re.escape(name)}\s*:\s*(.*?)\s*$", head)


@dataclass(slots=True)
class RawCall:
    """One dialog of a phone's.

    Attributes:
        messages: everything that came for it, in order.
        answers: what requests from the far end get, by method; 0 is silence, 200 what others get.
    """

    phone: "RawPhone"
    called: str
    call_id: str
    own_tag: str
    far_tag: str = ""
    far_side: str = ""
    target: str = ""
    sequence: int = 0
    messages: list[Received] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    last_invite: str = ""

    @property
    def replaces(self) -> str:
        """The header with which another call takes this one's place at the far end."""
        return f"{self.call_id};to-tag={self.far_tag};from-tag={self.own_tag}"

    def finals(self, method: str) -> list[Received]:
        return [each for each in self.messages if each.status >= 200 and each.method == method]

    def requests(self, method: str) -> list[Received]:
        return [each for each in self.messages if not each.status and each.method == method]

    def send(self, method: str, body: str = "", more: Iterable[str] = ()) -> str:
        """Send a request with more header lines; return it as sent."""
        self.sequence += method not in {"ACK", "CANCEL"}
        text = self.compose(method, body, more)
        self.phone.transmit(text)
        return text

    def compose(
        self, method: str, body: str = "", more: Iterable[str] = (), *, branch: str = ""
    ) -> str:
        phone = self.phone
        to_tag = f";tag={self.far_tag}" if self.far_tag else ""
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{phone.port};branch={branch or new_branch()};rport",
            "Max-Forwards: 70",
            f"From: <sip:{phone.user}@127.0.0.1:{phone.port}>;tag={self.own_tag}",
            f"To: {self.far_side or f'<{self.target}>'}{to_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.sequence} {method}",
            f"Contact: <sip:raw@127.0.0.1:{phone.port}>",
            *more,
        ]
        if body and not any(line.lower().startswith("content-type") for line in lines):
            lines.append("Content-Type: application/sdp")
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])

    def invite(self, body: str = "", more: Iterable[str] = ()) -> None:
        self.last_invite = self.send("INVITE", body or sdp(self.phone.rtp_port), more)

    async def until(self, condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
        await self.phone.until(condition, timeout_s)

    async def final(self, method: str = "INVITE", timeout_s: float = PATIENCE_S) -> int:
        """Wait for the first final response; return its status."""
        await self.until(lambda: self.finals(method), timeout_s)
        return self.finals(method)[0].status

    async def answered(self, timeout_s: float = PATIENCE_S) -> "RawCall":
        assert await self.final(timeout_s=timeout_s) == 200
        return self

    async def bye(self, timeout_s: float = PATIENCE_S) -> int:
        self.send("BYE")
        return await self.final("BYE", timeout_s)

    def take(self, received: Received) -> None:
        self.messages.append(received)
        if received.status:
            self._take_response(received)
        elif received.method != "ACK":
            status = self.answers.get(received.method, 200)
            if status:
                self.phone.answer(received, status)

    def _take_response(self, received: Received) -> None:
        if received.method != "INVITE":
            return
        if 101 <= received.status < 300 and not self.far_tag:
            self.far_side = received.header("To").partition(";tag=")[0]
            self.far_tag = received.to_tag
            found = re.search(r"<([^>]+)>", received.header("Contact"))
            self.target = found[1] if found else self.target
        if 200 <= received.status < 300 and self.phone.acknowledges:
            self.acknowledge(received)
        elif received.status >= 300:
            branch = received.header("Via").partition("branch=")[2].partition(";")[0]
            number = received.header("CSeq").split()[0]
            ack = self.compose("ACK", branch=branch)
            to = f"To: {received.header('To')}"
            ack = re.sub(r"(?m)^To: .*$", lambda _: to + "\r", ack, count=1).replace("\r\r", "\r")
            self.phone.transmit(re.sub(r"CSeq: \d+ ACK", f"CSeq: {number} ACK", ack))

    def acknowledge(self, received: Received, body: str = "") -> None:
        """Send the ACK of a 2xx, with the answer to a late offer as its body."""
        number = received.header("CSeq").split()[0]
        ack = re.sub(r"CSeq: \d+ ACK", f"CSeq: {number} ACK", self.compose("ACK", body))
        self.phone.transmit(ack)


def new_branch() -> str:
    return f"z9hG4bKraw{next(_numbers)}"


class RawPhone(asyncio.DatagramProtocol):
    """A phone at a loopback address; open it with ``async with``.

    Args:
        server_port: where the bridge listens.
        host, user: its own address.

    Attributes:
        calls: its dialogs by Call-ID.
        strays: messages of no dialog of its own.
        acknowledges: whether a 2xx gets its ACK.
        on_invite: given an INVITE that comes in, answers it or not.
    """

    def __init__(self, server_port: int, host: str = "127.0.0.1", *, user: str = "raw") -> None:
        self.server_port = server_port
        self.host = host
        self.user = user
        self.port = 0
        self.rtp_port = 0
        self.calls: dict[str, RawCall] = {}
        self.strays: list[Received] = []
        self.acknowledges = True
        self.on_invite: Callable[[Received], None] = lambda invite: self.answer(invite, 480)
        self._changed = asyncio.Event()
        self._transport: asyncio.DatagramTransport

    async def __aenter__(self) -> "RawPhone":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.host, 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        self._rtp, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        self.rtp_port = self._rtp.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._transport.close()
        self._rtp.close()

    def call(self, called: str = "support", call_id: str = "") -> RawCall:
        """Make a dialog in which nothing is sent yet."""
        number = next(_numbers)
        call_id = call_id or f"raw-{number}-{self.port}@127.0.0.1"
        target = f"sip:{called}@127.0.0.1:{self.server_port}"
        call = RawCall(self, called, call_id, f"own{number}", target=target)
        self.calls[call_id] = call
        return call

    def invite(
        self, body: str = "", more: Iterable[str] = (), *, called: str = "support"
    ) -> RawCall:
        """Begin a call."""
        call = self.call(called)
        call.invite(body, more)
        return call

    def transmit(self, text: str) -> None:
        self._transport.sendto(
            text.encode("utf-8", "surrogateescape"), ("127.0.0.1", self.server_port)
        )

    def send_media(self, answer: Received, packet: bytes, *, rtcp: bool = False) -> None:
        """Send a packet to where a 200 wants its audio, or its RTCP."""
        found = re.search(r"(?m)^m=audio (\d+)", answer.text)
        assert found is not None
        self._rtp.sendto(packet, ("127.0.0.1", int(found[1]) + rtcp))

    def answer(self, request: Received, status: int, body: str = "", tag: str = "") -> None:
        """Answer a request."""
        to = request.header("To")
        if ";tag=" not in to and status > 100:
            to += f";tag={tag or f'far{self.port}'}"
        vias = [f"Via: {via}" for via in request.headers("Via")]
        kept = [f"{name}: {request.header(name)}" for name in ("From", "Call-ID", "CSeq")]
        lines = [f"SIP/2.0 {status} Raw", *vias, *kept, f"To: {to}"]
        lines.append(f"Contact: <sip:raw@{self.host}:{self.port}>")
        if body:
            lines.append("Content-Type: application/sdp")
        self.transmit("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]))

    async def until(self, condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
        """Wait for what an arriving message makes true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        received = Received(data.decode("utf-8", "surrogateescape"))
        call = self.calls.get(received.header("Call-ID"))
        if call is not None:
            call.take(received)
        elif not received.status and received.method == "INVITE":
            self.strays.append(received)
            self.on_invite(received)
        else:
            self.strays.append(received)
            if not received.status and received.method != "ACK":
                self.answer(received, 200)
        self._changed.set()
