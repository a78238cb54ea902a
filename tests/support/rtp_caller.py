"""A caller on two UDP sockets: enough SIP to be answered, and RTP with every arrival stamped.

For tests that ask *when* something was heard: there is no jitter buffer between the wire and the
stamp, and the stamp is the kernel's, so that a test which comes late to its own loop does no harm.
What SIP phones do is left to real ones (baresip, SIPp, our softphone).
"""

import asyncio
import re
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

from bridge.audio import g711
from tests.support.rtp import Due, key_press
from tests.support.waiting import PATIENCE_S

FRAME_SAMPLES = 160
_RTP_HEADER = struct.Struct("!BBHII")
_TIMESPEC = struct.Struct("@ll")
_SO_TIMESTAMPNS = 35
"""Linux; Python's socket module doesn't name it. It is the message's type, too."""

_ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, REFER, NOTIFY"

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Heard:
    """One RTP packet: when it came (monotonic ns) and what it holds, 8 kHz.

    Attributes:
        timestamp: RFC 3550 section 5.1, in samples.
        loud: it holds more than the noise of a codec.
        payload: as it came.
    """

    arrived_ns: int
    sequence: int
    timestamp: int
    samples: npt.NDArray[np.int16]
    loud: bool
    payload: bytes = b""


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, on_packet: Callable[[bytes], None]) -> None:
        self._on_packet = on_packet

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._on_packet(data)


class RtpCaller:
    """One call to ``port`` on loopback; sends silence unless told what to say.

    Args:
        user: of its From.
        host: where its SIP comes from, another address of loopback for another trunk.
        ptime_ms: of the packets that it asks for; its own have 20.

    Attributes:
        heard: every RTP packet that came.
        sent: RTP packets sent.
        spoken_ns: when each packet of queued speech was sent (monotonic).
        status: the INVITE's final status; ``final``: that response as it came.
        answered_ns: when that came (monotonic).
        port: of the gateway.
        ended: the gateway sent BYE. It is answered unless ``answers_bye`` is False.
        bye: that BYE as it came.
        max_forwards: of its requests.
        refers: REFERs as they came; ``on_refer`` takes each, and has to answer it.
    """

    def __init__(
        self, port: int, *, user: str = "test", host: str = "127.0.0.1", ptime_ms: int = 20
    ) -> None:
        self.port = port
        self._ptime_ms = ptime_ms
        self._user = user
        self._host = host
        self.heard: list[Heard] = []
        self.sent = 0
        self.spoken_ns: list[int] = []
        self.status = 0
        self.final = ""
        self.answered_ns = 0
        self.ended = asyncio.Event()
        self.bye = ""
        self.answers_bye = True
        self.max_forwards = 70
        self.refers: list[str] = []
        self.on_refer: Callable[[str], None] = lambda refer: self.respond(refer, "603 Decline")
        self._number = next(_numbers)
        self._branch = 0
        self._sequence = 1
        self._to_tag = ""
        self._target = ""
        self._routes: list[str] = []
        self._answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._ringing = asyncio.Event()
        self._bye_taken = asyncio.Event()
        self._changed = asyncio.Event()
        self._speech: list[bytes] = []
        self._keys: list[Due] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def call_id(self) -> str:
        """The Call-ID of the INVITE and all that follows."""
        return f"rtp-caller-{self._number}-{self._sip_port}@127.0.0.1"

    @property
    def said_until_ns(self) -> int:
        """When the last packet of queued speech was sent, monotonic; 0 for none."""
        return self.spoken_ns[-1] if self.spoken_ns else 0

    async def __aenter__(self) -> "RtpCaller":
        loop = asyncio.get_running_loop()
        self._sip, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._on_sip), local_addr=(self._host, 0)
        )
        self._rtp = _open_rtp_socket()
        loop.add_reader(self._rtp, self._read_rtp)
        self._sip_port = self._sip.get_extra_info("sockname")[1]
        self._rtp_port = self._rtp.getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.status == 200 and not self.ended.is_set() and not self._bye_taken.is_set():
            self._send_request("BYE")
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        self._sip.close()
        asyncio.get_running_loop().remove_reader(self._rtp)
        self._rtp.close()

    async def call(
        self, called: str = "support", timeout_s: float = PATIENCE_S, *, more: str = _ALLOW
    ) -> int:
        """Send an INVITE, with more header lines; return its final status.

        RTP flows from a 200 on.
        """
        self.invite(called, more)
        return await self.answered(timeout_s)

    def invite(self, called: str = "support", more: str = _ALLOW) -> None:
        """Send an INVITE and wait for nothing."""
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self._rtp_port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na=ptime:{self._ptime_ms}\r\na=sendrecv\r\n"
        )
        self._uri = self._target = f"sip:{called}@127.0.0.1:{self.port}"
        self._send_request("INVITE", sdp, more=more)

    async def ringing(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait for 180 Ringing."""
        await asyncio.wait_for(self._ringing.wait(), timeout_s)

    async def answered(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the INVITE's final status; return it."""
        return await asyncio.wait_for(asyncio.shield(self._answered), timeout_s)

    def cancel(self) -> None:
        """Take the INVITE back (RFC 3261 section 9.1)."""
        self._send_request("CANCEL")

    async def hang_up(self, timeout_s: float = PATIENCE_S) -> None:
        """Send BYE and wait for its 200."""
        self.send_bye()
        await asyncio.wait_for(self._bye_taken.wait(), timeout_s)

    def send_bye(self) -> None:
        """Send BYE and wait for nothing."""
        self._send_request("BYE")

    def header(self, name: str) -> str:
        """Return a header of the INVITE's final response, "" if it has none such."""
        return header(self.final, name)

    def respond(self, request: str, status: str) -> None:
        """Answer a request of the gateway's, as in ``202 Accepted``."""
        kept = ("Via", "From", "To", "Call-ID", "CSeq")
        fields = [f"{name}: {value}" for name in kept for value in headers(request, name)]
        lines = [f"SIP/2.0 {status}", *fields]
        lines.append(f"Contact: <sip:test@{self._host}:{self._sip_port}>")
        reply = "\r\n".join([*lines, "Content-Length: 0", "", ""])
        self._sip.sendto(reply.encode(), ("127.0.0.1", self.port))

    def notify(self, status: str, *, over: bool) -> None:
        """Tell how our own call to a REFER's target goes (RFC 3515 section 2.4.5).

        Args:
            status: of that call, as in ``180 Ringing``.
            over: and the subscription ends.
        """
        state = "terminated;reason=noresource" if over else "active;expires=60"
        self._send_request(
            "NOTIFY",
            f"SIP/2.0 {status}\r\n",
            "message/sipfrag;version=2.0",
            f"Event: refer\r\nSubscription-State: {state}",
        )

    def speak(self, samples: npt.NDArray[np.int16]) -> None:
        """Queue 8 kHz speech after what is being said."""
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
        for frame in padded.reshape(-1, FRAME_SAMPLES):
            self._speech.append(g711.encode(g711.Law.PCMU, frame))

    def press(self, digits: str) -> None:
        """Press keys now (RFC 4733); what is being said waits meanwhile."""
        pause = Due(0, g711.encode(g711.Law.PCMU, np.zeros(FRAME_SAMPLES, dtype=np.int16)))
        for digit in digits:
            self._keys += [*key_press(digit), pause]

    def press_by_info(self, digits: str) -> None:
        """Press keys by SIP INFO."""
        for digit in digits:
            body = f"Signal={digit}\r\nDuration=160\r\n"
            self._send_request("INFO", body, "application/dtmf-relay")

    @property
    def speaking(self) -> bool:
        """Whether something is left to say."""
        return bool(self._speech)

    async def until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Wait for something that an arriving packet makes true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _send_request(
        self,
        method: str,
        body: str = "",
        content_type: str = "application/sdp",
        more: str = _ALLOW,
    ) -> None:
        # An ACK to a refusal, and a CANCEL, are of the INVITE's transaction (RFC 3261 sections 9.1
        # and 17.1.1.3); an ACK to a 200 is of none, and any branch will do.
        self._branch += method not in {"ACK", "CANCEL"}
        self._sequence += method not in {"INVITE", "ACK", "CANCEL"}
        sequence = 1 if method in {"ACK", "CANCEL"} else self._sequence
        tag = f";tag={self._to_tag}" if self._to_tag else ""
        lines = [
            f"{method} {self._target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._host}:{self._sip_port};"
            f"branch=z9hG4bK-{self._number}-{self._branch}",
            f"From: <sip:{self._user}@{self._host}:{self._sip_port}>;tag=caller{self._number}",
            f"To: <{self._uri}>{tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:test@{self._host}:{self._sip_port}>",
            f"Max-Forwards: {self.max_forwards}",
            *(f"Route: {route}" for route in self._routes),
            more,
        ]
        if body:
            lines.append(f"Content-Type: {content_type}")
        lines.append(f"Content-Length: {len(body)}")
        message = "\r\n".join(lines) + "\r\n\r\n" + body
        self._sip.sendto(message.encode(), ("127.0.0.1", self.port))

    def _on_sip(self, data: bytes) -> None:
        text = data.decode()
        if text.startswith("SIP/2.0"):
            status = int(text.split(" ", 2)[1])
            if "INVITE" in header(text, "CSeq") and status >= 200:
                self._on_final(status, text)
            elif "INVITE" in header(text, "CSeq") and status == 180:
                self._ringing.set()
            elif "BYE" in header(text, "CSeq"):
                self._bye_taken.set()
        elif text.startswith("BYE"):
            self.bye = text
            self.ended.set()
            self._changed.set()
            if self.answers_bye:
                self.respond(text, "200 OK")
        elif text.startswith("REFER"):
            self.refers.append(text)
            self._changed.set()
            self.on_refer(text)

    def _on_final(self, status: int, text: str) -> None:
        tag = re.search(r"tag=([^;\s]+)", header(text, "To"))
        self._to_tag = tag.group(1) if tag else ""
        if status == 200:  # the dialog's own way, past proxies (RFC 3261 section 12.1.2)
            self._target = header(text, "Contact").strip("<>").split(">")[0]
            self._routes = headers(text, "Record-Route")[::-1]
        self._send_request("ACK")
        if self._answered.done():
            return
        self.status, self.final, self.answered_ns = status, text, time.monotonic_ns()
        if status == 200:
            media = re.search(r"m=audio (\d+)", text)
            assert media is not None
            self._sending = asyncio.create_task(self._keep_sending(int(media.group(1))))
        self._answered.set_result(status)

    def _read_rtp(self) -> None:
        try:
            data, notes, _, _ = self._rtp.recvmsg(2048, 64)
        except OSError:  # nothing there after all, or the other side's port is closed
            return
        _, kind, sequence, timestamp, _ = _RTP_HEADER.unpack_from(data)
        if kind & 0x7F == 0:
            samples = g711.decode(g711.Law.PCMU, data[_RTP_HEADER.size :])
            loud = int(np.abs(samples).max()) > 500
            arrived_ns, payload = _arrival_ns(notes), data[_RTP_HEADER.size :]
            self.heard.append(Heard(arrived_ns, sequence, timestamp, samples, loud, payload))
            self._changed.set()

    async def _keep_sending(self, port: int) -> None:
        silence = g711.encode(g711.Law.PCMU, np.zeros(FRAME_SAMPLES, dtype=np.int16))
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number in count():
            due = self._due(silence)
            timestamp = number * FRAME_SAMPLES - due.age_samples
            kind = due.payload_type | due.marker << 7
            header = _RTP_HEADER.pack(
                0x80, kind, number & 0xFFFF, timestamp & 0xFFFFFFFF, self._number
            )
            self._rtp.sendto(header + due.payload, ("127.0.0.1", port))
            self.sent += 1
            await asyncio.sleep(max(0.0, start_s + (number + 1) * 0.02 - loop.time()))

    def _due(self, silence: bytes) -> Due:
        """Return what the next 20 ms carry."""
        if self._keys:
            return self._keys.pop(0)
        if not self._speech:
            return Due(0, silence)
        self.spoken_ns.append(time.monotonic_ns())
        return Due(0, self._speech.pop(0))


def _open_rtp_socket() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    if sys.platform == "linux":
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.bind(("127.0.0.1", 0))
    return opened


def _arrival_ns(notes: list[tuple[int, int, bytes]]) -> int:
    """Return the kernel's stamp on the monotonic clock; where there is none, now."""
    now_ns = time.monotonic_ns()
    for level, kind, content in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, ns = map(int, _TIMESPEC.unpack_from(content))
            return now_ns - (time.time_ns() - (seconds * 1_000_000_000 + ns))
    return now_ns


def header(message: str, name: str) -> str:
    """Return a header of a SIP message, "" if it has none such."""
    return next(iter(headers(message, name)), "")


def headers(message: str, name: str) -> list[str]:
    """Return a header of a SIP message, each time that it stands there."""
    lines = message.partition("\r\n\r\n")[0].split("\r\n")
    wanted = name.lower() + ":"
    return [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith(wanted)]
