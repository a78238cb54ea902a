"""Many calls on one UDP socket: INVITE, ACK, BYE (RFC 3261), without authentication. No clock.

A call is a slot: a small number that is used again when its call is over. Requests that stay
without an answer are repeated by :meth:`SipCalls.repeat` (section 17.1: after 500 ms, doubling).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from bridge.bench.sip_message import Message, audio_sdp
from bridge.clock import NS_PER_MS

_T1_NS = 500 * NS_PER_MS
_GIVE_UP_NS = 32_000 * NS_PER_MS
"""64 * T1: timers B and F."""


@dataclass(slots=True)
class _Request:
    """A request of ours that waits for its final response."""

    slot: int
    message: Message
    sent_ns: int
    due_ns: int
    wait_ns: int = _T1_NS
    provisional: bool = False


@dataclass(slots=True)
class _Dialog:
    call_id: str
    target: str
    remote: str
    caller: str
    ack: bytes = b""
    up: bool = False


@dataclass(slots=True)
class Outcomes:
    """What became of calls since it was made.

    Attributes:
        setup_ns: of each call that was answered, INVITE to 200.
        refused: final statuses of those that were not; 0: no answer at all.
        dropped: calls that the far end ended.
    """

    setup_ns: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    dropped: int = 0


class SipCalls:
    """A caller.

    Args:
        server: host and port that are called.
        port: of our socket.
        user: who is called.
        caller: gives who calls, by the call's number.
        transmit: sends a datagram to the server.
        on_up: receives slot and the far end's RTP port.
        on_over: receives the slot of a call that has ended, or has never begun.
    """

    def __init__(
        self,
        server: tuple[str, int],
        port: int,
        user: str,
        transmit: Callable[[bytes], object],
        *,
        on_up: Callable[[int, int], None],
        on_over: Callable[[int], None],
        caller: Callable[[int], str] = lambda number: "bench",
    ) -> None:
        self._caller = caller
        self.outcomes = Outcomes()
        self._uri = f"sip:{user}@{server[0]}:{server[1]}"
        self._port = port
        self._transmit = transmit
        self._on_up = on_up
        self._on_over = on_over
        self._numbers = count(1)
        self._dialogs: dict[int, _Dialog] = {}
        self._slots: dict[str, int] = {}
        self._waiting: dict[tuple[str, str], _Request] = {}

    @property
    def asked(self) -> int:
        """INVITEs that wait for their final response."""
        return sum(method == "INVITE" for _, method in self._waiting)

    @property
    def left(self) -> int:
        """Calls that are not over."""
        return len(self._dialogs)

    def invite(self, slot: int, rtp_port: int, now_ns: int) -> None:
        """Place a call."""
        number = next(self._numbers)
        call_id = f"bench-{number}-{self._port}@127.0.0.1"
        caller = self._caller(number)
        self._dialogs[slot] = _Dialog(call_id, self._uri, f"<{self._uri}>", caller)
        self._slots[call_id] = slot
        self._request(slot, "INVITE", 1, now_ns, audio_sdp(rtp_port, (0,)))

    def bye(self, slot: int, now_ns: int) -> None:
        """End a call that is up."""
        dialog = self._dialogs.get(slot)
        if dialog is not None and dialog.up:
            dialog.up = False
            self._request(slot, "BYE", 2, now_ns)

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take a datagram."""
        message = Message.parse(data)
        if message.status:
            self._on_response(message, now_ns)
        else:
            self._on_request(message)

    def repeat(self, now_ns: int) -> None:
        """Send again what is due; give up what has waited for too long."""
        for key, request in list(self._waiting.items()):
            if now_ns - request.sent_ns > _GIVE_UP_NS:
                del self._waiting[key]
                self._failed(request, 0)
                continue
            if now_ns < request.due_ns or request.provisional:
                continue
            request.wait_ns *= 2
            request.due_ns = now_ns + request.wait_ns
            self._transmit(request.message.encode())

    def _request(self, slot: int, method: str, number: int, now_ns: int, body: str = "") -> None:
        message = self._message(self._dialogs[slot], method, number, body)
        self._waiting[message.branch, method] = _Request(slot, message, now_ns, now_ns + _T1_NS)
        self._transmit(message.encode())

    def _message(self, dialog: _Dialog, method: str, number: int, body: str = "") -> Message:
        branch = f"z9hG4bK-{self._port}-{next(self._numbers)}"
        headers = (
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self._port};branch={branch}"),
            ("Max-Forwards", "70"),
            (
                "From",
                f"<sip:{dialog.caller}@127.0.0.1:{self._port}>;tag={dialog.call_id.split('@')[0]}",
            ),
            ("To", dialog.remote),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:bench@127.0.0.1:{self._port}>"),
        )
        return Message(f"{method} {dialog.target} SIP/2.0", headers, body)

    def _on_response(self, response: Message, now_ns: int) -> None:
        key = (response.branch, response.method)
        request = self._waiting.get(key)
        if request is None:
            self._acknowledge_again(response)
            return
        if response.status < 200:
            request.provisional = True
            return
        del self._waiting[key]
        if response.method == "BYE":
            self._over(request.slot)
        elif response.status < 300:
            self._answered(request, response, now_ns)
        else:
            self._acknowledge_refusal(request, response)
            self._failed(request, response.status)

    def _answered(self, request: _Request, response: Message, now_ns: int) -> None:
        dialog = self._dialogs[request.slot]
        dialog.remote = response.header("To")
        dialog.target = response.header("Contact").split("<")[-1].split(">")[0]
        dialog.ack = self._message(dialog, "ACK", 1).encode()
        dialog.up = True
        self._transmit(dialog.ack)
        self.outcomes.setup_ns.append(now_ns - request.sent_ns)
        self._on_up(request.slot, response.media_port)

    def _acknowledge_again(self, response: Message) -> None:
        """Send the ACK for a 200 that came again: the first one was lost."""
        slot = self._slots.get(response.header("Call-ID"))
        if slot is not None and response.method == "INVITE" and self._dialogs[slot].ack:
            self._transmit(self._dialogs[slot].ack)

    def _acknowledge_refusal(self, request: _Request, response: Message) -> None:
        # Of the INVITE's own transaction (section 17.1.1.3).
        changed = {"CSeq": "1 ACK", "To": response.header("To")}
        headers = tuple((name, changed.get(name, text)) for name, text in request.message.headers)
        start = request.message.start.replace("INVITE", "ACK", 1)
        self._transmit(replace(request.message, start=start, headers=headers, body="").encode())

    def _failed(self, request: _Request, status: int) -> None:
        if request.message.method == "INVITE":
            self.outcomes.refused.append(status)
        self._over(request.slot)

    def _on_request(self, request: Message) -> None:
        kept = [(name, text) for name, text in request.headers if name.lower() == "via"]
        kept += [(name, request.header(name)) for name in ("From", "To", "Call-ID", "CSeq")]
        if request.method == "ACK":
            return
        slot = self._slots.get(request.header("Call-ID"))
        known = request.method == "BYE" and slot is not None
        self._transmit(
            Message("SIP/2.0 200 OK" if known else "SIP/2.0 501 No", tuple(kept)).encode()
        )
        if known and slot is not None and self._dialogs[slot].up:
            self.outcomes.dropped += 1
            self._over(slot)

    def _over(self, slot: int) -> None:
        dialog = self._dialogs.pop(slot, None)
        if dialog is not None:
            del self._slots[dialog.call_id]
            self._on_over(slot)
