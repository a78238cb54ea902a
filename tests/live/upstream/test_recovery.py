"""Calls that lose their session, over real SIP: what the caller hears, and what is known after."""

from http import HTTPStatus

import numpy as np
import pytest
from aiohttp import web

from bridge.store.local import LocalRedis
from tests.live.conftest import StartGateway
from tests.live.peer import TonePeer
from tests.live.talk import DEAD_AIR_MS, redis_events, talking
from tests.support.machine import Timing

pytestmark = [pytest.mark.sip, pytest.mark.redis]


def kinds(peer: TonePeer) -> list[str]:
    return [each["type"] for each in peer.sent]


async def test_drop_in_the_middle_of_an_answer(
    start_gateway: StartGateway, redis: LocalRedis, timing: Timing
) -> None:
    async with talking(start_gateway, greeting_ms=1_000) as talk:
        talk.service.tone_ms = 500
        await talk.first.heard()
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until_sent("response.create")
        await talk.heard_loud(60, since=0)  # the whole of the first answer, and the second one
        silence_ms = talk.longest_silence_ms()
        await second.finish_response()
        await talk.silent()
        await talk.caller.hang_up()
        summary = await talk.over()
    print(f"longest silence {silence_ms:.0f} ms")
    timing.check("silence", silence_ms, most_ms=DEAD_AIR_MS)
    assert summary.outcome == "completed"
    (failure,) = summary.failures
    assert (failure.code, failure.layer, failure.fault) == ("close_1006", "connection", "provider")
    told = {each["kind"]: each for each in await redis_events(redis, summary)}
    assert (told["session_lost"]["code"], told["session_lost"]["cure"]) == (
        "close_1006",
        "reconnect",
    )
    timing.check("outage", int(told["session_restored"]["outage_ms"]), most_ms=1_000)
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
        loud = talk.loud
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until_sent("response.create")
        await talk.heard_loud(10, since=loud)
    created = [each["item"] for each in second.sent if each["type"] == "conversation.item.create"]
    assert "Where is my order?" in str(created)
    assert kinds(second).index("conversation.item.create") < kinds(second).index("response.create")


async def test_long_outage_is_filled_and_the_tone_stops_for_the_agent(
    start_gateway: StartGateway,
    timing: Timing,
) -> None:
    async with talking(start_gateway, greeting_ms=300) as talk:
        talk.service.refusals.append(4.0)
        talk.service.tone_ms = 2_000
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
    timing.check("silence", silence_ms, most_ms=DEAD_AIR_MS)
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
    bounds = {"recovery": {"max_outage_s": 4}}
    async with talking(start_gateway, greeting_ms=300, dialplan=bounds) as talk:
        talk.service.refuse_all = HTTPStatus.SERVICE_UNAVAILABLE
        talk.first.drop()
        await talk.caller.until(talk.caller.ended.is_set)
        summary = await talk.over()
    assert (summary.outcome, summary.reason) == ("session_lost", "http_503")
    first, *others = [each.code for each in summary.failures]
    assert first == "close_1006"
    assert set(others) == {"http_503"}
    assert len(talk.service.bearers) == 1 + len(others)
    told = [each for each in await redis_events(redis, summary) if each["kind"] == "gave_up"]
    assert [each["reason"] for each in told] == ["too_long"]


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
        await talk.caller.until(talk.caller.ended.is_set)
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
        print(f"longest silence {talk.longest_silence_ms():.0f} ms with a stalled answer")
