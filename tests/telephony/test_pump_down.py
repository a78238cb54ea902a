"""The pump's way down: agent audio from deltas into the ring, ahead of PJSIP and never behind it.

``Desk`` plays both ends: it queues deltas, steps the audio clock and looks at what PJSIP took.
"""

import itertools

import numpy as np
import pytest

from bridge.audio.formats import ToRing
from bridge.audio.ledger import PlayedItem, PlayoutDrained, PlayoutStarted
from bridge.audio.resample import downsample_whole
from bridge.audio.rings import FRAME_SAMPLES, clear, write
from bridge.clock import NS_PER_MS, ManualClock
from bridge.realtime.ids import ItemId
from bridge.telephony import downlink as downlink_module
from bridge.telephony.pump import Pump
from tests.audio.signals import noise, tone
from tests.telephony.fake_ports import AGENT_HZ, FRAME_MS, Ear, FakePorts, Sound

AHEAD_MS = 200
AHEAD_SAMPLES = AHEAD_MS * 8
FIRST, SECOND = ItemId("item_1"), ItemId("item_2")
RUN_FRAMES = 3
"""Frames that are laid at once where so much waits."""
BLOCK = FRAME_SAMPLES * 3
"""24 kHz samples of one frame."""


class Desk:
    """One call's pump and ports."""

    def __init__(self, first_position: int = 0) -> None:
        self.clock = ManualClock(now_ns=9_000 * NS_PER_MS)
        self.ports = FakePorts(self.clock, first_position=first_position)
        self.pump = Pump(self.ports, self.clock, append_ms=20, ahead_ms=AHEAD_MS)
        self.ear = Ear()
        self.downlink_ns: list[int] = []
        self.row = self.ports.open_row()
        self.line = self.pump.add(self.row, self.ear, on_downlink=self.downlink_ns.append)

    @property
    def read(self) -> int:
        """PJSIP's position."""
        return int(self.ports.tx_positions[self.row])

    @property
    def laid_ahead(self) -> int:
        return self.line.playout.written - self.read

    @property
    def heard(self) -> Sound:
        """What the caller heard, from the first sound to the last."""
        taken = self.ports.taken(self.row)
        loud = np.flatnonzero(taken)
        return taken[loud[0] : loud[-1] + 1] if loud.size else taken[:0]

    def play(self, sound: Sound, item: ItemId = FIRST, part: int = 0) -> None:
        self.pump.downlink.play(self.row, item, part, sound.astype("<i2").tobytes())

    def step(self, frames: int = 1) -> None:
        self.ports.step(frames, then=self.pump.tick)

    def ring_sum(self) -> int:
        return int(np.abs(self.ports.arena.tx[self.row].astype(np.int64)).sum())


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.step(3)
    return desk


def trimmed(sound: Sound) -> Sound:
    loud = np.flatnonzero(sound)
    return sound[loud[0] : loud[-1] + 1]


def assert_heard_whole(desk: Desk, sound: Sound) -> None:
    """What was played was heard without a gap, as the filter gives it for the whole signal.

    The last frame is filled up with silence; the filter's 2 ms of delay fall off the end.
    """
    padded = np.pad(sound, (0, -len(sound) % BLOCK))
    np.testing.assert_array_equal(desk.heard, trimmed(downsample_whole(padded, aligned=False)))


def test_what_is_played_is_heard_as_a_whole(desk: Desk) -> None:
    sound = tone(500, AGENT_HZ, AGENT_HZ)
    desk.play(sound)
    desk.step(60)
    assert_heard_whole(desk, sound)
    assert desk.pump.stats.underruns == 0


@pytest.mark.parametrize("sizes", [(1, 7, 100, 333), (481,), (700, 1201, 950), (4800, 4799)])
def test_deltas_of_any_size_play_without_gaps(desk: Desk, sizes: tuple[int, ...]) -> None:
    sound = noise(AGENT_HZ, seed=5, peak=9000)
    at = 0
    for size in itertools.cycle(sizes):
        desk.play(sound[at : at + size])
        at += size
        if at >= len(sound):
            break
    desk.step(60)
    assert_heard_whole(desk, sound)
    assert desk.pump.stats.underruns == 0


def test_odd_deltas_that_keep_ahead_of_the_clock_play_without_gaps(desk: Desk) -> None:
    sound = noise(AGENT_HZ * 2, seed=6, peak=9000)
    first, size = 2001, 1111  # 46 ms, every 40 ms: it comes a little faster than it plays
    desk.play(sound[:first])
    for at in range(first, len(sound), size):
        desk.play(sound[at : at + size])
        desk.step(2)
    desk.step(60)
    assert_heard_whole(desk, sound)
    assert desk.pump.stats.underruns == 0


def test_a_first_delta_smaller_than_a_frame_waits_for_the_rest_until_the_tick(desk: Desk) -> None:
    sound = noise(BLOCK * 4, seed=7, peak=9000)
    desk.play(sound[:100])
    assert desk.ring_sum() == 0
    desk.play(sound[100:])
    desk.step(8)
    assert_heard_whole(desk, sound)


def test_the_first_audio_of_a_burst_is_laid_at_once(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, BLOCK * 2))
    assert desk.ring_sum() > 0
    desk.ports.step(2)  # without a tick
    assert desk.heard.size


def test_audio_is_laid_ahead_and_no_further_than_ahead_ms(desk: Desk) -> None:
    desk.play(noise(AGENT_HZ * 3, seed=8))
    for _ in range(100):
        desk.step()
        assert AHEAD_SAMPLES - RUN_FRAMES * FRAME_SAMPLES < desk.laid_ahead <= AHEAD_SAMPLES
        beyond = np.arange(desk.read + AHEAD_SAMPLES, desk.read + 16_000) % 16_000
        assert not desk.ports.arena.tx[desk.row, beyond].any()


def test_audio_ahead_outlasts_a_loop_that_stands_still(desk: Desk) -> None:
    sound = noise(AGENT_HZ, seed=9, peak=9000)
    desk.play(sound)
    desk.step(5)
    desk.ports.step(AHEAD_MS // FRAME_MS - RUN_FRAMES - 1)  # the clock goes on, the loop doesn't
    desk.step(60)
    assert_heard_whole(desk, sound)
    assert desk.pump.stats.underruns == 0


def test_nothing_is_laid_at_or_behind_the_read_position(desk: Desk) -> None:
    """While callers' audio is handed up, PJSIP takes frames: the way down must look again."""
    sound = noise(AGENT_HZ, seed=10, peak=9000)
    desk.ear.on_piece = lambda: desk.ports.step(2) if len(desk.ear.pieces) == 5 else None
    desk.ports.step()
    desk.line.playout.queue(FIRST, 0, sound.astype("<i2").tobytes(), desk.clock.now_ns())
    desk.step(60)
    assert_heard_whole(desk, sound)
    assert desk.pump.stats.late_blocks == 0


def test_a_block_that_comes_late_is_not_played_a_ring_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class SlowConverter(ToRing):
        """PJSIP takes two frames while the first block is being resampled."""

        def __call__(self, windows: Sound) -> Sound:
            blocks.append(len(windows))
            if len(blocks) == 1:
                desk.ports.step(2)
            return super().__call__(windows)

    blocks: list[int] = []
    monkeypatch.setattr(downlink_module, "ToRing", SlowConverter)
    desk = Desk()
    desk.step(3)
    sound = noise(BLOCK * 5, seed=11, peak=9000)
    desk.play(sound)
    desk.step(220)  # more than twice round the ring
    assert desk.pump.stats.late_blocks == 1
    assert len(desk.heard) < len(sound) / 3
    assert desk.ring_sum() == 0


def test_what_was_played_is_not_heard_again(desk: Desk) -> None:
    sound = noise(BLOCK * 10, seed=12, peak=9000)
    desk.play(sound)
    desk.step(250)
    assert_heard_whole(desk, sound)


def test_positions_far_from_zero_change_nothing() -> None:
    desk = Desk(first_position=16_000 * 50 + 15_840)
    sound = noise(AGENT_HZ, seed=13, peak=9000)
    desk.play(sound)
    desk.step(60)
    assert_heard_whole(desk, sound)


def test_calls_hear_each_its_own_agent() -> None:
    desk = Desk()
    other_row = desk.ports.open_row()
    desk.pump.add(other_row, Ear())
    mine, other = tone(400, AGENT_HZ, AGENT_HZ), tone(1700, AGENT_HZ, AGENT_HZ)
    desk.play(mine)
    desk.pump.downlink.play(other_row, SECOND, 0, other.astype("<i2").tobytes())
    desk.step(60)
    assert_heard_whole(desk, mine)
    np.testing.assert_array_equal(
        trimmed(desk.ports.taken(other_row)), trimmed(downsample_whole(other, aligned=False))
    )


# The interruption


@pytest.mark.parametrize("frames", [20, 21, 22, 23, 24])
def test_flush_fades_to_silence_within_5_ms_of_the_next_frame(desk: Desk, frames: int) -> None:
    desk.play(tone(500, AGENT_HZ, AGENT_HZ * 2))
    desk.step(frames)
    before = len(desk.ports.taken(desk.row))
    desk.pump.downlink.flush(desk.row)
    desk.step(250)
    taken = desk.ports.taken(desk.row)
    assert not taken[before + 40 :].any()
    steps = np.abs(np.diff(taken.astype(np.int64)))
    assert steps[before - 2 :].max() <= 1.2 * steps[before - 80 : before - 1].max()  # no click
    assert desk.ring_sum() == 0


def test_fade_that_pjsip_has_passed_is_not_heard_a_ring_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_late(ring: Sound, row: int, start: int, samples: Sound) -> None:
        desk.ports.step()
        write(ring, row, start, samples)

    desk.play(tone(500, AGENT_HZ, AGENT_HZ * 2))
    desk.step(21)
    monkeypatch.setattr(downlink_module, "write", write_late)
    desk.pump.downlink.flush(desk.row)
    assert desk.ring_sum() == 0


def test_flush_says_what_was_heard_of_the_item(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, AGENT_HZ * 2))
    while len(desk.heard) < 8 * 400:
        desk.step()
    heard_ms = round(len(desk.heard) / 8 / FRAME_MS) * FRAME_MS
    assert desk.pump.downlink.flush(desk.row) == (PlayedItem(FIRST, 0, heard_ms, 2000),)


def test_flush_counts_the_frame_that_was_taken_just_before_the_silence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clear_late(ring: Sound, row: int, start: int, count: int) -> None:
        desk.ports.step()
        clear(ring, row, start, count)

    desk.play(tone(500, AGENT_HZ, AGENT_HZ * 2))
    desk.step(21)
    monkeypatch.setattr(downlink_module, "clear", clear_late)
    (cut,) = desk.pump.downlink.flush(desk.row)
    heard_samples = len(desk.ports.taken(desk.row)) - int(
        np.flatnonzero(desk.ports.taken(desk.row))[0] // FRAME_SAMPLES * FRAME_SAMPLES
    )
    assert cut.played_ms == heard_samples // 8
    desk.step(120)
    assert len(desk.heard) <= heard_samples


def test_flush_names_every_part_that_was_not_heard_to_its_end(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, BLOCK * 5), FIRST, 0)
    desk.play(tone(500, AGENT_HZ, BLOCK * 50), FIRST, 1)
    desk.play(tone(500, AGENT_HZ, BLOCK * 50), SECOND, 0)
    desk.step(11)
    cut = desk.pump.downlink.flush(desk.row)
    assert [(part.item_id, part.content_index) for part in cut] == [(FIRST, 1), (SECOND, 0)]
    assert cut[1].played_ms == 0


def test_flush_of_silence_says_nothing(desk: Desk) -> None:
    assert desk.pump.downlink.flush(desk.row) == ()
    desk.play(tone(500, AGENT_HZ, BLOCK))
    desk.step(10)
    assert desk.pump.downlink.flush(desk.row) == ()


def test_after_a_flush_the_next_item_is_heard_whole(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, AGENT_HZ * 2))
    desk.step(20)
    desk.pump.downlink.flush(desk.row)
    silent_from = len(desk.ports.taken(desk.row)) + FRAME_SAMPLES  # behind the fade
    answer = noise(BLOCK * 20, seed=14, peak=9000)
    desk.play(answer, SECOND)
    desk.step(40)
    np.testing.assert_array_equal(
        trimmed(desk.ports.taken(desk.row)[silent_from:]),
        trimmed(downsample_whole(answer, aligned=False)),
    )
    assert desk.pump.stats.underruns == 0


# Gaps


def test_an_underrun_is_counted_inside_an_item(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, BLOCK * 5))
    desk.step(20)
    desk.play(tone(500, AGENT_HZ, BLOCK * 5))
    desk.step(20)
    assert desk.pump.stats.underruns == desk.line.underruns == 1


def test_a_gap_that_is_filled_up_inside_a_frame_is_an_underrun_too(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, BLOCK * 2 + 100))
    desk.step(2)  # the last hundred samples have to go out now, with silence behind them
    assert desk.line.playout.padded
    desk.play(tone(500, AGENT_HZ, BLOCK * 5))
    desk.step(20)
    assert desk.pump.stats.underruns == 1


def test_a_silence_between_items_is_no_underrun(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, BLOCK * 5 + 100), FIRST)
    desk.step(20)
    desk.play(tone(500, AGENT_HZ, BLOCK * 5), SECOND)
    desk.step(20)
    assert desk.pump.stats.underruns == 0


# Hold


def test_a_paused_playout_holds_and_goes_on_where_it_was(desk: Desk) -> None:
    sound = noise(AGENT_HZ * 2, seed=15, peak=9000)
    desk.play(sound)
    desk.step(20)
    desk.line.playout.paused = True
    desk.step(100)
    held = len(desk.heard)
    desk.play(noise(BLOCK, seed=16, peak=9000), FIRST)  # the session goes on sending
    desk.step(100)
    assert len(desk.heard) == held
    desk.line.playout.paused = False
    desk.step(120)
    taken = desk.ports.taken(desk.row)
    assert np.count_nonzero(taken) > 0.9 * (len(sound) + BLOCK) / 3
    assert desk.pump.stats.underruns == 0


def test_audio_that_waited_through_a_pause_does_not_count_as_slow(desk: Desk) -> None:
    desk.line.playout.paused = True
    desk.play(tone(500, AGENT_HZ, BLOCK * 5))
    desk.step(100)
    desk.line.playout.paused = False
    desk.step(20)
    assert desk.heard.size
    assert desk.downlink_ns == []


# What is told


def test_an_item_is_told_when_it_begins_and_when_all_is_heard(desk: Desk) -> None:
    desk.play(tone(500, AGENT_HZ, BLOCK * 5), FIRST)
    desk.play(tone(500, AGENT_HZ, BLOCK * 5), SECOND)
    assert desk.ear.playout == []
    desk.step(2)
    assert desk.ear.playout == [PlayoutStarted(FIRST, 0)]
    desk.step(5)
    assert desk.ear.playout == [PlayoutStarted(FIRST, 0), PlayoutStarted(SECOND, 0)]
    desk.step(3)
    assert desk.ear.playout[2:] == []  # one frame is still to be heard
    desk.step()
    assert desk.ear.playout[2:] == [PlayoutDrained()]


def test_downlink_is_from_queueing_to_the_frame_taken_once_a_burst(desk: Desk) -> None:
    desk.clock.advance_ms(5)
    desk.play(tone(500, AGENT_HZ, BLOCK * 10))
    desk.step(30)
    # One frame stays free ahead of PJSIP; the one behind it is the first heard.
    assert desk.downlink_ns == [2 * FRAME_MS * NS_PER_MS]
    desk.play(tone(500, AGENT_HZ, BLOCK * 10), SECOND)
    desk.step(30)
    assert len(desk.downlink_ns) == 2


def times_ms(desk: Desk, item: ItemId, since_ns: int) -> tuple[float, float]:
    """Return when an item's first sample was laid and taken, ms since a moment."""
    (told,) = (
        event
        for event in desk.ear.playout
        if isinstance(event, PlayoutStarted) and event.item_id == item
    )
    assert told.laid_ns is not None
    assert told.taken_ns is not None
    return (told.laid_ns - since_ns) / NS_PER_MS, (told.taken_ns - since_ns) / NS_PER_MS


def test_beginning_is_told_with_the_times_at_the_ring(desk: Desk) -> None:
    begun_ns = desk.clock.now_ns()
    desk.clock.advance_ms(5)
    desk.play(tone(500, AGENT_HZ, BLOCK * 5))  # laid at once, one frame ahead of PJSIP
    desk.step(4)
    assert times_ms(desk, FIRST, begun_ns) == (5, 5 + 2 * FRAME_MS)


def test_item_behind_another_is_laid_when_there_is_room_and_taken_in_its_turn(desk: Desk) -> None:
    begun_ns = desk.clock.now_ns()
    desk.play(tone(500, AGENT_HZ, BLOCK * 15), FIRST)
    desk.play(tone(500, AGENT_HZ, BLOCK * 5), SECOND)
    desk.step(30)
    laid_ms, taken_ms = times_ms(desk, SECOND, begun_ns)
    assert taken_ms == (1 + 15 + 1) * FRAME_MS  # a frame kept free, the first item, its own
    ahead_ms = taken_ms - laid_ms  # what lay in the ring before it
    assert AHEAD_MS - RUN_FRAMES * FRAME_MS < ahead_ms <= AHEAD_MS


def test_loop_that_stands_still_makes_nobody_hear_later(desk: Desk) -> None:
    begun_ns = desk.clock.now_ns()
    desk.play(tone(500, AGENT_HZ, BLOCK * 8))
    desk.ports.step(7)  # PJSIP takes audio, and nobody looks
    desk.clock.advance_ms(3)
    desk.pump.tick()
    assert times_ms(desk, FIRST, begun_ns) == (0, 2 * FRAME_MS)


def rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))


@pytest.mark.parametrize("by_db", [12.0, np.inf])
def test_agent_is_lowered_soon_and_comes_back_whole(desk: Desk, by_db: float) -> None:
    desk.play(tone(900, AGENT_HZ, AGENT_HZ * 2))
    desk.step(20)
    desk.pump.downlink.duck(desk.row, by_db)
    lowered_from = len(desk.ports.taken(desk.row))
    desk.step(20)
    desk.pump.downlink.duck(desk.row, 0)
    restored_from = len(desk.ports.taken(desk.row))
    desk.step(20)
    taken = desk.ports.taken(desk.row)
    before = rms(taken[lowered_from - 4 * FRAME_SAMPLES : lowered_from])
    # One frame is the fade.
    lowered = rms(taken[lowered_from + FRAME_SAMPLES : restored_from])
    after = rms(taken[restored_from + FRAME_SAMPLES :])
    assert lowered == pytest.approx(before * 10 ** (-by_db / 20), rel=0.02, abs=1)
    assert after == pytest.approx(before, rel=0.02)


def test_agent_who_was_lowered_and_cut_speaks_up_again(desk: Desk) -> None:
    desk.play(tone(900, AGENT_HZ, AGENT_HZ))
    desk.step(10)
    desk.pump.downlink.duck(desk.row, np.inf)
    desk.pump.downlink.flush(desk.row)
    desk.step(5)
    desk.play(tone(900, AGENT_HZ, AGENT_HZ), SECOND)
    desk.step(20)
    assert rms(desk.ports.taken(desk.row)[-4 * FRAME_SAMPLES :]) > 5_000


def test_lowered_agent_is_heard_by_the_ledger_and_a_silenced_one_is_not(desk: Desk) -> None:
    desk.play(tone(900, AGENT_HZ, AGENT_HZ))
    desk.pump.downlink.duck(desk.row, 12)
    desk.step(20)
    desk.pump.downlink.duck(desk.row, np.inf)
    desk.step(5)
    (part,) = desk.pump.downlink.flush(desk.row)
    assert part.played_ms == pytest.approx(20 * FRAME_MS, abs=40)
    assert part.played_ms < 25 * FRAME_MS - 60


def test_agent_that_came_back_is_heard_to_where_it_is(desk: Desk) -> None:
    desk.play(tone(900, AGENT_HZ, AGENT_HZ))
    desk.step(10)
    desk.pump.downlink.duck(desk.row, np.inf)
    desk.step(5)
    desk.pump.downlink.duck(desk.row, 0)
    desk.step(5)
    (part,) = desk.pump.downlink.flush(desk.row)
    assert part.played_ms == pytest.approx(20 * FRAME_MS, abs=40)
