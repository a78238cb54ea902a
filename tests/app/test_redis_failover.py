"""A Redis master is killed under live calls: they go on, and their state is with the new one."""

import signal
import time
from pathlib import Path

import pytest

from bridge.store.client import RedisLink, RedisUnavailableError
from tests.app.test_serve_state import talking
from tests.support.gateways import CallsInRedis, serving, write_dialplan
from tests.support.redis_sentinels import watched
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]


async def test_calls_go_on_and_their_state_is_with_the_new_master(
    simulator: str, tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with watched() as them:
        await them.until_watched()
        first, second = them.servers
        url = them.url()
        with serving(tmp_path, simulator, dialplans, redis_url=url) as gateway:
            async with talking(gateway, url) as (caller, call_id):
                before = await _packets(caller)
                first.stop()
                killed_s = time.monotonic()
                async with RtpCaller(gateway.sip_port) as another:
                    assert await another.call() == 200  # with no master at all
                    await _until_taken(url)
                    record_property("failover_s", round(time.monotonic() - killed_s, 2))
                    print(f"written again after {time.monotonic() - killed_s:.2f} s")
                    async with CallsInRedis(second.url) as calls:
                        later = await calls.until_another({call_id})
                        assert set(await calls.reader.active()) == {call_id, later}
                        await another.hang_up()
                        assert (await calls.until_ended(later))["outcome"] == "completed"
                    assert await _packets(caller) > before
                await caller.hang_up()
            async with CallsInRedis(second.url) as calls:
                state = await calls.until_ended(call_id)
                told = [fields["kind"] for _, fields in await calls.reader.events(call_id)]
            assert (state["outcome"], state["fault"]) == ("completed", "none")
            assert told.count("ended") == 1
            record = await gateway.record_of(call_id)
            assert record["outcome"] == "completed"
            assert (await gateway.metrics()).total("bridge_store_dropped_writes_total") == 0
