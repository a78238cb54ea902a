"""What is only counted becomes a metric and a log line, once a second."""

import asyncio

import pytest

from bridge.app.watches.clocks import AudioWatch
from bridge.app.watches.counting import Counts
from bridge.app.watches.troubles import Troubles
from bridge.clock import ManualClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape
from bridge.telephony.pump import Pump
from tests.support.waiting import wait_until
from tests.telephony.fake_ports import Ear, FakePorts


@pytest.fixture
def stalled() -> Pump:
    """A pump whose audio clock stood still for half a second in a call."""
    clock = ManualClock()
    ports = FakePorts(clock)
    pump = Pump(ports, clock, append_ms=40, ahead_ms=100)
    pump.add(ports.open_row(), Ear())
    ports.step(10, pump.tick)
    for _ in range(50):
        clock.advance_ms(10)
        pump.tick()
    assert pump.stats.clock_stalls == 1
    return pump


async def test_a_stall_of_the_audio_clock_is_counted(stalled: Pump) -> None:
    metrics = Metrics("test")
    clock, troubles = ManualClock(), Troubles()
    store = CallStore(RedisSettings(), "redis://127.0.0.1:1", "a", clock=clock)
    audio = AudioWatch(lambda: (), metrics.media, troubles)
    counts = Counts(metrics, stalled, store, clock, troubles, audio, (), ping_interval_s=20)
    publishing = asyncio.create_task(counts.keep_publishing())

    def stalls() -> float:
        scrape = Scrape.parse(metrics.render()[0].decode())
        return scrape.value("bridge_audio_thread_overruns_total")

    try:
        await wait_until(lambda: stalls() == 1, "the stall is in no metric")
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
