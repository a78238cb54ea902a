"""The interruption ledger: what PJSIP took, and of which part."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.audio.ledger import (
    REMEMBERED_PARTS,
    PlayedItem,
    PlayoutDrained,
    PlayoutLedger,
    PlayoutStarted,
)
from bridge.realtime.ids import ItemId
from tests.engine.calls import A1, A2

SECOND = 8_000


def playing(seconds: int = 2) -> PlayoutLedger:
    """A1 written at 1000, all of it ahead of the read position."""
    ledger = PlayoutLedger()
    ledger.queue(A1, 0, seconds * SECOND)
    ledger.append(A1, 0, 1_000, seconds * SECOND)
    return ledger


def resumed(ledger: PlayoutLedger, item_id: ItemId, content_index: int) -> PlayedItem:
    """What was heard of a part, by 10 ms more of it that are cut before their first sample."""
    ledger.queue(item_id, content_index, 80)
    (part,) = ledger.flush(0)
    return part


def test_advance_before_the_first_sample_reports_nothing() -> None:
    assert playing().advance(1_000) == []


def test_advance_over_the_first_sample_reports_started_once() -> None:
    ledger = playing()
    assert ledger.advance(1_001) == [PlayoutStarted(A1, 0)]
    assert ledger.advance(1_002) == []


def test_advance_over_everything_reports_drained_once() -> None:
    ledger = playing()
    assert ledger.advance(1_000 + 2 * SECOND) == [PlayoutStarted(A1, 0), PlayoutDrained()]
    assert ledger.advance(20 * SECOND) == []
    assert not ledger.pending


def test_advance_with_audio_still_queued_is_not_drained() -> None:
    ledger = playing()
    ledger.queue(A1, 0, 160)
    assert ledger.advance(20 * SECOND) == [PlayoutStarted(A1, 0)]
    ledger.append(A1, 0, 20 * SECOND, 160)
    assert ledger.advance(20 * SECOND + 160) == [PlayoutDrained()]


def test_rest_of_less_than_a_sample_does_not_hold_drained_up() -> None:
    ledger = PlayoutLedger()
    ledger.queue(A1, 0, 100 + 2 / 3)
    ledger.append(A1, 0, 0, 100)
    assert ledger.advance(100) == [PlayoutStarted(A1, 0), PlayoutDrained()]


def test_part_that_resumes_after_drained_starts_anew_and_keeps_its_sum() -> None:
    ledger = playing()
    ledger.advance(1_000 + 2 * SECOND)
    ledger.queue(A1, 0, SECOND)
    ledger.append(A1, 0, 5 * SECOND, SECOND)
    assert ledger.advance(5 * SECOND + 800) == [PlayoutStarted(A1, 0)]
    assert ledger.flush(5 * SECOND + 1_600) == (PlayedItem(A1, 0, 2_200, 3_000),)


def test_flush_gives_what_was_taken_of_the_cut_part() -> None:
    ledger = playing()
    ledger.advance(1_000 + 3_999)
    assert ledger.flush(1_000 + 4_007) == (PlayedItem(A1, 0, 500, 2_000),)
    assert ledger.heard_ms(A1) == 500


def test_flush_twice_gives_nothing_more() -> None:
    ledger = playing()
    ledger.flush(5_000)
    assert ledger.flush(5_000) == ()
    assert ledger.advance(20 * SECOND) == []


def test_flush_leaves_out_a_part_that_was_wholly_heard() -> None:
    ledger = playing(1)
    ledger.queue(A2, 0, SECOND)
    ledger.append(A2, 0, 1_000 + SECOND, SECOND)
    assert ledger.flush(1_000 + SECOND + 80) == (PlayedItem(A2, 0, 10, 1_000),)


def test_flush_includes_parts_not_written_yet() -> None:
    ledger = playing()
    ledger.queue(A2, 0, SECOND)
    assert ledger.flush(1_000 + 80) == (PlayedItem(A1, 0, 10, 2_000), PlayedItem(A2, 0, 0, 1_000))


def test_flush_keeps_content_parts_of_one_item_apart() -> None:
    ledger = playing(1)
    ledger.append(A1, 1, 1_000 + SECOND, SECOND)
    assert ledger.flush(1_000 + SECOND + 8) == (PlayedItem(A1, 1, 1, 1_000),)
    assert ledger.heard_ms(A1, 0) == 1_000
    assert ledger.heard_ms(A1, 1) == 1
    assert ledger.heard_ms(A1) == 1_001
    assert resumed(ledger, A1, 0) == PlayedItem(A1, 0, 1_000, 1_010)
    assert resumed(ledger, A1, 1) == PlayedItem(A1, 1, 1, 11)


def test_gap_inside_an_item_is_not_heard() -> None:
    ledger = PlayoutLedger()
    ledger.queue(A1, 0, 2 * SECOND)
    ledger.append(A1, 0, 0, SECOND)
    ledger.advance(3 * SECOND)
    ledger.append(A1, 0, 3 * SECOND, SECOND)
    assert ledger.flush(3 * SECOND + 800) == (PlayedItem(A1, 0, 1_100, 2_000),)


def test_audio_written_behind_the_read_position_is_not_heard() -> None:
    ledger = playing()
    ledger.advance(30 * SECOND)
    ledger.append(A2, 0, 30 * SECOND - 800, 1_600)
    assert ledger.flush(30 * SECOND + 80) == (PlayedItem(A2, 0, 10, 200),)


def test_milliseconds_are_rounded_down() -> None:
    ledger = playing()
    assert ledger.flush(1_000 + 15) == (PlayedItem(A1, 0, 1, 2_000),)


def test_heard_ms_of_an_unknown_item_is_zero() -> None:
    assert playing().heard_ms(A2) == 0


def test_memory_is_bounded() -> None:
    ledger = PlayoutLedger()
    position = 0
    for number in range(3 * REMEMBERED_PARTS):
        ledger.append(ItemId(f"item_{number}"), 0, position, 80)
        position += 80
        ledger.advance(position)
    forgotten, kept = ItemId("item_0"), ItemId(f"item_{2 * REMEMBERED_PARTS}")
    assert (ledger.heard_ms(forgotten), ledger.heard_ms(kept)) == (0, 10)
    assert resumed(ledger, forgotten, 0) == PlayedItem(forgotten, 0, 0, 10)
    assert resumed(ledger, kept, 0) == PlayedItem(kept, 0, 10, 20)


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from([A1, A2]), st.integers(1, 400), st.integers(0, 400)), max_size=12
    ),
    reads=st.lists(st.integers(0, 900), max_size=12),
)
def test_heard_equals_the_samples_of_the_item_in_the_ring(
    pieces: list[tuple[ItemId, int, int]], reads: list[int]
) -> None:
    """Against a ring that says for each position whose sample lies there."""
    ledger, ring, position = PlayoutLedger(), dict[int, ItemId](), 0
    for item_id, count, gap in pieces:
        ledger.append(item_id, 0, position, count)
        ring.update(dict.fromkeys(range(position, position + count), item_id))
        position += count + gap
    read = 0
    for step in reads:
        read += step
        ledger.advance(read)
    cut = {part.item_id: part for part in ledger.flush(read)}
    for item_id in (A1, A2):
        owned = [at for at, owner in ring.items() if owner == item_id]
        heard = sum(at < read for at in owned)
        assert ledger.heard_ms(item_id) == heard // 8
        assert (item_id in cut) == (heard < len(owned))
        if item_id in cut:
            assert cut[item_id].played_ms == heard // 8
            assert cut[item_id].queued_ms == len(owned) // 8


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([A1, A2]), st.integers(0, 400), st.integers(0, 300), st.integers(0, 400)
        ),
        max_size=14,
    )
)
def test_nothing_is_missed_by_looking_only_when_something_is_due(
    steps: list[tuple[ItemId, int, int, int]],
) -> None:
    """Against a ledger that is advanced at every step; audio is queued, and laid a while later."""
    always, lazy = PlayoutLedger(), PlayoutLedger()
    written = read = 0
    for item_id, count, held_back, played in steps:
        written = max(written, read)
        for ledger in (always, lazy):
            ledger.queue(item_id, 0, count + held_back)
            ledger.append(item_id, 0, written, count)
        written += count
        read += played
        told = always.advance(read)
        assert told == (lazy.advance(read) if read >= lazy.quiet_until else [])
    assert always.flush(read) == lazy.flush(read)
