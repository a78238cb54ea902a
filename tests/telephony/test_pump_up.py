"""The pump's way up: caller audio from the rings to the listeners."""

import numpy as np
import pytest

from bridge.audio.resample import upsample_whole
from bridge.audio.rings import FRAME_SAMPLES
from bridge.clock import NS_PER_MS, ManualClock
from bridge.telephony.pump import Pump
from tests.audio.signals import loudest_other_db, noise, tone
from tests.telephony.fake_ports import AGENT_HZ, FRAME_MS, RATE_HZ, Ear, FakePorts


def rig(append_ms: int = 20, first_position: int = 0) -> tuple[ManualClock, FakePorts, Pump]:
    clock = ManualClock(now_ns=5_000 * NS_PER_MS)
    ports = FakePorts(clock, first_position=first_position)
    return clock, ports, Pump(ports, clock, append_ms=append_ms, ahead_ms=200)


def listen(ports: FakePorts, pump: Pump) -> tuple[int, Ear]:
    row, ear = ports.open_row(), Ear()
    pump.add(row, ear)
    return row, ear


@pytest.mark.parametrize("append_ms", [20, 40, 60])
def test_caller_audio_comes_in_pieces_of_append_ms(append_ms: int) -> None:
    _, ports, pump = rig(append_ms)
    row, ear = listen(ports, pump)
    ports.say(row, noise(RATE_HZ * 6 // 10, seed=1))
    for frame in range(1, 31):
        ports.step(then=pump.tick)
        assert len(ear.pieces) == frame * FRAME_MS // append_ms
    assert {len(piece) for piece in ear.pieces} == {AGENT_HZ * append_ms // 1000}


def test_captured_ns_is_when_the_last_sample_came_in() -> None:
    clock, ports, pump = rig(append_ms=40)
    _, ear = listen(ports, pump)
    ports.step(2)
    expected_ns = clock.now_ns()
    ports.step(1)  # came too late for the piece: doesn't count
    clock.advance_ms(7)  # nor does the time until the tick
    pump.tick()
    assert ear.captured_ns == [expected_ns]


def test_captured_ns_of_pieces_that_waited_are_apart_as_they_came() -> None:
    clock, ports, pump = rig()
    _, ear = listen(ports, pump)
    ports.step(5)
    pump.tick()
    newest_ns = clock.now_ns()
    assert ear.captured_ns == [newest_ns - n * FRAME_MS * NS_PER_MS for n in (4, 3, 2, 1, 0)]


def test_pieces_join_without_a_seam() -> None:
    _, ports, pump = rig()
    row, ear = listen(ports, pump)
    said = tone(440, RATE_HZ, RATE_HZ)
    ports.say(row, said)
    ports.step(50, then=pump.tick)
    np.testing.assert_array_equal(ear.sound, upsample_whole(said, aligned=False))
    steady = ear.sound[AGENT_HZ // 10 : -AGENT_HZ // 10]
    assert loudest_other_db(steady, 440, AGENT_HZ) < 20 * np.log10(16_000) - 60


def test_calls_get_each_its_own_audio() -> None:
    _, ports, pump = rig()
    said = {}
    ears = {}
    for hz in (300, 700, 1900):
        row, ear = listen(ports, pump)
        said[row], ears[row] = tone(hz, RATE_HZ, RATE_HZ // 2), ear
        ports.say(row, said[row])
    ports.step(25, then=pump.tick)
    for row, ear in ears.items():
        np.testing.assert_array_equal(ear.sound, upsample_whole(said[row], aligned=False))


def test_a_call_that_joins_later_begins_where_it_joined() -> None:
    _, ports, pump = rig(append_ms=40, first_position=16_000 * 7 + 4_800)
    early, early_ear = listen(ports, pump)
    ports.step(3, then=pump.tick)
    late, late_ear = listen(ports, pump)
    said = noise(FRAME_SAMPLES * 20, seed=2)
    for row in (early, late):
        ports.say(row, said)
    ports.step(20, then=pump.tick)
    np.testing.assert_array_equal(late_ear.sound, upsample_whole(said, aligned=False))
    silence = np.zeros(3 * FRAME_SAMPLES, np.int16)
    whole = upsample_whole(np.concatenate([silence, said]), aligned=False)
    np.testing.assert_array_equal(early_ear.sound, whole[: len(early_ear.sound)])


def test_a_stall_is_caught_up_without_loss() -> None:
    _, ports, pump = rig()
    row, ear = listen(ports, pump)
    said = noise(FRAME_SAMPLES * 120, seed=3)
    ports.say(row, said)
    ports.step(10, then=pump.tick)
    ports.step(90)  # 1.8 s: just under what the ring holds
    ports.step(20, then=pump.tick)
    np.testing.assert_array_equal(ear.sound, upsample_whole(said, aligned=False))
    assert pump.stats.overruns == 0


def test_a_stall_longer_than_the_ring_is_counted_and_what_follows_is_right() -> None:
    clock, ports, pump = rig()
    row, ear = listen(ports, pump)
    said = noise(FRAME_SAMPLES * 220, seed=4)
    ports.say(row, said)
    ports.step(10, then=pump.tick)
    ports.step(200)
    ports.step(10, then=pump.tick)
    assert pump.stats.overruns == 1
    whole = upsample_whole(said, aligned=False)
    kept = ear.sound[10 * 3 * FRAME_SAMPLES :]
    assert len(kept) >= AGENT_HZ  # about a second of what was missed is still handed up
    np.testing.assert_array_equal(kept, whole[-len(kept) :])
    assert ear.captured_ns[-1] == clock.now_ns()


def test_a_removed_call_is_not_heard_any_more() -> None:
    _, ports, pump = rig()
    row, ear = listen(ports, pump)
    ports.step(3, then=pump.tick)
    pump.remove(row)
    ports.step(3, then=pump.tick)
    assert len(ear.pieces) == 3
    pump.remove(row)  # again is no error
