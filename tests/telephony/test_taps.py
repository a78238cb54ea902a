"""Levels of all rows, both ways, from what both rings have stepped over."""

import numpy as np
import pytest

from bridge.audio.levels import FLOOR_DBFS, peak_dbfs, rms_dbfs
from bridge.audio.rings import FRAME_SAMPLES
from bridge.clock import ManualClock
from bridge.realtime.ids import ItemId
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
    pump.play(row, ItemId("item"), 0, tone(900, AGENT_HZ, AGENT_HZ).astype("<i2").tobytes())
    pump.tick()
    assert pump.levels.rms_dbfs[AGENT, row] == FLOOR_DBFS
    ports.step(10, then=pump.tick)
    assert pump.levels.rms_dbfs[AGENT, row] > -20
    pump.flush(row)
    ports.step(then=pump.tick)
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
