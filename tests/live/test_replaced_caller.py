"""An attended transfer to the bridge: another caller takes the first one's place in the call."""

import json

import pytest

from bridge.store.local import LocalRedis
from tests.audio.signals import tone
from tests.live.conftest import StartGateway
from tests.live.sip_kept import kept
from tests.live.talk import Talk, redis_call, redis_events, talking
from tests.support.raw_phone import Received
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]


def replacing(caller: RtpCaller) -> str:
    """Return the header lines of an INVITE that takes a caller's place."""
    own, far = (caller.header(name).partition(";tag=")[2] for name in ("From", "To"))
    return f"Replaces: {caller.header('Call-ID')};to-tag={far};from-tag={own}\r\nAllow: ACK, BYE"


async def heard_by(caller: RtpCaller) -> None:
    await caller.until(lambda: sum(each.loud for each in caller.heard) > 25)


async def test_agent_record_and_recording_go_on(
    start_gateway: StartGateway, redis: LocalRedis
) -> None:
    async with talking(start_gateway, greeting_ms=60_000) as talk:
        first = talk.caller.header("Call-ID")
        async with RtpCaller(talk.caller.port) as other:
            assert await other.call(more=replacing(talk.caller)) == 200
            await talk.caller.until(talk.caller.ended.is_set)
            await heard_by(other)
            assert list(talk.gateway.calls) == [talk.runner]
            heard_ms = talk.first.loud_ms
            other.speak(tone(440, 8_000, 8_000, amplitude=8_000))
            await talk.first.until(lambda: talk.first.loud_ms > heard_ms + 500)
            await other.hang_up()
            second = other.header("Call-ID")
        summary = await talk.over()
        assert len(talk.service.sessions) == 1
    assert (summary.outcome, summary.sip_call_id) == ("completed", second)
    assert [each.sip_call_id for each in summary.replaced] == [first]
    events = await redis_events(redis, summary)
    assert [each["sip_call_id"] for each in events if each["kind"] == "caller_replaced"] == [second]
    assert (await redis_call(redis, summary))["from"] == summary.caller
    assert summary.recording is not None
    record = json.loads(
        (talk.gateway._settings.media.recordings_dir / f"{summary.call_id}.json").read_text()
    )
    assert record["replaced"][0]["sip_call_id"] == first
    directory = talk.gateway._settings.media.recordings_dir
    _, messages = await kept(directory, summary.call_id)
    dialogs = [Received(each["text"]).header("Call-ID") for each in messages]
    assert set(dialogs) == {first, second}
    assert (dialogs[0], dialogs[-1]) == (first, second)
    assert record["duration_ms"] > 1_000


async def test_a_full_or_draining_node_lets_its_callers_be_replaced(
    start_gateway: StartGateway,
) -> None:
    async with talking(start_gateway, greeting_ms=60_000, sip={"max_calls": 1}) as talk:
        async with RtpCaller(talk.caller.port) as stranger:
            assert await stranger.call() == 503
        async with RtpCaller(talk.caller.port) as other:
            assert await other.call(more=replacing(talk.caller)) == 200
            await heard_by(other)
            await other.hang_up()
        await _ended(talk)


async def test_a_caller_on_hold_comes_back_as_another(start_gateway: StartGateway) -> None:
    async with talking(start_gateway, greeting_ms=60_000) as talk:
        leg = talk.runner._leg
        leg.listener.on_media(False)  # the far end holds
        async with RtpCaller(talk.caller.port) as other:
            assert await other.call(more=replacing(talk.caller)) == 200
            await heard_by(other)
            await other.hang_up()
        await _ended(talk)


async def _ended(talk: Talk) -> None:
    assert (await talk.over()).outcome == "completed"
