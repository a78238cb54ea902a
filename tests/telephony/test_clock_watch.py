"""PJSIP's audio clock, watched."""

from bridge.clock import ManualClock
from bridge.telephony.pump import Pump
from tests.telephony.fake_ports import Ear, FakePorts


def test_clock_that_stands_still_is_counted_once_a_stall() -> None:
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=40, ahead_ms=100)

    def wait(ms: int) -> None:
        for _ in range(ms // 10):
            clock.advance_ms(10)
            pump.tick()

    wait(200)
    assert pump.stats.clock_stalls == 0, "there is no call, so nobody to miss the clock"
    pump.add(ports.open_row(), Ear())
    ports.step(10, pump.tick)
    wait(50)
    assert pump.stats.clock_stalls == 0
    wait(500)
    assert pump.stats.clock_stalls == 1
    ports.step(2, pump.tick)
    wait(100)
    assert pump.stats.clock_stalls == 2


def test_how_long_the_clock_stands_still_is_known_although_calls_come_and_go() -> None:
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=40, ahead_ms=100)

    def wait(ms: int) -> int:
        for _ in range(ms // 10):
            clock.advance_ms(10)
            pump.tick()
        return pump.stats.clock_still_ms

    row = ports.open_row()
    pump.add(row, Ear())
    ports.step(2, pump.tick)
    assert pump.stats.clock_still_ms == 0
    assert wait(3000) == 3000
    pump.add(ports.open_row(), Ear())
    assert 0 < wait(20) <= 3000
    assert 0 < wait(500) < 600
    ports.step(2, pump.tick)
    assert pump.stats.clock_still_ms == 0


def test_late_loop_is_no_stall_of_the_clock() -> None:
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=40, ahead_ms=100)
    pump.add(ports.open_row(), Ear())
    ports.step(1, pump.tick)
    ports.step(20)  # without a tick
    pump.tick()
    assert pump.stats.clock_stalls == 0


def test_time_between_two_calls_is_no_stall_of_the_clock() -> None:
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=40, ahead_ms=100)
    row = ports.open_row()
    pump.add(row, Ear())
    ports.step(1, pump.tick)
    pump.remove(row)
    clock.advance_ms(60_000)
    pump.add(row, Ear())
    pump.tick()  # before the row's first step
    assert pump.stats.clock_stalls == 0
