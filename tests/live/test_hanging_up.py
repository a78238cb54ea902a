"""Callers who hang up at the worst moment: in the middle of a word, and before it rings."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from bridge.config.settings import RedisSettings
from bridge.engine.news import Speaker
from bridge.live.audio import PHONE_HOLDS_MS
from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from tests.live.conftest import StartGateway
from tests.live.service import tone_service
from tests.live.talk import redis_call, talking
from tests.support.machine import Timing
from tests.support.raw_phone import RawPhone
from tests.support.rtp_caller import FRAME_SAMPLES, RtpCaller
from tests.support.waiting import until_written, wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

WORD_PACKETS = 25


async def test_word_that_the_hanging_up_cuts_off_does_not_keep_the_call(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pump has not looked at yet is looked at when the line goes: it ducks the agent."""
    noise = np.random.default_rng(1).normal(0, 8000, WORD_PACKETS * FRAME_SAMPLES)
    async with talking(start_gateway, greeting_ms=8_000) as talk:
        await talk.heard_loud(25)
        services = talk.runner._services
        monkeypatch.setattr(services.pump, "tick", lambda: None)
        talk.caller.speak(noise.astype(np.int16))
        await talk.caller.until(lambda: not talk.caller.speaking)
        await talk.caller.hang_up()
        async with asyncio.timeout(60):
            summary = await talk.over()
        assert (summary.outcome, summary.reason) == ("completed", "caller_hung_up")
        assert services.endpoint.rows_in_use == 0


async def test_answer_that_the_hanging_up_cuts_is_put_down_as_far_as_it_was_heard(
    start_gateway: StartGateway,
    timing: Timing,
) -> None:
    async with talking(start_gateway, greeting_ms=8_000) as talk:
        await talk.heard_loud(50)
        await talk.caller.hang_up()
        summary = await talk.over()
        heard_ms = talk.loud * 20
    (turn,) = summary.turns
    assert (turn.speaker, turn.text, turn.interrupted) == (Speaker.AGENT, "", False)
    assert turn.heard_ms is not None
    timing.check("heard", turn.heard_ms, least_ms=heard_ms - 100, most_ms=heard_ms + 100)


async def test_bye_comes_when_a_phone_has_played_the_goodbye(start_gateway: StartGateway) -> None:
    """A phone drops what is in its jitter buffer when BYE comes: the last word of a goodbye."""
    agent = {"instructions": "Be a test.", "greeting": "Hello.", "tools": [{"name": "end_call"}]}
    async with talking(start_gateway, greeting_ms=600, dialplan={"agent": agent}) as talk:
        await talk.first.heard()
        wanted = {"call_id": "call_1", "name": "end_call", "arguments": "{}"}
        item = {"type": "function_call", "id": "s1_call", "status": "completed", **wanted}
        at = {"response_id": "s1_resp_1", "output_index": 1}
        await talk.first.tell("response.output_item.done", item=item, **at)
        await talk.first.finish_response()
        await talk.caller.until(talk.caller.ended.is_set)
        summary = await talk.over()
        loud = [number for number, each in enumerate(talk.caller.heard) if each.loud]
        after_ms = (len(talk.caller.heard) - 1 - loud[-1]) * 20
    assert summary.reason == "end_call"
    assert len(loud) * 20 >= 600
    assert after_ms >= PHONE_HOLDS_MS - 20


async def test_invite_that_is_cancelled_in_the_same_poll_is_begun_and_ended(
    start_gateway: StartGateway, redis: LocalRedis, tmp_path: Path
) -> None:
    """Its end must not be told before its beginning: Redis would have it active for ever."""
    async with tone_service() as (service, url):
        _, port = await start_gateway(url)
        async with RtpCaller(port) as caller:
            caller.invite()
            caller.cancel()
            assert await caller.answered() == 487
        line = json.loads(await until_written(tmp_path / "calls.jsonl", "the call has no record"))
        assert (line["outcome"], line["answered_at"]) == ("cancelled", None)
        async with CallReader(RedisSettings(), redis.url) as reader:

            async def ended() -> bool:
                return "ended_at" in (await reader.call(line["call_id"]) or {})

            await wait_until(ended, "Redis knows of no end of the call")
            assert line["call_id"] not in await reader.active()
        assert service.sessions == []


async def test_a_caller_who_vanishes_is_lost_and_the_carrier_answers_for_it(
    start_gateway: StartGateway, redis: LocalRedis
) -> None:
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url, sip={"far_end_silent_s": 1})
        async with RawPhone(port) as phone:
            await phone.invite().answered()
            (runner,) = gateway.calls
            await asyncio.gather(*gateway.calls.values())
        summary = runner.record.summary
    assert (summary.outcome, summary.fault, summary.reason) == (
        "caller_lost",
        "carrier",
        "no_media",
    )
    assert (await redis_call(redis, summary))["outcome"] == "caller_lost"
