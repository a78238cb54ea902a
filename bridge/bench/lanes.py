"""RTP of many calls on few sockets ("lanes"): quiet rooms, speech, keys, and the agent's audio.

Every call of a lane names the same port in its SDP, and what comes is sorted by where it comes
from. A lane's calls send together, once in 20 ms.
"""

import struct
from collections import deque

import numpy as np
import numpy.typing as npt

from bridge.audio import g711
from bridge.bench.datagrams import Arrivals, Datagrams
from bridge.bench.hearing import RtpHearing
from bridge.bench.wires import SRTP_TAG_BYTES, SrtpStream

MOST_CALLS = 1024
FRAME_SAMPLES = 160
_NOISE_LEVEL = 60.0
"""About -55 dBFS: a quiet room, so that nothing takes it for speech."""

_PACKET = np.dtype(
    [
        *(("first", "u1"), ("kind", "u1"), ("sequence", ">u2"), ("timestamp", ">u4")),
        *(("ssrc", ">u4"), ("audio", "u1", FRAME_SAMPLES)),
    ]
)
"""RTP (RFC 3550 section 5.1) with 20 ms of PCMU."""

_KEY_PACKET = struct.Struct("!BBHII BBH")
"""RTP with a telephone-event (RFC 4733 section 2.3)."""

_KEYS = "0123456789*#"
_KEY_TYPE, _MARKED = 101, 0x80
_KEY_FRAMES = 5
_KEY_VOLUME = 10
_KEY_ENDS, _KEY_END_BIT = 3, 0x80

Frames = npt.NDArray[np.uint8]


class Lane:
    """An RTP socket that many calls share.

    Args:
        secure: the calls have keys of SRTP.
    """

    def __init__(self, *, secure: bool = False) -> None:
        size = _PACKET.itemsize
        self.wire = Datagrams(size + SRTP_TAG_BYTES * secure, MOST_CALLS)
        self.due_ns = 0
        # What is sealed is laid beside what is sent; else it is laid there at once.
        self._plain = np.zeros((MOST_CALLS, size), dtype=np.uint8) if secure else self.wire.out
        self._packets = self._plain.view(_PACKET)[:, 0]
        self._srtp: dict[int, SrtpStream] = {}
        self._packets["first"] = 0x80
        self._packets["ssrc"] = np.arange(MOST_CALLS) + 1
        self._quiet = _quiet_room()
        self._packets["audio"] = self._quiet
        self._slots: npt.NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._slot_of_port = np.full(1 << 16, -1, dtype=np.int64)
        self._ports: dict[int, int] = {}
        self._speech: dict[int, deque[Frames]] = {}
        self._keys: dict[int, deque[str]] = {}
        self._key_frames: dict[int, int] = {}

    def add(self, slot: int, port: int, keys: tuple[str, str] = ("", "")) -> None:
        """Begin a call's stream, or send it elsewhere from now on.

        Args:
            slot: the call's; port: where the far end awaits its RTP.
            keys: of SRTP, ours and the far end's; empty for plain RTP.
        """
        stream = self._srtp.get(slot)
        if all(keys) and (stream is None or stream.keys != keys):
            self._srtp[slot] = SrtpStream(*keys)
        old = self._ports.get(slot)
        if old is None:
            self._packets["sequence"][slot] = 0
            self._packets["timestamp"][slot] = 0
        else:
            self._slot_of_port[old] = -1
        self._ports[slot] = port
        self._slot_of_port[port] = slot
        self.wire.aim(slot, port)
        self._slots = np.array(sorted(self._ports), dtype=np.intp)

    def remove(self, slot: int) -> None:
        """End a call's stream."""
        port = self._ports.pop(slot, None)
        if port is not None:
            self._slot_of_port[port] = -1
            self._slots = np.array(sorted(self._ports), dtype=np.intp)
        for kept in (self._speech, self._keys, self._key_frames, self._srtp):
            kept.pop(slot, None)
        self._packets["audio"][slot] = self._quiet

    def say(self, slot: int, frames: Frames) -> None:
        """Speak ``frames``, shape (n, 160), mu-law, after what is being said."""
        self._speech.setdefault(slot, deque()).extend(frames)

    def press(self, slot: int, key: str) -> None:
        """Press a key (``0-9 * #``) for 100 ms, after those that are being pressed."""
        self._keys.setdefault(slot, deque()).append(key)

    def is_busy(self, slot: int) -> bool:
        """Return whether something is left to say or to press."""
        return slot in self._speech or slot in self._keys

    def send(self) -> None:
        """Send 20 ms of every call."""
        if not len(self._slots):
            return
        self._lay_speech()
        slots = self._slots
        if self._keys:
            slots = slots[[slot not in self._keys for slot in slots.tolist()]]
        for slot in self._srtp and slots.tolist():
            sealed = self._srtp[slot].protect(self._plain[slot].tobytes())
            self.wire.out[slot] = np.frombuffer(sealed, dtype=np.uint8)
        self.wire.send(slots)
        packets = self._packets
        packets["sequence"][slots] += np.uint16(1)
        for slot in list(self._keys):
            self._send_key(slot)
        packets["timestamp"][self._slots] += np.uint32(FRAME_SAMPLES)

    def listen(self, hearing: RtpHearing) -> None:
        """Take all that has come."""
        while True:
            came = self.wire.receive()
            if not len(came.lengths):
                return
            slots = self._slot_of_port[came.ports]
            lengths = self._open(slots, came) if self._srtp else came.lengths
            packets = came.data[:, : _PACKET.itemsize].view(_PACKET)[:, 0]
            ours = (slots >= 0) & (lengths == _PACKET.itemsize) & (packets["kind"] & 0x7F == 0)
            good = packets[ours]
            hearing.take(
                slots[ours],
                good["sequence"].astype(np.int64),
                good["timestamp"].astype(np.int64),
                came.stamps_ns[ours],
                good["audio"],
            )

    def _open(self, slots: npt.NDArray[np.int64], came: Arrivals) -> npt.NDArray[np.int64]:
        """Lay each packet in place of the sealed one that came; return the lengths."""
        lengths = came.lengths.copy()
        for row, (slot, length) in enumerate(zip(slots.tolist(), lengths.tolist(), strict=True)):
            if slot in self._srtp:
                opened = self._srtp[slot].unprotect(came.data[row, :length].tobytes())
                came.data[row, : len(opened)] = np.frombuffer(opened, dtype=np.uint8)
                lengths[row] = len(opened)
        return lengths

    def _lay_speech(self) -> None:
        for slot, frames in list(self._speech.items()):
            if slot in self._keys:
                continue
            if frames:
                self._packets["audio"][slot] = frames.popleft()
            else:
                del self._speech[slot]
                self._packets["audio"][slot] = self._quiet

    def _send_key(self, slot: int) -> None:
        """Send 20 ms of a key; its packets carry the time of its beginning."""
        packet, sent = self._packets[slot], self._key_frames.get(slot, 0)
        over = sent == _KEY_FRAMES
        if over:
            del self._key_frames[slot]
        else:
            self._key_frames[slot] = sent + 1
        for _ in range(_KEY_ENDS if over else 1):
            data = _KEY_PACKET.pack(
                *(0x80, _KEY_TYPE | (0 if sent else _MARKED), int(packet["sequence"])),
                (int(packet["timestamp"]) - sent * FRAME_SAMPLES) % (1 << 32),
                *(int(packet["ssrc"]), _KEYS.index(self._keys[slot][0])),
                _KEY_VOLUME | (_KEY_END_BIT if over else 0),
                max(sent, 1) * FRAME_SAMPLES,
            )
            stream = self._srtp.get(slot)
            self.wire.send_one(stream.protect(data) if stream else data, self._ports[slot])
            self._packets["sequence"][slot] += np.uint16(1)
        if over:
            self._keys[slot].popleft()
            if not self._keys[slot]:
                del self._keys[slot]


def frames_of(samples: npt.NDArray[np.int16]) -> Frames:
    """Return (n,) samples at 8 kHz as packets, (n, 160) mu-law; silence fills the last one."""
    padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
    encoded = g711.encode(g711.Law.PCMU, padded)
    return np.frombuffer(encoded, dtype=np.uint8).reshape(-1, FRAME_SAMPLES)


def _quiet_room() -> Frames:
    noise = np.random.default_rng(1).normal(0.0, _NOISE_LEVEL, FRAME_SAMPLES)
    quiet: Frames = frames_of(noise.astype(np.int16))[0]
    return quiet
