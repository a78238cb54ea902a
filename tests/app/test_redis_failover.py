"""A Redis master is killed under live calls: they go on, and their state is with the new one."""

import time
from pathlib import Path

import pytest

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from tests.app.test_serve_state import ANSWER, QUESTION, talking
from tests.support.gateways import CallsInRedis, serving, write_dialplan
from tests.support.redis_sentinels import watched
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]


async def test_calls_go_on_and_their_state_is_with_the_new_master(
    simulator: str, tmp_path: Path
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    with watched() as them:
        await them.until_watched()
        first, second = them.servers
        url = them.url()
        with serving(tmp_path, simulator, dialplans, redis_url=url) as gateway:
            async with talking(gateway, url) as (caller, call_id):
                first.stop()
                killed_s = time.monotonic()
                caller.speak(downsample_whole(Synthesizer("en-us", 150).say(QUESTION)))
                async with RtpCaller(gateway.sip_port) as another:
                    assert await another.call() == 200
                    await them.until_master(second)
                    named_s = time.monotonic() - killed_s
                    async with CallsInRedis(second.url) as calls:
                        later = await calls.until_another({call_id})
                        written_s = time.monotonic() - killed_s
                        assert await calls.until_spoken(call_id, "agent", 2) == ANSWER
                        await another.hang_up()
                        assert (await calls.until_ended(later))["outcome"] == "completed"
                await caller.hang_up()
            async with CallsInRedis(second.url) as calls:
                state = await calls.until_ended(call_id)
                told = [fields["kind"] for _, fields in await calls.reader.events(call_id)]
            record = await gateway.record_of(call_id)
            dropped = (await gateway.metrics()).value("bridge_store_dropped_writes_total")
    assert (state["outcome"], state["fault"]) == ("completed", "none")
    assert told.count("ended") == 1
    assert [turn["text"] for turn in record["turns"]] == [QUESTION, ANSWER, QUESTION, ANSWER]
    assert dropped == 0
    print(f"another master after {named_s:.1f} s, a call written after {written_s:.1f} s")
