"""A process without a file descriptor left, in a call: its failures are its own, nobody else's."""

from pathlib import Path

import pytest
from aiohttp import web

from bridge.store.local import LocalRedis
from tests.calls.test_tools import ENVIRON, QUESTION
from tests.support.breakages import no_new_descriptor
from tests.support.faulty_calls import spoken
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, serving, write_dialplan
from tests.support.hook import hook
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]


async def answer() -> web.StreamResponse:
    return web.json_response({"amount": "forty", "due": "Monday"})


async def test_a_tool_and_a_new_call_fail_by_the_bridges_fault_and_the_call_goes_on(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async with hook(answer) as endpoint:
        webhook = {
            "url": endpoint.url,
            "secret_env": "HOOK_SECRET",
            "allow_private": True,
            "retries": 0,
        }
        tool = {
            "name": "lookup_invoice",
            "description": "Look up the caller's invoice.",
            "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
            "webhook": webhook,
        }
        dialplans = write_dialplan(tmp_path / "dialplans", {**PLAIN_AGENT, "tools": [tool]})
        with serving(
            *(tmp_path, simulator, dialplans),
            redis_url=redis.url,
            environ=ENVIRON,
        ) as gateway:
            async with (
                CallsInRedis(redis.url) as calls,
                RtpCaller(gateway.sip_port) as caller,
                RtpCaller(gateway.sip_port) as other,
            ):
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                with no_new_descriptor(gateway.process.pid):
                    caller.speak(spoken(QUESTION))
                    (ended,) = await calls.until_told(call_id, "tool_ended")
                    refused = await other.call(timeout_s=30.0)
                assert not caller.ended.is_set()
                await caller.hang_up()
                record = await gateway.record_of(call_id)

                async def counted() -> bool:
                    metrics = await gateway.metrics()
                    return metrics.value("bridge_calls_ended_total") == 2

                await wait_until(counted, "the calls' ends were not counted")
                metrics = await gateway.metrics()
    assert endpoint.came == []
    assert (ended["result"], ended["fault"]) == ("no_descriptors", "bridge")
    assert refused == 503
    assert "No Descriptors" in other.final
    assert (record["outcome"], record["fault"]) == ("completed", "none")
    assert metrics.value("bridge_upstream_connect_failures_total") == 0
    assert metrics.value("bridge_calls_ended_total", fault="provider") == 0
    assert metrics.value("bridge_calls_ended_total", fault="bridge", reason="no_descriptors") == 1
    assert metrics.value("bridge_tool_calls_total", result="no_descriptors", fault="bridge") == 1
