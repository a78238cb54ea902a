"""Ring arithmetic: absolute positions, wraparound, rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bridge.audio.rings import (
    FRAME_SAMPLES,
    RESTING_ROWS,
    RingArena,
    RingsExhausted,
    clear,
    gather,
    scatter,
    write,
)
from bridge.errors import BridgeError, Outcome
from tests.audio.signals import noise


def read(ring: NDArray[np.int16], row: int, start: int, count: int) -> NDArray[np.int16]:
    (samples,) = gather(ring, np.array([row]), np.array([start]), count)
    return np.asarray(samples, dtype=np.int16)


def test_arena_is_one_contiguous_allocation_with_stable_rows() -> None:
    arena = RingArena(4, 320)
    for ring in (arena.rx, arena.tx):
        assert ring.shape == (4, 320)
        assert ring.dtype == np.int16
        assert ring.flags.c_contiguous
    assert arena.tx.ctypes.data - arena.rx.ctypes.data == 4 * 320 * 2
    row = arena.acquire()
    before = arena.rx[row].ctypes.data
    arena.release(row)
    arena.acquire()
    assert arena.rx[row].ctypes.data == before == arena.rx.ctypes.data + row * 640


def test_default_length_is_two_seconds() -> None:
    assert RingArena(1).length_samples == 16_000


@pytest.mark.parametrize(("rows", "length"), [(0, 160), (1, 0), (1, 100), (1, 161), (1, -160)])
def test_arena_of_a_wrong_size_is_refused(rows: int, length: int) -> None:
    with pytest.raises(ValueError, match=r"expected|at least"):
        RingArena(rows, length)


def test_acquired_row_is_silent_though_its_last_call_spoke() -> None:
    arena = RingArena(1, 160)
    row = arena.acquire()
    arena.rx[row] = 5
    arena.tx[row] = 6
    arena.release(row)
    row = arena.acquire()
    assert not arena.rx[row].any()
    assert not arena.tx[row].any()


def test_exhausted_arena_refuses_the_call_as_busy() -> None:
    arena = RingArena(2, 160)
    rows = {arena.acquire(), arena.acquire()}
    assert rows == {0, 1}
    assert arena.free_rows == 0
    with pytest.raises(RingsExhausted, match="all 2 audio rings") as caught:
        arena.acquire()
    assert isinstance(caught.value, BridgeError)
    assert caught.value.outcome is Outcome.REJECTED_BUSY
    arena.release(1)
    assert arena.acquire() == 1


@pytest.mark.parametrize("row", [0, 1, -1, 99])
def test_release_of_a_row_not_in_use_is_refused(row: int) -> None:
    arena = RingArena(2, 160)
    arena.release(arena.acquire())
    with pytest.raises(ValueError, match="not in use"):
        arena.release(row)


def test_released_row_rests_while_another_is_free() -> None:
    arena = RingArena(3, 160)
    arena.release(arena.acquire())
    assert arena.acquire() == 1


def test_calls_one_after_the_other_touch_few_rows() -> None:
    """A row that was ever used has memory, and ports in PJSIP."""
    arena = RingArena(100, 160)
    used = set()
    for _ in range(1000):
        row = arena.acquire()
        used.add(row)
        arena.release(row)
    assert len(used) == RESTING_ROWS + 1
    assert arena.free_rows == 100


def test_every_row_can_be_had() -> None:
    arena = RingArena(100, 160)
    for _ in range(20):
        arena.release(arena.acquire())
    assert {arena.acquire() for _ in range(100)} == set(range(100))


def test_history_before_the_first_sample_is_silence() -> None:
    arena = RingArena(1, 320)
    row = arena.acquire()
    write(arena.rx, row, 0, np.full(160, 7, dtype=np.int16))
    assert read(arena.rx, row, -32, 192).tolist() == [0] * 32 + [7] * 160


def test_write_across_the_end_wraps() -> None:
    arena = RingArena(1, 160)
    row = arena.acquire()
    write(arena.tx, row, 160 * 10**9 + 158, np.array([1, 2, 3, 4], dtype=np.int16))
    assert arena.tx[row, [158, 159, 0, 1]].tolist() == [1, 2, 3, 4]
    assert read(arena.tx, row, 160 * 10**9 + 158, 4).tolist() == [1, 2, 3, 4]


def test_rows_do_not_touch_each_other() -> None:
    arena = RingArena(3, 160)
    write(arena.tx, 1, 150, np.full(160, 9, dtype=np.int16))
    assert not arena.tx[[0, 2]].any()
    assert not arena.rx.any()
    clear(arena.tx, 1, 150, 160)
    assert not arena.tx.any()


def test_gather_takes_each_call_from_its_own_position() -> None:
    arena = RingArena(4, 320)
    arena.rx[:] = noise(4 * 320, seed=3).reshape(4, 320)
    starts = np.array([5, 319, -2], dtype=np.int64)
    rows = np.array([3, 0, 3], dtype=np.int64)
    gathered = gather(arena.rx, rows, starts, 100)
    for call, (row, start) in enumerate(zip(rows, starts, strict=True)):
        expected = [int(arena.rx[row, (start + k) % 320]) for k in range(100)]
        assert gathered[call].tolist() == expected
    assert not np.shares_memory(gathered, arena.rx)


def test_gather_for_no_calls_is_empty() -> None:
    arena = RingArena(1, 160)
    none = np.array([], dtype=np.int64)
    assert gather(arena.rx, none, none, 20).shape == (0, 20)


@pytest.mark.parametrize("count", [-1, 161])
def test_more_samples_than_the_ring_holds_are_refused(count: int) -> None:
    arena = RingArena(1, 160)
    with pytest.raises(ValueError, match="in a ring of 160"):
        read(arena.rx, 0, 0, count)
    with pytest.raises(ValueError, match="in a ring of 160"):
        clear(arena.rx, 0, 0, count)


@pytest.mark.parametrize(
    "samples", [np.zeros(161, np.int16), np.zeros((1, 4), np.int16), np.zeros(4, np.int32)]
)
def test_write_of_unfit_samples_is_refused(samples: NDArray[np.int16]) -> None:
    with pytest.raises(ValueError, match=r"in a ring of|expected"):
        write(RingArena(1, 160).rx, 0, 0, samples)


POSITIONS = st.integers(-1000, 2**62)
COUNTS = st.integers(0, 320)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), POSITIONS, COUNTS), max_size=8), POSITIONS, COUNTS)
def test_ring_agrees_with_an_array_indexed_sample_by_sample(
    steps: list[tuple[bool, int, int]], start: int, count: int
) -> None:
    arena = RingArena(2, 320)
    model = [0] * 320
    for seed, (is_write, at, size) in enumerate(steps):
        samples = noise(size, seed) if is_write else np.zeros(size, np.int16)
        if is_write:
            write(arena.tx, 1, at, samples)
        else:
            clear(arena.tx, 1, at, size)
        for k in range(size):
            model[(at + k) % 320] = int(samples[k])
    assert arena.tx[1].tolist() == model
    assert read(arena.tx, 1, start, count).tolist() == [
        model[(start + k) % 320] for k in range(count)
    ]


# Whole frames take a way of their own: it must copy what single samples would.


def sample_by_sample(
    ring: NDArray[np.int16], rows: NDArray[np.int64], starts: NDArray[np.int64], count: int
) -> NDArray[np.int16]:
    length = ring.shape[1]
    return np.array(
        [
            [ring[row, (start + n) % length] for n in range(count)]
            for row, start in zip(rows.tolist(), starts.tolist(), strict=True)
        ],
        dtype=np.int16,
    ).reshape(rows.size, count)


@pytest.mark.parametrize("spread", [0, FRAME_SAMPLES, 1, 77])
@pytest.mark.parametrize("start", [-32, 0, 128, 640, 799, 160 * 50 + 5])
@pytest.mark.parametrize("count", [0, 1, 160, 192, 352, 800])
def test_gather_copies_what_lies_there_whatever_the_alignment(
    spread: int, start: int, count: int
) -> None:
    arena = RingArena(rows=4, length_samples=800)
    arena.rx[:] = np.arange(3200, dtype=np.int16).reshape(4, 800)
    rows = np.array([2, 0, 3])
    starts = start + spread * np.arange(3)
    expected = sample_by_sample(arena.rx, rows, starts, count)
    np.testing.assert_array_equal(gather(arena.rx, rows, starts, count), expected)


@pytest.mark.parametrize("starts", [(0, 160, 640), (800, 1600, 2400), (5, 160, 799)])
@pytest.mark.parametrize("count", [1, 3])
def test_scatter_lays_frames_where_gather_finds_them(starts: tuple[int, ...], count: int) -> None:
    arena = RingArena(rows=4, length_samples=800)
    rows, at = np.array([3, 1, 0]), np.array(starts)
    samples = count * FRAME_SAMPLES
    frames = np.arange(1, 3 * samples + 1, dtype=np.int16).reshape(3, samples)
    scatter(arena.tx, rows, at, frames)
    np.testing.assert_array_equal(gather(arena.tx, rows, at, samples), frames)
    assert np.count_nonzero(arena.tx) == frames.size


def test_scatter_refuses_what_is_no_frame() -> None:
    arena = RingArena(rows=1)
    with pytest.raises(ValueError, match="expected"):
        scatter(arena.tx, np.array([0]), np.array([0]), np.zeros((1, 80), np.int16))
