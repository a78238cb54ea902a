"""What a call leaves in the metrics, where no other test looks; over real SIP."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bridge.app.gateway import Gateway
from bridge.live import audio
from bridge.softphone.sip_message import audio_sdp
from bridge.telemetry.scrape import Scrape
from tests.live.conftest import StartGateway
from tests.live.service import tone_service
from tests.live.talk import talking
from tests.session.peer import accept
from tests.support.rtp import RtpPeer
from tests.support.rtp_caller import RtpCaller
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]


def scrape(gateway: Gateway) -> Scrape:
    return Scrape.parse(gateway.metrics.render()[0].decode())


async def call_at(
    start_gateway: StartGateway,
    talk: Callable[[ServerConnection], Awaitable[None]],
    status: int,
    until: Callable[[Scrape], bool],
) -> Scrape:
    """Place a call whose service does ``talk``; return the metrics after it."""
    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        gateway, sip_port = await start_gateway(f"ws://127.0.0.1:{port}/v1/realtime", model="m")
        async with RtpCaller(sip_port) as caller:
            assert await caller.call() == status
            await wait_until(lambda: until(scrape(gateway)))
        await asyncio.gather(*gateway.calls.values())
    return scrape(gateway)


async def _mute(peer: ServerConnection) -> None:
    await accept(peer)
    await peer.wait_closed()


async def test_call_in_which_nothing_is_heard_is_silent_and_its_session_is_closed_by_us(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "SILENT_AFTER_S", 0.2)
    silent = "bridge_silent_calls_total"
    seen = await call_at(start_gateway, _mute, 200, lambda now: now.value(silent) > 0)
    assert seen.value(silent, arm="peer") == 1
    ended = "bridge_upstream_disconnects_total"
    assert seen.value(ended) == seen.value(ended, arm="peer", code="1000", phase="close") == 1


async def test_session_that_is_closed_while_it_is_set_up_tells_its_close_code(
    start_gateway: StartGateway,
) -> None:
    async def close(peer: ServerConnection) -> None:
        await peer.close(4000)

    failures = "bridge_upstream_connect_failures_total"
    seen = await call_at(start_gateway, close, 503, lambda now: now.value(failures) > 0)
    assert seen.value(failures, arm="peer", reason="close_4000") == seen.value(failures)
    ended = "bridge_upstream_disconnects_total"
    assert seen.value(ended, arm="peer", code="4000", phase="setup") == seen.value(failures)


async def test_caller_who_is_put_through_waits_in_a_queue_and_is_heard_before_that(
    start_gateway: StartGateway,
) -> None:
    fallback = {"then": "transfer", "to": "sip:queue@127.0.0.1:5070"}
    during: list[Scrape] = []
    async with talking(start_gateway, greeting_ms=300, dialplan={"fallback": fallback}) as talk:
        caller, gateway = talk.caller, talk.gateway

        def on_refer(refer: str) -> None:
            during.append(scrape(gateway))
            caller.respond(refer, "603 Decline")

        caller.on_refer = on_refer
        await talk.first.finish_response()
        talk.service.refuse_all = HTTPStatus.FORBIDDEN
        await talk.first.close(4000, "invalid_request_error.beta_api_shape_disabled")
        await caller.until(lambda: bool(during))
        await caller.hang_up()
        await talk.over()
    assert during[0].value("bridge_queue_waiting", queue="fallback") == 1
    after = scrape(gateway)
    assert after.value("bridge_queue_waiting", queue="fallback") == 0
    assert after.value("bridge_queue_oldest_timestamp_seconds", queue="fallback") == 0
    assert after.value("bridge_queue_wait_seconds_count", queue="fallback") == 1
    assert after.value("bridge_silent_calls_total") == 0


BY_SERVICE = {
    "agent": {
        "instructions": "Be a test.",
        "greeting": "Hello.",
        "barge_in": {"decided_by": "service"},
    }
}


async def test_interruption_whose_session_goes_before_the_answer_has_failed(
    start_gateway: StartGateway,
) -> None:
    async with talking(start_gateway, greeting_ms=4_000, dialplan=BY_SERVICE) as talk:
        # Attempts that fail are no further losses.
        talk.service.refusals += [HTTPStatus.SERVICE_UNAVAILABLE] * 2
        await talk.first.tell(
            "input_audio_buffer.speech_started", item_id="user_1", audio_start_ms=0
        )
        await talk.first.until_sent("conversation.item.truncate")
        talk.first.drop()
        second = await talk.service.session(2)
        await second.until(lambda: second.appended_ms > 200)
        await talk.caller.hang_up()
        await talk.over()
        seen = scrape(talk.gateway)
    recoveries = "bridge_interruption_recoveries_total"
    assert seen.value(recoveries, arm="peer", result="session_lost") == 1
    assert seen.value(recoveries) == 1
    assert seen.value("bridge_upstream_sessions_lost_total", arm="peer") == 1


async def test_reinvite_of_an_answered_call_is_counted(start_gateway: StartGateway) -> None:
    async with tone_service() as (_, url):
        gateway, port = await start_gateway(url)
        async with SipPeer(port) as peer, RtpPeer() as rtp:
            dialog = peer.call("support", audio_sdp(rtp.port, (0,)))
            assert (await dialog.final()).status == 200
            assert scrape(gateway).value("bridge_media_reinvites_total") == 0
            held = audio_sdp(rtp.port, (0,), direction="sendonly", version=2)
            for sdp in (held, audio_sdp(rtp.port, (0,), version=3)):
                assert (await dialog.reinvite(sdp)).status == 200
            await wait_until(
                lambda: scrape(gateway).value("bridge_media_reinvites_total") == 2, "no count"
            )
            await dialog.bye()
        await asyncio.gather(*gateway.calls.values())
