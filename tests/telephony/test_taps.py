"""Levels of all rows, both ways, from what both rings have stepped over."""

import numpy as np
import pytest

from bridge.audio.levels import FLOOR_DBFS, peak_dbfs, rms_dbfs
from bridge.audio.rings import FRAME_SAMPLES
from bridge.audio.sounds import Sound, SoundLasted, SoundSettings, SoundStarted, SoundStopped
from bridge.clock import NS_PER_MS, ManualClock
from bridge.realtime.ids import ItemId
from bridge.telephony.audience import Listener
from bridge.telephony.lines import Sounds
from bridge.telephony.pump import Pump
from bridge.telephony.taps import AGENT, CALLER
from tests.audio.signals import noise, tone
from tests.telephony.fake_ports import AGENT_HZ, Ear, FakePorts


def test_each_row_has_the_levels_of_its_own_latest_frame() -> None:
    ports = FakePorts(ManualClock())
    pump = Pump(ports, ManualClock(), append_ms=20, ahead_ms=200)
    said = {}
    for peak in (500, 9000):
        row = ports.open_row()
        pump.add(row, Ear())
        said[row] = noise(FRAME_SAMPLES * 5, seed=peak, peak=peak)
        ports.say(row, said[row])
    for frame in range(5):
        ports.step(then=pump.tick)
        for row, sound in said.items():
            latest = sound[np.newaxis, frame * FRAME_SAMPLES : (frame + 1) * FRAME_SAMPLES]
            assert pump.levels.rms_dbfs[CALLER, row] == rms_dbfs(latest)[0]
            assert pump.levels.peak_dbfs[CALLER, row] == peak_dbfs(latest)[0]


def test_the_agents_level_is_of_what_was_heard_not_of_what_is_laid() -> None:
    ports = FakePorts(ManualClock())
    pump = Pump(ports, ManualClock(), append_ms=20, ahead_ms=200)
    row = ports.open_row()
    pump.add(row, Ear())
    pump.downlink.play(
        row, ItemId("item"), 0, tone(900, AGENT_HZ, AGENT_HZ).astype("<i2").tobytes()
    )
    pump.tick()
    assert pump.levels.rms_dbfs[AGENT, row] == FLOOR_DBFS
    ports.step(10, then=pump.tick)
    assert pump.levels.rms_dbfs[AGENT, row] > -20
    pump.downlink.flush(row)
    ports.step(2, then=pump.tick)
    assert pump.levels.rms_dbfs[AGENT, row] == FLOOR_DBFS


def test_a_row_that_is_used_again_begins_in_silence() -> None:
    ports = FakePorts(ManualClock())
    pump = Pump(ports, ManualClock(), append_ms=20, ahead_ms=200)
    row = ports.open_row()
    pump.add(row, Ear())
    ports.say(row, noise(FRAME_SAMPLES, seed=1))
    ports.step(then=pump.tick)
    assert pump.levels.rms_dbfs[CALLER, row] > FLOOR_DBFS
    pump.remove(row)
    pump.add(row, Ear())
    assert pump.levels.rms_dbfs[CALLER, row] == pytest.approx(FLOOR_DBFS)
    assert pump.levels.peak_dbfs[CALLER, row] == pytest.approx(FLOOR_DBFS)


class Hall:
    """One row whose caller's sounds are told."""

    def __init__(self) -> None:
        self.clock = ManualClock(now_ns=7_000 * NS_PER_MS)
        self.ports = FakePorts(self.clock)
        self.pump = Pump(self.ports, self.clock, append_ms=20, ahead_ms=200)
        self.told: list[Sound] = []
        self.row = self.ports.open_row()
        settings = SoundSettings(milestones_ms=(120,))
        self.pump.add(self.row, Ear(), sounds=Sounds(settings, self.told.append))

    def at_ms(self, ms: int) -> int:
        return (7_000 + ms) * NS_PER_MS


@pytest.mark.parametrize("frames_a_tick", [1, 4])
def test_callers_sound_is_told_with_its_times_also_by_a_late_tick(frames_a_tick: int) -> None:
    hall = Hall()
    hall.ports.say(hall.row, np.zeros(FRAME_SAMPLES * 4, np.int16))
    hall.ports.say(hall.row, noise(FRAME_SAMPLES * 8, seed=1))
    for _ in range(40 // frames_a_tick):
        hall.ports.step(frames_a_tick)
        hall.pump.tick()
    assert hall.told == [
        SoundStarted(hall.at_ms(80)),
        SoundLasted(hall.at_ms(80), 120),
        SoundStopped(hall.at_ms(240)),
    ]


def test_agents_echo_is_not_told() -> None:
    hall = Hall()
    agent = tone(900, AGENT_HZ, AGENT_HZ * 2)
    hall.pump.downlink.play(hall.row, ItemId("item"), 0, agent.astype("<i2").tobytes())
    hall.ports.step(8, then=hall.pump.tick)
    echo_dbfs = hall.pump.levels.rms_dbfs[AGENT, hall.row] - 31
    assert echo_dbfs > -45  # loud enough to be a sound
    white = noise(FRAME_SAMPLES * 30, seed=3, peak=9_000)
    gain = 10 ** ((echo_dbfs - rms_dbfs(white[np.newaxis])[0] - 1) / 20)
    echo = np.rint(white * gain).astype(np.int16)
    hall.ports.say(hall.row, echo)
    hall.ports.step(30, then=hall.pump.tick)
    assert hall.told == []
    hall.ports.say(hall.row, noise(FRAME_SAMPLES * 10, seed=4, peak=9_000))
    hall.ports.step(10, then=hall.pump.tick)
    assert isinstance(hall.told[0], SoundStarted)


def test_listener_may_end_its_call_while_it_is_told() -> None:
    hall = Hall()
    hall.pump.remove(hall.row)
    row = hall.row

    def leave(event: Sound) -> None:
        hall.told.append(event)
        hall.pump.remove(row)

    hall.pump.add(row, Ear(), sounds=Sounds(SoundSettings(), leave))
    hall.ports.say(row, noise(FRAME_SAMPLES * 20, seed=1))
    hall.ports.step(20, then=hall.pump.tick)
    assert len(hall.told) == 1


def test_an_audience_hears_both_sides_of_its_row_alone_from_now_on() -> None:
    ports = FakePorts(ManualClock())
    pump = Pump(ports, ManualClock(), append_ms=20, ahead_ms=200)
    rows = [ports.open_row() for _ in range(3)]
    for row in rows:
        pump.add(row, Ear())
    said = {row: noise(FRAME_SAMPLES * 6, seed=row + 1) for row in rows}
    for row in rows:
        ports.say(row, said[row])
    pump.downlink.play(
        rows[1], ItemId("item"), 0, tone(900, AGENT_HZ, AGENT_HZ).astype("<i2").tobytes()
    )
    ports.step(2, then=pump.tick)
    heard: list[np.ndarray[tuple[int, ...], np.dtype[np.int16]]] = []
    pump.admit(rows[1], heard.append)
    ports.step(2, then=pump.tick)
    ports.step(2)
    pump.tick()  # a late one
    pump.dismiss(rows[1], heard.append)
    ports.step(2, then=pump.tick)
    both = np.concatenate(heard)
    assert len(both) == 4 * FRAME_SAMPLES
    span = slice(2 * FRAME_SAMPLES, 6 * FRAME_SAMPLES)
    assert np.array_equal(both[:, CALLER], said[rows[1]][span])
    assert np.array_equal(both[:, AGENT], ports.taken(rows[1])[span])
    assert np.abs(both[:, AGENT]).max() > 1000


def test_an_audience_that_left_hears_nothing_and_others_go_on() -> None:
    ports = FakePorts(ManualClock())
    pump = Pump(ports, ManualClock(), append_ms=20, ahead_ms=200)
    row = ports.open_row()
    pump.add(row, Ear())
    stays, leaves = Listener(0), Listener(0)
    for listener in (stays, leaves):
        pump.admit(row, listener.take)
    ports.step(then=pump.tick)
    pump.dismiss(row, leaves.take)
    pump.dismiss(row, leaves.take)
    ports.step(3, then=pump.tick)
    assert stays.lost_frames == leaves.lost_frames == 0
    assert (stays.queued_frames, leaves.queued_frames) == (4, 1)
