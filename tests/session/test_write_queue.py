"""What the write queue does when it is full, and at its end."""

import pytest

from bridge.session.write_queue import QueuedFrame, QueueFull, WriteQueue


async def drained(queue: WriteQueue) -> list[str | bytes]:
    queue.end()
    frames: list[str | bytes] = []
    while (frame := await queue.get()) is not None:
        frames.append(frame.text)
    return frames


async def test_get_keeps_the_order_of_audio_and_control() -> None:
    queue = WriteQueue(10)
    queue.put_audio("a1", 1)
    queue.put_control("c1")
    queue.put_audio("a2", 2)
    got = [await queue.get() for _ in range(3)]
    assert got == [QueuedFrame("a1", 1), QueuedFrame("c1"), QueuedFrame("a2", 2)]


async def test_put_audio_when_full_drops_the_oldest_audio() -> None:
    queue = WriteQueue(3)
    queue.put_control("c1")
    assert not queue.put_audio("a1", 1)
    assert not queue.put_audio("a2", 2)
    assert queue.put_audio("a3", 3)
    got = [await queue.get() for _ in range(3)]
    assert [frame.text for frame in got if frame] == ["c1", "a2", "a3"]


async def test_put_audio_when_full_of_control_drops_itself() -> None:
    queue = WriteQueue(2)
    queue.put_control("c1")
    queue.put_control("c2")
    assert queue.put_audio("a1", 1)
    assert await drained(queue) == ["c1", "c2"]


async def test_put_control_when_full_is_refused() -> None:
    queue = WriteQueue(2)
    queue.put_audio("a1", 1)
    queue.put_audio("a2", 2)
    with pytest.raises(QueueFull):
        queue.put_control("c1")
    assert len(queue) == 2


async def test_end_keeps_control_drops_audio() -> None:
    queue = WriteQueue(5)
    queue.put_audio("a1", 1)
    queue.put_control("c1")
    queue.put_audio("a2", 2)
    assert queue.end() == 2
    assert await drained(queue) == ["c1"]
    assert await queue.get() is None
