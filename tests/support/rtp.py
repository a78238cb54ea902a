"""RTP by hand (RFC 3550, RFC 3551, RFC 4733): one UDP port that speaks, listens and presses keys.

Sends a packet every 20 ms from :meth:`RtpPeer.stream` on, silence where nothing was given to it.
Samples are int16 at 8 kHz, with G.722 (payload type 9) at 16 kHz: its coder is sippy/libg722.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
from G722 import G722

from bridge.audio import g711

FRAME_SAMPLES = 160
TELEPHONE_EVENT = 101
"""The dynamic payload type that our offers give to telephone-event."""

_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
_EVENTS = "0123456789*#ABCD"
_EVENT_UPDATES, _EVENT_ENDS = 4, 3
"""80 ms of a key; the packet that ends it is sent three times (RFC 4733 section 2.5.1.4)."""

_LAWS = {0: g711.Law.PCMU, 8: g711.Law.PCMA}
G722_TYPE = 9
"""RFC 3551 section 6; its timestamps count 8 kHz samples all the same (section 4.5.2)."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet without extensions."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    def encode(self) -> bytes:
        kind = self.payload_type | self.marker << 7
        head = _HEADER.pack(
            0x80, kind, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc
        )
        return head + self.payload

    @classmethod
    def decode(cls, data: bytes) -> "Packet":
        _, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        payload = data[_HEADER.size :]
        return cls(kind & 0x7F, bool(kind & 0x80), sequence, timestamp, ssrc, payload)


@dataclass(frozen=True, slots=True)
class Due:
    """What one 20 ms slot carries; ``age_samples`` is how long ago its event began."""

    payload_type: int
    payload: bytes
    marker: bool = False
    age_samples: int = 0


def key_press(digit: str, event_type: int = TELEPHONE_EVENT) -> Iterator[Due]:
    """Yield the slots of one key as a telephone-event."""
    event = _EVENTS.index(digit)
    for number in range(_EVENT_UPDATES + _EVENT_ENDS):
        end = number >= _EVENT_UPDATES
        duration = min(number + 1, _EVENT_UPDATES) * FRAME_SAMPLES
        payload = _EVENT.pack(event, end << 7 | 10, duration)
        yield Due(event_type, payload, number == 0, number * FRAME_SAMPLES)


def _coder() -> G722:
    return G722(16_000, 64_000)


class RtpPeer(asyncio.DatagramProtocol):
    """A port on loopback; open it with ``async with``.

    Attributes:
        payload_type: of the audio that is sent, 0 (PCMU), 8 (PCMA) or 9 (G.722); may change at any
            time.
        event_type: of the keys that are sent: what the far end's description says.
        packets: all that came in.
        repeats: what is said is said over and over.
        ptime_ms: audio in a packet, as long as the time between two; to be set before `stream`.
        clock_hz: that timestamps count by.
    """

    def __init__(self, payload_type: int = 0, host: str = "127.0.0.1") -> None:
        self.payload_type = payload_type
        self.ptime_ms, self.clock_hz = 20, 8_000
        self.event_type = TELEPHONE_EVENT
        self.port = 0
        self.repeats = False
        self.packets: list[Packet] = []
        self._slots: deque[Due] = deque()
        self._transport: asyncio.DatagramTransport
        self._sending: asyncio.Task[None] | None = None
        self._wide = _coder()
        self._host = host
        self._to = (host, 0)

    async def __aenter__(self) -> "RtpPeer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(self._host, 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.packets.append(Packet.decode(data))

    def stream(self, port: int, host: str = "") -> None:
        """Send to ``port`` of one's own host, or another, from now on; again to send elsewhere."""
        self._to = (host or self._host, port)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="rtp-peer")

    def say(self, samples: npt.NDArray[np.int16]) -> None:
        """Queue audio, in the codec that is set now."""
        size = self.rate_hz * self.ptime_ms // 1000
        padded = np.pad(samples, (0, -len(samples) % size))
        for frame in padded.reshape(-1, size):
            if self.payload_type == G722_TYPE:
                payload = self._wide.encode(frame)
            else:
                payload = g711.encode(_LAWS[self.payload_type], frame)
            self._slots.append(Due(self.payload_type, payload))

    def say_payloads(self, *payloads: bytes) -> None:
        """Queue packets' payloads as they are, one each."""
        self._slots.extend(Due(self.payload_type, payload) for payload in payloads)

    @property
    def queued(self) -> int:
        """Packets that are still to be sent."""
        return len(self._slots)

    @property
    def rate_hz(self) -> int:
        """The rate of what is said and heard in the payload type that is set now."""
        return 16_000 if self.payload_type == G722_TYPE else 8_000

    def silence(self) -> None:
        """Say nothing of what is queued."""
        self._slots.clear()

    def press(self, digits: str) -> None:
        """Queue keys as telephone-events, with a frame of silence after each."""
        for digit in digits:
            self._slots.extend(key_press(digit, self.event_type))
            self.say(np.zeros(FRAME_SAMPLES, dtype=np.int16))

    def heard(self, payload_type: int, since: int = 0) -> npt.NDArray[np.int16]:
        """Return the audio of one codec, (n,) int16, from packet number ``since`` on."""
        audio = b"".join(p.payload for p in self.packets[since:] if p.payload_type == payload_type)
        if payload_type == G722_TYPE:
            return np.array(_coder().decode(audio), dtype=np.int16)
        return g711.decode(_LAWS[payload_type], audio)

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        silence = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        for number in count():
            if not self._slots:
                self.say(silence)
            due = self._slots.popleft()
            if self.repeats:
                self._slots.append(due)
            timestamp = number * self.clock_hz * self.ptime_ms // 1000 - due.age_samples
            packet = Packet(due.payload_type, due.marker, number, timestamp, self.port, due.payload)
            self._transport.sendto(packet.encode(), self._to)
            await asyncio.sleep(start_s + (number + 1) * self.ptime_ms / 1000 - loop.time())
