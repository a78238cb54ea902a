"""A caller on two UDP sockets: enough SIP to be answered, and RTP with every arrival stamped.

For tests that ask *when* something was heard: there is no jitter buffer between the wire and the
stamp. What SIP phones do is left to real ones (baresip, SIPp, our softphone).
"""

import asyncio
import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

from bridge.audio import g711

FRAME_SAMPLES = 160
_RTP_HEADER = struct.Struct("!BBHII")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Heard:
    """One RTP packet: when it came (monotonic ns) and what it holds, 8 kHz."""

    arrived_ns: int
    sequence: int
    samples: npt.NDArray[np.int16]

    @property
    def loud(self) -> bool:
        return int(np.abs(self.samples).max()) > 500


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, on_packet: Callable[[bytes], None]) -> None:
        self._on_packet = on_packet

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._on_packet(data)


class RtpCaller:
    """One call to ``port`` on loopback; sends silence unless told what to say."""

    def __init__(self, port: int) -> None:
        self.heard: list[Heard] = []
        self.status = 0
        self.ended = asyncio.Event()
        self._port = port
        self._number = next(_numbers)
        self._branch = 0
        self._to_tag = ""
        self._answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()
        self._speech: list[bytes] = []
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RtpCaller":
        loop = asyncio.get_running_loop()
        self._sip, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._on_sip), local_addr=("127.0.0.1", 0)
        )
        self._rtp, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._on_rtp), local_addr=("127.0.0.1", 0)
        )
        self._sip_port = self._sip.get_extra_info("sockname")[1]
        self._rtp_port = self._rtp.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.status == 200 and not self.ended.is_set():
            self._send_request("BYE", 2)
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        self._sip.close()
        self._rtp.close()

    async def call(self, called: str = "support", timeout_s: float = 10.0) -> int:
        """Send an INVITE; return its final status. RTP flows from a 200 on."""
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self._rtp_port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n"
        )
        self._called = called
        self._send_request("INVITE", 1, sdp)
        return await asyncio.wait_for(self._answered, timeout_s)

    def speak(self, samples: npt.NDArray[np.int16]) -> None:
        """Queue 8 kHz speech after what is being said."""
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
        for frame in padded.reshape(-1, FRAME_SAMPLES):
            self._speech.append(g711.encode(g711.Law.PCMU, frame))

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait for something that an arriving packet makes true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _send_request(self, method: str, sequence: int, body: str = "") -> None:
        self._branch += method != "ACK"
        target = f"sip:{self._called}@127.0.0.1:{self._port}"
        tag = f";tag={self._to_tag}" if self._to_tag else ""
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._sip_port};"
            f"branch=z9hG4bK-{self._number}-{self._branch}-{method}",
            f"From: <sip:test@127.0.0.1:{self._sip_port}>;tag=caller{self._number}",
            f"To: <{target}>{tag}",
            f"Call-ID: rtp-caller-{self._number}-{self._sip_port}@127.0.0.1",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:test@127.0.0.1:{self._sip_port}>",
            "Max-Forwards: 70",
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        message = "\r\n".join(lines) + "\r\n\r\n" + body
        self._sip.sendto(message.encode(), ("127.0.0.1", self._port))

    def _on_sip(self, data: bytes) -> None:
        text = data.decode()
        if text.startswith("SIP/2.0"):
            status = int(text.split(" ", 2)[1])
            if "INVITE" in _header(text, "CSeq") and status >= 200:
                self._on_final(status, text)
        elif text.startswith("BYE"):
            kept = ("Via", "From", "To", "Call-ID", "CSeq")
            lines = ["SIP/2.0 200 OK", *(f"{name}: {_header(text, name)}" for name in kept)]
            reply = "\r\n".join([*lines, "Content-Length: 0", "", ""])
            self._sip.sendto(reply.encode(), ("127.0.0.1", self._port))
            self.ended.set()
            self._changed.set()

    def _on_final(self, status: int, text: str) -> None:
        tag = re.search(r"tag=([^;\s]+)", _header(text, "To"))
        self._to_tag = tag.group(1) if tag else ""
        self._send_request("ACK", 1)
        if self._answered.done():
            return
        self.status = status
        if status == 200:
            media = re.search(r"m=audio (\d+)", text)
            assert media is not None
            self._sending = asyncio.create_task(self._keep_sending(int(media.group(1))))
        self._answered.set_result(status)

    def _on_rtp(self, data: bytes) -> None:
        _, kind, sequence, _, _ = _RTP_HEADER.unpack_from(data)
        if kind & 0x7F == 0:
            samples = g711.decode(g711.Law.PCMU, data[_RTP_HEADER.size :])
            self.heard.append(Heard(time.monotonic_ns(), sequence, samples))
            self._changed.set()

    async def _keep_sending(self, port: int) -> None:
        silence = g711.encode(g711.Law.PCMU, np.zeros(FRAME_SAMPLES, dtype=np.int16))
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for number in count():
            payload = self._speech.pop(0) if self._speech else silence
            header = _RTP_HEADER.pack(
                0x80, 0, number & 0xFFFF, number * FRAME_SAMPLES & 0xFFFFFFFF, self._number
            )
            self._rtp.sendto(header + payload, ("127.0.0.1", port))
            await asyncio.sleep(max(0.0, start_s + (number + 1) * 0.02 - loop.time()))


def _header(message: str, name: str) -> str:
    for line in message.split("\r\n"):
        if line.lower().startswith(name.lower() + ":"):
            return line.split(":", 1)[1].strip()
    return ""
