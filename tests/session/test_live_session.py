"""A Live session over a real WebSocket: its opening, its farewell, and servers of another kind."""

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection

from bridge.clock import SystemClock
from bridge.errors import UpstreamError
from bridge.realtime.commands import AppendAudio, CreateResponse
from bridge.realtime.duplex_events import SessionClosed, VoiceDelta
from bridge.realtime.items import ContentPart, Message, PartKind, Role
from bridge.realtime.live import LiveDialect
from bridge.realtime.session_config import Backend, SessionConfig
from bridge.session.access import Access
from bridge.session.realtime import Endpoint, RealtimeSession
from tests.session.peer import KEY, QUICK, Heard, error_event, event, receive, serving
from tests.session.peer import session_event as realtime_event
from tests.support.waiting import wait_until

CONFIG = SessionConfig(instructions="Be kind.", backend=Backend("gpt-5.6-luna"))
TALK = (Message(Role.USER, (ContentPart(PartKind.INPUT_TEXT, "Hello?"),)),)


def live_session(url: str, heard: Heard) -> RealtimeSession:
    return RealtimeSession(
        Endpoint(url, "gpt-live-1", Access(key=KEY), model_parameter=None),
        LiveDialect(),
        QUICK,
        clock=SystemClock(),
        on_event=lambda *told: heard.events.append(told),
        on_closed=heard.closed.append,
        on_protocol_error=heard.protocol_errors.append,
    )


def started(**more: object) -> str:
    session = {"id": "live_1", "model": "gpt-live-1", "status": "active", "expires_at": 9, **more}
    return event("session.started", session=session)


async def refusal(script: object) -> UpstreamError:
    heard = Heard()
    async with serving(script) as url:  # type: ignore[arg-type]  # each is a Script
        session = live_session(url, heard)
        with pytest.raises(UpstreamError) as caught:
            await session.open(CONFIG)
        await session.aclose()
    assert heard.closed == []
    assert KEY not in str(caught.value)
    return caught.value


async def test_first_frame_starts_the_session_and_the_last_ends_it() -> None:
    seen: dict[str, object] = {}

    async def script(peer: ServerConnection) -> None:
        assert peer.request is not None
        seen["path"] = peer.request.path
        start = await receive(peer)
        seen["start"] = start
        await peer.send(started())
        seen["audio"] = (await receive(peer))["type"]
        seen["said"] = (await receive(peer))["type"]
        await peer.send('{"type":"session.output_audio.delta","delta":"!!!"}')
        await peer.send('{"type":"session.output_audio.delta","delta":"AQID"}')
        await peer.send('{"type":"session.output_audio.delta","delta":"BA=="}')
        await peer.send('{"type":"session.hologram","event_id":"event_x"}')
        seen["end"] = (await receive(peer))["type"]
        await peer.send(event("session.closed", reason="close_requested", usage={"seconds": 1.0}))
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = live_session(url, heard)
        info = await session.open(CONFIG, TALK)
        assert (info.session_id, info.expires_at_s) == ("live_1", 9)
        session.send(AppendAudio(b"\0\0" * 960))
        session.send(CreateResponse())
        await wait_until(lambda: session.stats.unknown_events == 1, "the last of it did not come")
        await session.aclose()
    start = seen["start"]
    assert isinstance(start, dict)
    assert seen["path"] == "/v1/realtime"  # as it was written, without a query
    assert start["session"]["model"] == "gpt-live-1"
    assert start["session"]["input"][0]["content"] == [{"type": "input_text", "text": "Hello?"}]
    assert [seen[each] for each in ("audio", "said", "end")] == [
        "session.input_audio.append",
        "session.commentary.append",
        "session.close",
    ]
    voice = b"".join(e.audio for e, _ in heard.events if isinstance(e, VoiceDelta))
    assert voice == b"\x01\x02\x03\x04"  # whole samples, wherever the stream was cut
    assert len(heard.protocol_errors) == 1
    assert heard.protocol_errors[0].loses_audio
    assert heard.closed == [None]


async def test_farewell_that_nobody_answers_ends_within_the_close_timeout() -> None:
    async def script(peer: ServerConnection) -> None:
        await receive(peer)
        await peer.send(started())
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = live_session(url, heard)
        await session.open(CONFIG)
        async with asyncio.timeout(30):
            await session.aclose()
    assert heard.closed == [None]


async def test_server_of_the_realtime_api_at_that_place_is_refused_by_its_own_word() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(realtime_event("session.created"))
        await receive(peer)
        await peer.send(error_event("invalid_value", param="type"))
        await peer.wait_closed()

    assert (await refusal(script)).code == "invalid_value"


async def test_server_that_says_nothing_of_a_start_is_left_in_time() -> None:
    async def script(peer: ServerConnection) -> None:
        await peer.send(realtime_event("session.created"))
        await peer.wait_closed()

    error = await refusal(script)
    assert error.code == "timeout"
    assert "session.started" in str(error)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (error_event("unknown_parameter", param="session.speed"), "unknown_parameter"),
        (error_event("model_not_found"), "model_not_found"),
        (event("session.closed", reason="content", usage={}), "session_closed_content"),
        (event("session.closed", reason="bored"), "session_closed_other"),
    ],
)
async def test_start_that_is_answered_with_something_else(answer: str, code: str) -> None:
    async def script(peer: ServerConnection) -> None:
        await receive(peer)
        await peer.send(answer)
        await peer.wait_closed()

    assert (await refusal(script)).code == code


async def test_session_that_its_service_ends_in_the_middle_of_a_word() -> None:
    async def script(peer: ServerConnection) -> None:
        await receive(peer)
        await peer.send(started())
        await peer.send('{"type":"session.output_audio.delta","delta":"AQIDBA=="}')
        await peer.send(event("session.closed", reason="expired", usage={"seconds": 3.0}))

    heard = Heard()
    async with serving(script) as url:
        session = live_session(url, heard)
        await session.open(CONFIG)
        await wait_until(lambda: heard.closed, "nobody learned of the end")
        await session.aclose()
    told = [e for e, _ in heard.events if isinstance(e, SessionClosed)]
    assert [(each.reason, each.seconds) for each in told] == [("expired", 3.0)]
    assert heard.closed[0] is not None
