"""SIP by hand (RFC 3261) on one UDP socket: what a test needs to say exactly, and nothing more.

A :class:`SipPeer` places calls to one server on loopback and takes calls from it. ACKs and answers
to BYE go out by themselves; the rest is what the test asks for. There are no retransmissions:
loopback loses nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from bridge.softphone.sip_message import PhoneMessage
from tests.support.waiting import PATIENCE_S

Headers = tuple[tuple[str, str], ...]

_numbers = count(1)
_TIMEOUT_S = PATIENCE_S


@dataclass(slots=True)
class _Transaction:
    """A request of ours and what was answered."""

    request: PhoneMessage
    final: asyncio.Future[PhoneMessage]
    provisional: list[int] = field(default_factory=list)


class Dialog:
    """One call, seen from the test's side.

    Attributes:
        answer: the 2xx that established the call, once it is there.
        provisional: status codes below 200 of the first INVITE, in order.
        offers: SDP of the re-INVITEs that the far end sent.
        ended: set when the far end sent BYE, or took its INVITE back.
        goodbye: its BYE.
        offered: the INVITE, of a call that came in.
    """

    def __init__(self, peer: "SipPeer", called: str, sdp: str) -> None:
        self.sdp = sdp
        self.offers: list[PhoneMessage] = []
        self.ended = asyncio.Event()
        self.goodbye: PhoneMessage | None = None
        self.answer: PhoneMessage | None = None
        self.number = next(_numbers)
        self.call_id = f"test-{self.number}-{peer.port}@{peer.host}"
        self._peer = peer
        self._uri = f"sip:{called}@127.0.0.1:{peer.server_port}"
        self._target = self._uri
        self._local = f"<sip:test@{peer.place}>;tag=local{self.number}"
        self._remote = f"<{self._uri}>"
        self._sequence = 0
        self._invite: _Transaction | None = None
        self.offered: PhoneMessage | None = None

    @classmethod
    def of_invite(cls, peer: "SipPeer", invite: PhoneMessage, sdp: str) -> "Dialog":
        """Take the called side of a call that came in."""
        dialog = cls(peer, "test", sdp)
        dialog.offered = invite
        dialog.call_id = invite.header("Call-ID")
        dialog._local = f"{invite.header('To')};tag=answer{peer.port}"
        dialog._remote = invite.header("From")
        dialog._target = invite.header("Contact").strip("<>").split(">")[0]
        return dialog

    @property
    def provisional(self) -> list[int]:
        return self._invite.provisional if self._invite else []

    def invite(self, more: Headers = ()) -> None:
        """Send the INVITE."""
        self._invite = self._request("INVITE", self.sdp, more)

    def repeat_invite(self) -> None:
        """Send the INVITE again, as a caller over UDP does who has heard nothing."""
        assert self._invite is not None
        self._peer.transmit(self._invite.request)

    async def final(self, timeout_s: float = _TIMEOUT_S) -> PhoneMessage:
        """Wait for the final response to the INVITE."""
        assert self._invite is not None
        return await self._await_final(self._invite, timeout_s)

    async def reinvite(self, sdp: str) -> PhoneMessage:
        """Make a new offer; return the final response."""
        self.sdp = sdp
        return await self._await_final(self._request("INVITE", sdp))

    async def cancel(self) -> PhoneMessage:
        """Send CANCEL; return what it is answered with (the INVITE gets its own answer)."""
        assert self._invite is not None
        invite = self._invite.request
        start = invite.start.replace("INVITE", "CANCEL", 1)
        sequence = invite.header("CSeq").split(" ")[0]
        headers = _replaced(invite.headers, {"CSeq": f"{sequence} CANCEL"})
        return await self._await_final(self._peer.send(PhoneMessage(start, headers)))

    async def options(self) -> PhoneMessage:
        """Ask within the call; return the response."""
        return await self._await_final(self._request("OPTIONS"))

    async def info(
        self, body: str = "", content_type: str = "application/dtmf-relay"
    ) -> PhoneMessage:
        """Send INFO; return the response."""
        more = (("Content-Type", content_type),) if body else ()
        return await self._await_final(self._request("INFO", body, more))

    async def press_by_info(self, digits: str) -> None:
        """Press keys by INFO (application/dtmf-relay)."""
        for digit in digits:
            assert (await self.info(f"Signal={digit}\r\nDuration=160\r\n")).status == 200

    async def refer(self, to: str) -> PhoneMessage:
        """Ask to be let go to somebody else; return the response."""
        return await self._await_final(self._request("REFER", more=(("Refer-To", f"<{to}>"),)))

    async def bye(self) -> PhoneMessage:
        """End the call; return the response to the BYE."""
        return await self._await_final(self._request("BYE"))

    def on_success(self, response: PhoneMessage) -> None:
        """Take a 2xx to an INVITE of ours: it makes the dialog, and each copy wants an ACK."""
        self.answer = response
        self._remote = response.header("To")
        self._target = response.header("Contact").strip("<>").split(">")[0]
        number = int(response.header("CSeq").split(" ")[0])
        self._peer.transmit(self._message("ACK", number))

    def _request(self, method: str, body: str = "", more: Headers = ()) -> _Transaction:
        self._sequence += 1
        return self._peer.send(self._message(method, self._sequence, body, more))

    def _message(
        self, method: str, sequence: int, body: str = "", more: Headers = ()
    ) -> PhoneMessage:
        headers = (
            ("Via", self._peer.new_via()),
            ("Max-Forwards", "70"),
            ("From", self._local),
            ("To", self._remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{sequence} {method}"),
            ("Contact", f"<sip:test@{self._peer.place}>"),
            *more,
        )
        return PhoneMessage(f"{method} {self._target} SIP/2.0", headers, body)

    async def _await_final(self, sent: _Transaction, timeout_s: float = _TIMEOUT_S) -> PhoneMessage:
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(sent.final)


class SipPeer(asyncio.DatagramProtocol):
    """A SIP socket on loopback, talking to one server; open it with ``async with``.

    Attributes:
        host, port: its own; ``place``: both, as in a URI.
        calls_in: calls that the server placed to us.
        infos: INFO requests as they came; each is answered with ``info_status``.
        takes_cancel: a CANCEL ends the INVITE; else it only is answered.
        on_call: given each new inbound call's INVITE, returns the status and SDP of the answer.
    """

    def __init__(self, server_port: int, port: int = 0, host: str = "127.0.0.1") -> None:
        self.server_port = server_port
        self.host = host
        self.port = port
        self.calls_in: list[Dialog] = []
        self.infos: list[PhoneMessage] = []
        self.info_status = 200
        self.takes_cancel = True
        self.on_call: Callable[[PhoneMessage], tuple[int, str]] = lambda invite: (480, "")
        self._dialogs: dict[str, Dialog] = {}
        self._sent: dict[tuple[str, str], _Transaction] = {}
        self._transport: asyncio.DatagramTransport

    async def __aenter__(self) -> "SipPeer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.host, self.port)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._transport.close()

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def call(self, called: str, sdp: str, more: Headers = ()) -> Dialog:
        """Send an INVITE, with more headers."""
        dialog = Dialog(self, called, sdp)
        self._dialogs[dialog.call_id] = dialog
        dialog.invite(more)
        return dialog

    async def options(self, timeout_s: float = _TIMEOUT_S) -> PhoneMessage:
        """Ask the server what it can do; return the response."""
        number = next(_numbers)
        uri = f"sip:127.0.0.1:{self.server_port}"
        headers = (
            ("Via", self.new_via()),
            ("Max-Forwards", "70"),
            ("From", f"<sip:test@{self.place}>;tag=local{number}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"test-{number}-{self.port}@{self.host}"),
            ("CSeq", "1 OPTIONS"),
        )
        sent = self.send(PhoneMessage(f"OPTIONS {uri} SIP/2.0", headers))
        async with asyncio.timeout(timeout_s):
            return await sent.final

    def new_via(self) -> str:
        # Of the whole process: another peer may have had this port half a minute ago, and its
        # transactions live on at the server (RFC 3261 section 17.2.2, timer J).
        branch = f"z9hG4bK-{self.port}-{next(_numbers)}"
        return f"SIP/2.0/UDP {self.place};branch={branch}"

    def send(self, request: PhoneMessage) -> _Transaction:
        """Send a request and await what is answered."""
        sent = _Transaction(request, asyncio.get_running_loop().create_future())
        self._sent[request.branch, request.method] = sent
        self.transmit(request)
        return sent

    def transmit(self, message: PhoneMessage) -> None:
        self._transport.sendto(message.encode(), ("127.0.0.1", self.server_port))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = PhoneMessage.parse(data)
        if message.status:
            self._on_response(message)
        else:
            self._on_request(message)

    def _on_response(self, response: PhoneMessage) -> None:
        sent = self._sent.get((response.branch, response.method))
        if sent is None:
            return
        if response.status < 200:
            sent.provisional.append(response.status)
            return
        if response.method == "INVITE":
            self._acknowledge(sent.request, response)
        if not sent.final.done():
            sent.final.set_result(response)

    def _acknowledge(self, invite: PhoneMessage, response: PhoneMessage) -> None:
        if response.status < 300:
            self._dialogs[response.header("Call-ID")].on_success(response)
            return
        # Of a failure the ACK belongs to the INVITE's own transaction (RFC 3261 17.1.1.3).
        sequence = invite.header("CSeq").split(" ")[0]
        changed = {"CSeq": f"{sequence} ACK", "To": response.header("To")}
        start = invite.start.replace("INVITE", "ACK", 1)
        self.transmit(PhoneMessage(start, _replaced(invite.headers, changed)))

    def _on_request(self, request: PhoneMessage) -> None:
        dialog = self._dialogs.get(request.header("Call-ID"))
        match request.method:
            case "ACK":
                return
            case "BYE" if dialog is not None:
                dialog.goodbye = request
                self.respond(request, 200)
                dialog.ended.set()
            case "INVITE" if dialog is not None:
                dialog.offers.append(request)
                self.respond(request, 200, dialog.sdp)
            case "INVITE":
                self._take_call(request)
            case "CANCEL":
                self.respond(request, 200)
                if dialog is not None and dialog.offered is not None and self.takes_cancel:
                    self.respond(dialog.offered, 487)
                    dialog.ended.set()
            case "REFER":
                self.respond(request, 603)
            case "INFO":
                self.infos.append(request)
                self.respond(request, self.info_status)
            case _:
                self.respond(request, 481)

    def _take_call(self, invite: PhoneMessage) -> None:
        status, sdp = self.on_call(invite)
        if status < 300:
            dialog = Dialog.of_invite(self, invite, sdp)
            self._dialogs[dialog.call_id] = dialog
            self.calls_in.append(dialog)
            self.respond(invite, 180)
        if status != 180:  # such a one rings on
            self.respond(invite, status, sdp)

    def respond(self, request: PhoneMessage, status: int, sdp: str = "") -> None:
        """Answer a request."""
        to = request.header("To")
        tagged = to if "tag=" in to else f"{to};tag=answer{self.port}"
        kept = [(name, value) for name, value in request.headers if name.lower() == "via"]
        kept += [(name, request.header(name)) for name in ("From", "Call-ID", "CSeq")]
        contact = ("Contact", f"<sip:test@{self.place}>")
        self.transmit(PhoneMessage(f"SIP/2.0 {status} Test", (*kept, ("To", tagged), contact), sdp))


def _replaced(
    headers: tuple[tuple[str, str], ...], changed: dict[str, str]
) -> tuple[tuple[str, str], ...]:
    return tuple((name, changed.get(name, value)) for name, value in headers)
