"""SIGTERM drains: no new calls, those that go on are left alone, and then the process ends."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.gateways import CallsInRedis, serving, write_dialplan
from tests.support.machine import Timing
from tests.support.rtp_caller import RtpCaller
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "Where is my order?"


async def test_a_drained_gateway_serves_its_calls_to_the_end(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    session = {"ping_interval_s": 0.3}
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, session=session) as gateway:
        async with (
            CallsInRedis(redis.url) as calls,
            RtpCaller(gateway.sip_port) as caller,
            RtpCaller(gateway.sip_port) as late,
            SipPeer(gateway.sip_port) as balancer,
        ):
            assert (await balancer.options()).status == 200
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)

            gateway.process.tell(signal.SIGTERM)

            await gateway.until_ready(503, "draining")
            told = await balancer.options()
            assert (told.start, told.header("Retry-After")) == ("SIP/2.0 503 Draining", "10")
            assert await late.call() == 503
            assert "Draining" in late.final

            async def draining() -> bool:
                return (await calls.reader.node(gateway.node) or {}).get("draining") == "1"

            await wait_until(draining, message="Redis does not say that it drains")

            # The call is served as ever: asked, answered, heard.
            caller.speak(downsample_whole(Synthesizer("en-us", 150).say(QUESTION)))
            assert await calls.until_spoken(call_id, "caller") == QUESTION
            await calls.until_spoken(call_id, "agent")
            metrics = await gateway.metrics()
            assert not caller.ended.is_set()
            await caller.hang_up()
            assert await gateway.process.ended() == 0
        record = await gateway.record_of(call_id)
        assert gateway.process.processes == []
    assert (record["outcome"], record["reason"]) == ("completed", "caller_hung_up")
    refused = {"outcome": "rejected_busy", "reason": "draining", "fault": "bridge"}
    assert metrics.value("bridge_calls_ended_total", **refused) == 1
    assert metrics.value("bridge_upstream_rtt_seconds_count", arm="local") >= 1


async def test_calls_that_outlast_the_deadline_are_ended_in_order(
    simulator: str, redis: LocalRedis, tmp_path: Path, timing: Timing
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    drain_s = 1.5
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, drain_s=drain_s) as gateway:
        async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            call_id = await calls.until_active(gateway.node)
            told_s = time.monotonic()
            gateway.process.tell(signal.SIGTERM)
            await asyncio.wait_for(caller.ended.wait(), 60)
            timing.check("drain", (time.monotonic() - told_s) * 1000, least_ms=drain_s * 1000)
            assert await gateway.process.ended() == 0
            state = await calls.until_ended(call_id)
    assert state["outcome"] == "shutdown"
