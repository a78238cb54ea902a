"""Playout: pieces in, frames out, and which item they belong to."""

import numpy as np
import pytest

from bridge.audio.ledger import PlayedItem
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import AudioFormat
from bridge.telephony.playout import Block, Playout

FIRST, SECOND = ItemId("item_1"), ItemId("item_2")
FRAME_SAMPLES = 160
BLOCK = FRAME_SAMPLES * 3


def queue(playout: Playout, first: int, count: int, item: ItemId = FIRST, part: int = 0) -> None:
    """Queue samples that count up from ``first``."""
    samples = np.arange(first, first + count, dtype="<i2")
    playout.queue(item, part, samples.tobytes(), now_ns=first)


def take(playout: Playout) -> Block:
    block = playout.take_block(FRAME_SAMPLES)
    assert block is not None
    return block


def test_nothing_queued_gives_no_block() -> None:
    playout = Playout()
    assert playout.take_block(FRAME_SAMPLES) is None
    playout.queue(FIRST, 0, b"", now_ns=0)
    assert playout.take_block(FRAME_SAMPLES) is None
    assert playout.waiting_ms == 0


def test_blocks_run_through_pieces_of_any_size() -> None:
    playout = Playout()
    for first, count in ((0, 100), (100, 500), (600, 360)):
        queue(playout, first, count)
    samples = np.frombuffer(take(playout).audio + take(playout).audio, dtype="<i2")
    np.testing.assert_array_equal(samples, np.arange(2 * BLOCK))
    assert playout.waiting_ms == 0


def test_the_end_is_filled_up_with_silence() -> None:
    playout = Playout()
    queue(playout, 1, 100)
    block = take(playout)
    assert playout.padded
    assert len(block.audio) == BLOCK * 2
    assert not any(block.audio[200:])
    queue(playout, 1, BLOCK)
    take(playout)
    assert not playout.padded


def test_a_block_says_whose_samples_lie_in_it() -> None:
    playout = Playout()
    queue(playout, 0, 150, FIRST, 0)
    queue(playout, 0, 90, FIRST, 1)
    queue(playout, 0, 400, SECOND, 0)
    assert take(playout).parts == ((FIRST, 0, 50), (FIRST, 1, 30), (SECOND, 0, 80))


def test_thirds_of_a_sample_do_not_add_up() -> None:
    """24 kHz counts that aren't multiples of three share 8 kHz samples; none is counted twice."""
    playout = Playout()
    for number in range(48):
        queue(playout, 0, 10, ItemId(f"item_{number}"))
    parts = take(playout).parts
    assert len(parts) == 48
    assert sum(count for *_, count in parts) == FRAME_SAMPLES


def test_at_16_khz_a_block_is_its_time_and_what_was_heard_is_counted_in_it() -> None:
    playout = Playout(16_000)
    playout.queue(FIRST, 0, bytes(2 * 24_000), 0)
    block = playout.take_block(320)
    assert block is not None
    assert len(block.audio) == 2 * 480
    assert block.parts == ((FIRST, 0, 320),)
    playout.laid(block, 0, 320)
    assert playout.flush(320) == (PlayedItem(FIRST, 0, 20, 1_000),)


def test_a_block_is_as_old_as_its_oldest_sample() -> None:
    playout = Playout()
    queue(playout, 10, BLOCK)
    queue(playout, 700, BLOCK)
    assert take(playout).queued_ns == 10
    queue(playout, 900, BLOCK)
    assert take(playout).queued_ns == 700


@pytest.mark.parametrize("queued", ["before", "meanwhile"])
def test_a_block_that_waited_through_a_pause_has_no_age(queued: str) -> None:
    playout = Playout()
    if queued == "before":
        queue(playout, 10, BLOCK)
    playout.paused = True
    if queued == "meanwhile":
        queue(playout, 10, BLOCK)
    playout.paused = False
    queue(playout, 20, BLOCK)
    assert take(playout).queued_ns is None
    assert take(playout).queued_ns == 20


def test_what_waits_continues_the_item_taken_last() -> None:
    playout = Playout()
    queue(playout, 0, BLOCK)
    assert not playout.continues_item()
    take(playout)
    assert not playout.continues_item()  # nothing waits
    queue(playout, 0, BLOCK)
    assert playout.continues_item()
    playout.paused = True
    assert not playout.continues_item()


def test_flush_forgets_what_waits_and_says_what_was_heard() -> None:
    playout = Playout()
    queue(playout, 0, BLOCK * 4)
    playout.laid(take(playout), 1600, FRAME_SAMPLES)
    playout.laid(take(playout), 1760, FRAME_SAMPLES)
    assert playout.written == 1920
    assert playout.flush(1760) == (PlayedItem(FIRST, 0, 20, 80),)
    assert playout.waiting_ms == 0
    assert playout.take_block(FRAME_SAMPLES) is None
    assert playout.written == 1760
    queue(playout, 0, BLOCK)
    assert not playout.continues_item()


def test_a_block_has_one_format_and_what_has_another_comes_behind() -> None:
    playout = Playout()
    queue(playout, 0, BLOCK + 24)  # a phrase of the bridge's: 21 ms
    playout.queue(SECOND, 0, bytes([0xD5]) * 400, now_ns=0, audio_format=AudioFormat.PCMA)
    assert playout.waiting_ms == 21
    assert playout.queued_ms == 71
    assert take(playout).audio_format is AudioFormat.PCM_24KHZ
    end = take(playout)
    assert (end.audio_format, end.parts) == (AudioFormat.PCM_24KHZ, ((FIRST, 0, 8),))
    assert playout.waiting_ms == 50
    answer = take(playout)
    assert (answer.audio_format, answer.audio) == (AudioFormat.PCMA, bytes([0xD5]) * 160)
    assert answer.parts == ((SECOND, 0, FRAME_SAMPLES),)
    assert playout.flush(0)[-1].queued_ms == 50
    assert playout.queued_ms == 0
