"""Callers' RTP on the wire: speech in place of the quiet room, and keys (RFC 4733)."""

import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from bridge.bench.lanes import FRAME_SAMPLES, Lane

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the callers need Linux")

SLOT = 3


@dataclass
class FarEnd:
    """A socket that takes what a lane sends."""

    lane: Lane
    ear: socket.socket

    def sent(self, frames: int) -> list[bytes]:
        """Have so many frames sent; return the packets."""
        for _ in range(frames):
            self.lane.send()
        packets = []
        while True:
            try:
                packets.append(self.ear.recv(2048))
            except BlockingIOError:
                return packets


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        lane = Lane()
        lane.add(SLOT, int(ear.getsockname()[1]))
        yield FarEnd(lane, ear)
        lane.wire.close()


def header(packet: bytes) -> tuple[int, bool, int, int]:
    """Return payload type, marker, sequence number and timestamp (RFC 3550 section 5.1)."""
    _, kind, sequence, timestamp = struct.unpack_from("!BBHI", packet)
    return kind & 0x7F, bool(kind & 0x80), sequence, timestamp


def test_speech_takes_the_place_of_the_quiet_room_frame_by_frame(far_end: FarEnd) -> None:
    (quiet,) = far_end.sent(1)
    said = np.arange(2 * FRAME_SAMPLES, dtype=np.uint8).reshape(2, FRAME_SAMPLES)
    far_end.lane.say(SLOT, said)
    assert far_end.lane.is_busy(SLOT)
    packets = far_end.sent(4)

    assert [each[12:] for each in packets[:2]] == [frame.tobytes() for frame in said]
    assert [each[12:] for each in packets[2:]] == [quiet[12:]] * 2
    assert not far_end.lane.is_busy(SLOT)
    assert [header(each)[2:] for each in packets] == [(n, n * FRAME_SAMPLES) for n in (1, 2, 3, 4)]


def test_key_is_one_event_with_three_ends_and_audio_goes_on_after_it(far_end: FarEnd) -> None:
    far_end.sent(1)
    far_end.lane.press(SLOT, "#")
    packets = far_end.sent(7)

    events, audio = packets[:8], packets[8:]
    assert [header(each)[0] for each in packets] == [101] * 8 + [0]
    assert [header(each)[1] for each in events] == [True] + [False] * 7
    assert {header(each)[3] for each in events} == {FRAME_SAMPLES}
    assert [header(each)[2] for each in packets] == list(range(1, 10))
    told = [struct.unpack("!BBH", each[12:]) for each in events]
    assert {event for event, _, _ in told} == {11}
    assert [bool(flags & 0x80) for _, flags, _ in told] == [False] * 5 + [True] * 3
    assert told[-1][2] == 5 * FRAME_SAMPLES
    assert header(audio[0])[3] == 7 * FRAME_SAMPLES
    assert not far_end.lane.is_busy(SLOT)
