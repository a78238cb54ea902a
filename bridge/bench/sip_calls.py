"""Many calls on one UDP socket or TLS connection: INVITE, ACK, CANCEL, BYE (RFC 3261), hold.

A call is a slot: a small number that is used again when its call is over. Requests that stay
without an answer are repeated by :meth:`SipCalls.repeat` (section 17.1: after 500 ms, doubling).
No clock in here, and no authentication.
"""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

from bridge.clock import NS_PER_MS
from bridge.softphone.sip_message import Direction, PhoneMessage, audio_sdp

_T1_NS = 500 * NS_PER_MS
_GIVE_UP_NS = 32_000 * NS_PER_MS
"""64 * T1: timers B and F."""

_FIRST_INVITE = "1 INVITE"
_KEY_BYTES = 30
"""Of AES-128's master key, and of its salt (RFC 4568 section 6.2)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The ways in which a call ends.

    Attributes:
        how: we hung up; the far end did; it refused the INVITE; it answered nothing.
        status: of the refusal, else 0.
    """

    how: Literal["hung up", "dropped", "refused", "no answer"]
    status: int = 0


@dataclass(slots=True)
class _Request:
    """A request of ours that waits for its final response."""

    slot: int
    message: PhoneMessage
    sent_ns: int
    due_ns: int
    wait_ns: int = _T1_NS
    provisional: bool = False

    @property
    def is_change(self) -> bool:
        """Whether it is a re-INVITE."""
        return self.message.method == "INVITE" and self.message.header("CSeq") != _FIRST_INVITE


@dataclass(slots=True)
class _Dialog:
    call_id: str
    target: str
    remote: str
    local: str
    acknowledges: bool
    key: str
    sequence: int = 1
    far_key: str = ""
    ack: bytes = b""
    up: bool = False
    cancelled: bool = False


@dataclass(slots=True)
class Outcomes:
    """Counts the outcomes of calls.

    Attributes:
        setup_ns: of each call that was answered, INVITE to 200.
        refused: final statuses of those that were not; 0: no answer at all.
        dropped: calls that the far end ended.
        changes_refused: final statuses of re-INVITEs that failed; 0: no answer at all.
    """

    setup_ns: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    dropped: int = 0
    changes_refused: list[int] = field(default_factory=list)


class SipCalls:
    """A caller.

    Args:
        server: host and port that are called.
        port: of our socket.
        user: who is called.
        transmit: sends a message to the server.
        secure: messages go over TLS, and SRTP is offered; else UDP, and RTP.
        on_up: receives slot and the far end's RTP port.
        on_over: receives the slot of a call that has ended, or has never begun.
        on_changed: receives slot and the far end's RTP port after a re-INVITE.
    """

    def __init__(
        self,
        server: tuple[str, int],
        port: int,
        user: str,
        transmit: Callable[[bytes], object],
        *,
        secure: bool = False,
        on_up: Callable[[int, int], None],
        on_over: Callable[[int, Ended], None],
        on_changed: Callable[[int, int], None] = lambda slot, port: None,
    ) -> None:
        self.outcomes = Outcomes()
        self._server = server
        self._user = user
        self._port = port
        self._transmit = transmit
        self._secure = secure
        self._transport, self._parameter = ("TLS", ";transport=tls") if secure else ("UDP", "")
        self._on_up = on_up
        self._on_over = on_over
        self._on_changed = on_changed
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

    def invite(
        self,
        slot: int,
        rtp_port: int,
        now_ns: int,
        *,
        user: str | None = None,
        caller: str = "bench",
        acknowledges: bool = True,
    ) -> None:
        """Place a call.

        Args:
            slot: a free one; rtp_port: where its RTP is awaited.
            now_ns: monotonic.
            user: who is called, if not whom all call.
            caller: the user of From.
            acknowledges: an answer; else the caller is gone by then, and it is never heard of.
        """
        call_id = f"bench-{next(self._numbers)}-{self._port}@127.0.0.1"
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() if self._secure else ""
        uri = f"sip:{user or self._user}@{self._server[0]}:{self._server[1]}{self._parameter}"
        local = f"<sip:{caller}@127.0.0.1:{self._port}>;tag={call_id.partition('@')[0]}"
        self._dialogs[slot] = _Dialog(call_id, uri, f"<{uri}>", local, acknowledges, key)
        self._slots[call_id] = slot
        self._request(slot, "INVITE", now_ns, audio_sdp(rtp_port, (0,), crypto_key=key))

    def cancel(self, slot: int, now_ns: int) -> None:
        """Take an INVITE back; one that is answered all the same is acknowledged and ended."""
        dialog = self._dialogs.get(slot)
        if dialog is None or dialog.up or dialog.cancelled:
            return
        dialog.cancelled = True
        for request in self._of(slot):
            if request.provisional:  # not before (section 9.1)
                self._send_cancel(request, now_ns)

    def change(self, slot: int, rtp_port: int, direction: Direction, now_ns: int) -> bool:
        """Send a re-INVITE; False if one is under way, or the call isn't up."""
        dialog = self._dialogs.get(slot)
        if dialog is None or not dialog.up or self._of(slot):
            return False
        dialog.sequence += 1
        sdp = audio_sdp(
            *(rtp_port, (0,)),
            direction=direction,
            version=dialog.sequence,
            crypto_key=dialog.key,
        )
        self._request(slot, "INVITE", now_ns, sdp)
        return True

    def keys_of(self, slot: int) -> tuple[str, str]:
        """Return a call's keys of SRTP: ours, and the far end's; empty for plain RTP."""
        dialog = self._dialogs.get(slot)
        return ("", "") if dialog is None else (dialog.key, dialog.far_key)

    def is_changing(self, slot: int) -> bool:
        """Return whether a re-INVITE waits for its answer."""
        return bool(self._of(slot))

    def bye(self, slot: int, now_ns: int) -> None:
        """End a call that is up."""
        dialog = self._dialogs.get(slot)
        if dialog is not None and dialog.up:
            dialog.up = False
            dialog.sequence += 1
            self._request(slot, "BYE", now_ns)

    def abandon(self, slot: int) -> None:
        """Forget a call without a word to the far end."""
        self._over(slot, Ended("no answer"))

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take a datagram."""
        message = PhoneMessage.parse(data)
        if message.status:
            self._on_response(message, now_ns)
        else:
            self._on_request(message)

    def repeat(self, now_ns: int) -> None:
        """Send again what is due; give up what has waited for too long."""
        for key, request in list(self._waiting.items()):
            if now_ns - request.sent_ns > _GIVE_UP_NS:
                self._waiting.pop(key, None)
                self._failed(request, 0)
                continue
            if now_ns < request.due_ns or request.provisional:
                continue
            request.wait_ns *= 2
            request.due_ns = now_ns + request.wait_ns
            self._transmit(request.message.encode())

    def _of(self, slot: int) -> list[_Request]:
        """Return the INVITEs of a call that wait."""
        return [
            each
            for each in self._waiting.values()
            if each.slot == slot and each.message.method == "INVITE"
        ]

    def _request(self, slot: int, method: str, now_ns: int, body: str = "") -> None:
        dialog = self._dialogs[slot]
        self._send(slot, self._message(dialog, method, dialog.sequence, body), now_ns)

    def _send(self, slot: int, message: PhoneMessage, now_ns: int) -> None:
        key = (message.branch, message.method)
        self._waiting[key] = _Request(slot, message, now_ns, now_ns + _T1_NS)
        self._transmit(message.encode())

    def _send_cancel(self, request: _Request, now_ns: int) -> None:
        self._send(request.slot, _like(request.message, "CANCEL"), now_ns)

    def _message(self, dialog: _Dialog, method: str, number: int, body: str = "") -> PhoneMessage:
        branch = f"z9hG4bK-{self._port}-{next(self._numbers)}"
        headers = (
            ("Via", f"SIP/2.0/{self._transport} 127.0.0.1:{self._port};branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", dialog.local),
            ("To", dialog.remote),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:bench@127.0.0.1:{self._port}{self._parameter}>"),
        )
        return PhoneMessage(f"{method} {dialog.target} SIP/2.0", headers, body)

    def _on_response(self, response: PhoneMessage, now_ns: int) -> None:
        key = (response.branch, response.method)
        request = self._waiting.get(key)
        if request is None:
            self._acknowledge_again(response)
            return
        if response.status < 200:
            self._on_provisional(request, now_ns)
            return
        del self._waiting[key]
        if response.method == "CANCEL":
            return
        if response.method == "BYE":
            self._over(request.slot, Ended("hung up"))
        elif response.status < 300:
            self._answered(request, response, now_ns)
        else:
            self._acknowledge_refusal(request, response)
            self._failed(request, response.status)

    def _on_provisional(self, request: _Request, now_ns: int) -> None:
        first, request.provisional = not request.provisional, True
        if first and request.message.method == "INVITE" and self._dialogs[request.slot].cancelled:
            self._send_cancel(request, now_ns)

    def _answered(self, request: _Request, response: PhoneMessage, now_ns: int) -> None:
        slot, dialog = request.slot, self._dialogs[request.slot]
        dialog.remote = response.header("To")
        dialog.far_key = response.crypto_key
        dialog.target = response.header("Contact").split("<")[-1].split(">")[0]
        if not dialog.acknowledges:
            return
        number = int(response.header("CSeq").split(" ")[0])
        dialog.ack = self._message(dialog, "ACK", number).encode()
        self._transmit(dialog.ack)
        if request.is_change:
            self._on_changed(slot, response.media_port)
            return
        dialog.up = True
        self.outcomes.setup_ns.append(now_ns - request.sent_ns)
        if dialog.cancelled:
            self.bye(slot, now_ns)
        else:
            self._on_up(slot, response.media_port)

    def _acknowledge_again(self, response: PhoneMessage) -> None:
        """Send the ACK for a 200 that came again: the first one was lost."""
        slot = self._slots.get(response.header("Call-ID"))
        if slot is not None and response.method == "INVITE" and self._dialogs[slot].ack:
            self._transmit(self._dialogs[slot].ack)

    def _acknowledge_refusal(self, request: _Request, response: PhoneMessage) -> None:
        # Of the INVITE's own transaction (section 17.1.1.3).
        message = _like(request.message, "ACK")
        headers = tuple(
            (name, response.header("To") if name == "To" else text)
            for name, text in message.headers
        )
        self._transmit(replace(message, headers=headers).encode())

    def _failed(self, request: _Request, status: int) -> None:
        if request.is_change:
            self.outcomes.changes_refused.append(status)
            return
        if request.message.method == "INVITE":
            self.outcomes.refused.append(status)
        if request.message.method != "CANCEL":
            self._over(request.slot, Ended("refused", status) if status else Ended("no answer"))

    def _on_request(self, request: PhoneMessage) -> None:
        kept = [(name, text) for name, text in request.headers if name.lower() == "via"]
        kept += [(name, request.header(name)) for name in ("From", "To", "Call-ID", "CSeq")]
        if request.method == "ACK":
            return
        slot = self._slots.get(request.header("Call-ID"))
        known = request.method == "BYE" and slot is not None
        self._transmit(
            PhoneMessage("SIP/2.0 200 OK" if known else "SIP/2.0 501 No", tuple(kept)).encode()
        )
        if known and slot is not None:
            dialog = self._dialogs[slot]
            if dialog.up or not dialog.acknowledges:
                self.outcomes.dropped += 1
                self._over(slot, Ended("dropped"))

    def _over(self, slot: int, ended: Ended) -> None:
        dialog = self._dialogs.pop(slot, None)
        if dialog is not None:
            del self._slots[dialog.call_id]
            self._waiting = {key: each for key, each in self._waiting.items() if each.slot != slot}
            self._on_over(slot, ended)


def _like(invite: PhoneMessage, method: str) -> PhoneMessage:
    """Return the ACK or CANCEL that belongs to an INVITE's own transaction."""
    number = invite.header("CSeq").split(" ")[0]
    headers = tuple(
        (name, f"{number} {method}" if name == "CSeq" else text) for name, text in invite.headers
    )
    return PhoneMessage(invite.start.replace("INVITE", method, 1), headers)
