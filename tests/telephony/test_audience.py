"""A listener's queue, and the messages to and from a browser."""

import asyncio

import numpy as np
import pytest

from bridge.audio.rings import FRAME_SAMPLES
from bridge.audio.supervisor_frames import (
    TALK_BYTES,
    ListenFrame,
    TalkFrame,
    decode_talk,
    encode_listen,
)
from bridge.telephony.audience import Listener
from tests.support.supervisor_frames import decode_listen, encode_talk


def stereo(frames: int) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    return np.arange(frames * FRAME_SAMPLES * 2, dtype=np.int16).reshape(-1, 2)


async def test_frames_of_20_ms_come_numbered_and_timed() -> None:
    listener = Listener(1_500)
    listener.take(stereo(3))
    frames = [await listener.get() for _ in range(3)]
    assert [(each.sequence, each.at_ms) for each in frames if each] == [
        (0, 1_500),
        (1, 1_520),
        (2, 1_540),
    ]
    joined = np.concatenate([each.stereo for each in frames if each])
    assert np.array_equal(joined, stereo(3))


async def test_a_slow_listener_loses_the_oldest_and_can_tell() -> None:
    listener = Listener(0)
    for _ in range(70):
        listener.take(stereo(1))
    assert (listener.lost_frames, listener.queued_frames) == (20, 50)
    frame = await listener.get()
    assert frame is not None
    assert (frame.sequence, frame.at_ms) == (20, 400)


async def test_a_listener_waits_and_ends() -> None:
    listener = Listener(0)
    waiting = asyncio.create_task(listener.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    listener.take(stereo(1))
    assert await waiting is not None
    assert await listener.get(within_s=0.01) is None
    listener.close()
    assert await listener.get() is None


def test_messages_are_read_as_they_were_written() -> None:
    listen = ListenFrame(7, 2**32 + 5, stereo(1))
    read = decode_listen(encode_listen(listen))
    assert (read.sequence, read.at_ms) == (7, 5)
    assert np.array_equal(read.stereo, listen.stereo)
    assert encode_listen(listen)[:4] == b"\x07\x00\x00\x00"
    talk = TalkFrame(3, 60, bytes(range(240)) * 4)
    assert decode_talk(encode_talk(talk)) == talk


@pytest.mark.parametrize("size", [0, 7, 8, 9, 8 + TALK_BYTES - 2, 8 + 6 * TALK_BYTES, 1_000_000])
def test_what_is_no_talk_message_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        decode_talk(bytes(size))
