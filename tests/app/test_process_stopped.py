"""A gateway that stood still (SIGSTOP, a VM's pause) says so, and what its caller heard of it."""

import asyncio
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.support.gateways import CallsInRedis, serving
from tests.support.machine import Timing
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

STOPPED_S = 5.0


def longest_gap_ms(caller: RtpCaller) -> float:
    """Return the longest time without a packet, as the wire had it."""
    arrivals = [packet.arrived_ns for packet in caller.heard]
    return max(later - earlier for earlier, later in pairwise(arrivals)) / 1e6


async def test_a_stopped_process_logs_it_and_its_call_has_the_silence(
    simulator: str, redis: LocalRedis, shipped_dialplans: Path, tmp_path: Path, timing: Timing
) -> None:
    with serving(tmp_path, simulator, shipped_dialplans, redis_url=redis.url) as gateway:
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            await caller.until(lambda: sum(each.loud for each in caller.heard) > 50)
            call_id = await calls.until_active(gateway.node)
            gateway.process.tell(signal.SIGSTOP)
            try:
                await asyncio.sleep(STOPPED_S)  # what is tried is time itself
            finally:
                gateway.process.tell(signal.SIGCONT)
            (event,) = await calls.until_told(call_id, "process_stopped")
            await caller.hang_up()
            record = await gateway.record_of(call_id)
        logged = [line for line in gateway.process.logged if line["event"] == "process_stopped"]
    heard_ms = longest_gap_ms(caller)
    assert heard_ms > 4_000
    assert [line["calls"] for line in logged] == [1]
    for measured_ms in (int(event["ms"]), record["longest_silence_ms"]):
        timing.check("silence", abs(measured_ms - heard_ms), most_ms=500)
    assert record["longest_silence_cause"] == "bridge"
