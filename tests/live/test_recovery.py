"""Calls that lose their session, over real SIP: what the caller hears, and what is known after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise

import numpy as np
import pytest
from aiohttp import web

from bridge.app.gateway import Gateway
from bridge.config.settings import RedisSettings
from bridge.live.call import CallRunner
from bridge.live.summary import CallSummary
from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from tests.live.conftest import StartGateway
from tests.live.peer import TonePeer
from tests.live.service import Service, tone_service
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]

DEAD_AIR_MS = 2_000
"""A longer silence is dead air (`needs.md` (e))."""


@dataclass
class Talk:
    """A call whose agent has begun its greeting."""

    caller: RtpCaller
    service: Service
    first: TonePeer
    gateway: Gateway
    runner: CallRunner

    def longest_silence_ms(self, since_ns: int = 0) -> float:
        """From the first loud packet (after ``since_ns``) to the last, as it came over the wire."""
        loud = [each.arrived_ns for each in self.caller.heard if each.loud]
        loud = [at_ns for at_ns in loud if at_ns >= since_ns]
        return max((later - at_ns for at_ns, later in pairwise(loud)), default=0) / 1e6

    async def heard_loud(self, packets: int, timeout_s: float = 20.0) -> None:
        """Wait for so many more loud packets."""
        count = sum(each.loud for each in self.caller.heard) + packets
        await self.caller.until(
            lambda: sum(each.loud for each in self.caller.heard) >= count, timeout_s
        )

    async def silent(self, packets: int = 10) -> None:
        """Wait until the last packets are silent."""
        await self.caller.until(
            lambda: (
                len(self.caller.heard) > packets
                and not any(each.loud for each in self.caller.heard[-packets:])
            )
        )

    async def over(self) -> CallSummary:
        """Wait for the call's end; return its record."""
        await asyncio.gather(*self.gateway.calls.values())
        return self.runner.record.summary


@asynccontextmanager
async def talking(
    start_gateway: StartGateway,
    *,
    greeting_ms: int,
    life_s: float | None = None,
    environ: dict[str, str] | None = None,
    **arm: object,
) -> AsyncIterator[Talk]:
    """Place a call and let the agent greet; at the end nothing may be left of it."""
    async with tone_service() as (service, url):
        service.tone_ms, service.life_s = greeting_ms, life_s
        gateway, port = await start_gateway(url, environ=environ, **arm)
        idle = set(asyncio.all_tasks())
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
            (runner,) = gateway.calls
            talk = Talk(caller, service, await service.session(1), gateway, runner)
            await talk.heard_loud(1)
            yield talk
        await asyncio.gather(*gateway.calls.values())
        left = {
            task.get_name()
            for task in asyncio.all_tasks() - idle
            if runner.record.summary.call_id in task.get_name()
            or task.get_name().startswith("realtime")
        }
        assert left == set()


def kinds(peer: TonePeer) -> list[str]:
    return [each["type"] for each in peer.sent]


async def redis_events(redis: LocalRedis, summary: CallSummary) -> list[dict[str, str]]:
    async with CallReader(RedisSettings(), redis.url) as reader:
        async with asyncio.timeout(5):
            while True:
                events = [fields for _, fields in await reader.events(summary.call_id)]
                if any(fields["kind"] == "ended" for fields in events):
                    return events
                await asyncio.sleep(0.05)


async def test_drop_in_the_middle_of_an_answer(
    start_gateway: StartGateway, redis: LocalRedis
) -> None:
    async with talking(start_gateway, greeting_ms=1_000) as talk:
        talk.service.tone_ms = 500
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until_sent("response.create")
        await talk.heard_loud(60)  # the rest of the first answer, and the second one
        silence_ms = talk.longest_silence_ms()
        await second.finish_response()
        await talk.silent()
        await talk.caller.hang_up()
        summary = await talk.over()
    print(f"longest silence {silence_ms:.0f} ms")
    assert silence_ms < DEAD_AIR_MS
    assert summary.outcome == "completed"
    (failure,) = summary.failures
    assert (failure.code, failure.layer, failure.fault) == ("close_1006", "connection", "provider")
    told = {each["kind"]: each for each in await redis_events(redis, summary)}
    assert (told["session_lost"]["code"], told["session_lost"]["cure"]) == (
        "close_1006",
        "reconnect",
    )
    assert int(told["session_restored"]["outage_ms"]) < 1_000
    text = talk.gateway.metrics.render()[0].decode()
    labels = 'arm="peer",code="close_1006",fault="provider",layer="connection"'
    assert f"upstream_failures_total{{{labels}}} 1.0" in text
    assert 'upstream_disconnects_total{arm="peer",code="1006",phase="talk"} 1.0' in text


async def test_drop_while_the_bridge_listens_is_unheard(start_gateway: StartGateway) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:
        await talk.first.finish_response()
        await talk.silent()
        loud = sum(each.loud for each in talk.caller.heard)
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until(lambda: second.appended_ms > 500)
        assert sum(each.loud for each in talk.caller.heard) == loud
    assert "response.create" not in kinds(second)


async def test_drop_while_an_answer_is_owed(start_gateway: StartGateway) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:
        await talk.first.finish_response()
        await talk.silent()
        await talk.first.tell(
            "input_audio_buffer.speech_started", item_id="user_1", audio_start_ms=0
        )
        await talk.first.tell(
            "input_audio_buffer.speech_stopped", item_id="user_1", audio_end_ms=100
        )
        await talk.first.tell(
            "input_audio_buffer.committed", item_id="user_1", previous_item_id=None
        )
        await talk.first.tell(
            "conversation.item.input_audio_transcription.completed",
            item_id="user_1",
            content_index=0,
            transcript="Where is my order?",
        )
        await talk.first.until(lambda: talk.first.appended_ms > 0)
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until_sent("response.create")
        await talk.heard_loud(10)
        silence_ms = talk.longest_silence_ms()
    created = [each["item"] for each in second.sent if each["type"] == "conversation.item.create"]
    assert "Where is my order?" in str(created)
    assert kinds(second).index("conversation.item.create") < kinds(second).index("response.create")
    assert silence_ms < DEAD_AIR_MS


async def test_long_outage_is_filled_and_the_tone_stops_for_the_agent(
    start_gateway: StartGateway,
) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:
        talk.service.refusals.append(4.0)
        talk.service.tone_ms = 1_000
        talk.first.drop()
        await talk.silent()
        second = await talk.service.session(2)
        await second.until_sent("response.create")
        await talk.heard_loud(45)
        silence_ms = talk.longest_silence_ms()
        await second.finish_response()
        await talk.silent(75)  # longer than the pause between two tones
        await talk.caller.hang_up()
        summary = await talk.over()
    print(f"longest silence {silence_ms:.0f} ms in an outage of 4 s")
    assert silence_ms < DEAD_AIR_MS
    assert summary.outcome == "completed"
    assert "conversation.item.truncate" not in kinds(second)


async def test_what_the_caller_says_meanwhile_is_sent_after(start_gateway: StartGateway) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:
        talk.service.refusals.append(2.0)
        talk.first.drop()
        time_s = np.arange(8_000) / 8_000
        talk.caller.speak((9_000 * np.sin(2 * np.pi * 300 * time_s)).astype(np.int16))
        second = await talk.service.session(2)
        await second.until(lambda: second.loud_ms > 800 and second.appended_ms > 1_900)
    # The server answers what it hears in there.
    assert "response.create" not in kinds(second)


async def test_refused_reconnects_end_in_the_fallback(
    start_gateway: StartGateway, redis: LocalRedis
) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:
        talk.service.refuse_all = HTTPStatus.SERVICE_UNAVAILABLE
        talk.first.drop()
        await talk.caller.until(talk.caller.ended.is_set, 20)
        silence_ms = talk.longest_silence_ms()
        summary = await talk.over()
    assert (summary.outcome, summary.reason) == ("session_lost", "http_503")
    assert [each.code for each in summary.failures] == ["close_1006", *["http_503"] * 4]
    assert len(talk.service.bearers) == 5
    assert silence_ms < DEAD_AIR_MS
    told = [each for each in await redis_events(redis, summary) if each["kind"] == "gave_up"]
    assert [each["reason"] for each in told] == ["too_many"]


async def test_permanent_refusal_is_not_tried_again(start_gateway: StartGateway) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:
        await talk.first.finish_response()
        await talk.silent()
        error = {
            "type": "invalid_request_error",
            "code": "beta_api_shape_disabled",
            "message": "gone",
            "param": None,
        }
        await talk.first.tell("error", error=error)
        await talk.first.close(4000, "invalid_request_error.beta_api_shape_disabled")
        await talk.caller.until(talk.caller.ended.is_set, 5)
        summary = await talk.over()
    assert len(talk.service.bearers) == 1
    assert (summary.outcome, summary.reason, summary.fault) == (
        "session_lost",
        "beta_api_shape_disabled",
        "config",
    )


async def test_refused_token_is_replaced(start_gateway: StartGateway) -> None:
    granted = 0

    async def grant(request: web.Request) -> web.Response:
        nonlocal granted
        granted += 1
        return web.json_response({"value": f"ek_{granted}", "expires_at": 4_000_000_000})

    app = web.Application()
    app.router.add_post("/client_secrets", grant)
    tokens = web.AppRunner(app)
    await tokens.setup()
    await web.TCPSite(tokens, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{tokens.addresses[0][1]}/client_secrets"
    try:
        async with talking(
            start_gateway,
            greeting_ms=300,
            environ={"KEY": "sk-long-lived"},
            api_key_env="KEY",
            credentials="token",
            token_url=url,
        ) as talk:
            talk.service.refusals.append(HTTPStatus.UNAUTHORIZED)
            talk.first.drop()
            await talk.service.session(2)
    finally:
        await tokens.cleanup()
    assert talk.service.bearers == ["ek_1", "ek_1", "ek_2"]


async def test_session_near_its_end_is_rolled_over_unheard(start_gateway: StartGateway) -> None:
    async with talking(start_gateway, greeting_ms=300, life_s=6) as talk:
        await talk.first.finish_response()
        await talk.silent()
        loud = sum(each.loud for each in talk.caller.heard)
        second = await talk.service.session(2)
        await second.until(lambda: second.appended_ms > 500)
        assert sum(each.loud for each in talk.caller.heard) == loud
        await talk.caller.hang_up()
        summary = await talk.over()
    assert summary.failures == []
    assert "session_restored" in [kind for _, kind in summary.events_ms]
    assert "response.create" not in kinds(second)
    # Every piece of caller audio went to one of the two.
    assert talk.first.appended_ms + second.appended_ms > talk.caller.sent * 20 - 500


async def test_answer_that_stalls_is_filled(start_gateway: StartGateway) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:  # and no response.done
        await talk.heard_loud(70)
        silence_ms = talk.longest_silence_ms()
    print(f"longest silence {silence_ms:.0f} ms with a stalled answer")
    assert silence_ms < DEAD_AIR_MS
