"""Sessions with servers of a flavour that misbehave: floods of pings, odd first events, silence."""

import json
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bridge.clock import SystemClock
from bridge.errors import UpstreamError
from bridge.realtime.commands import TruncateItem
from bridge.realtime.dialects import dialect_of
from bridge.realtime.ids import ItemId
from bridge.realtime.session_config import SessionConfig
from bridge.session.access import Access
from bridge.session.realtime import Endpoint, RealtimeSession
from tests.session.peer import KEY, QUICK, Heard, event, receive, serving, session_event

CONFIG = SessionConfig()
PING = event("ping", timestamp=1)


def session_at(url: str, flavour: str, heard: Heard, *, fresh: str = "") -> RealtimeSession:
    return RealtimeSession(
        Endpoint(url, "m-1", Access(KEY), fresh_parameter=fresh),
        dialect_of("beta" if flavour == "qwen" else "ga", flavour),
        QUICK,
        clock=SystemClock(),
        on_event=heard.on_event,
        on_closed=heard.on_closed,
        on_protocol_error=heard.on_protocol_error,
    )


async def test_flood_of_pings_and_unknown_events_before_the_first_one_hides_nothing() -> None:
    async def script(peer: ServerConnection) -> None:
        for _ in range(2_000):
            await peer.send(PING)
        await peer.send(event("hello.there"))
        await peer.send(event("conversation.created", conversation={"id": "conv_1"}))
        await receive(peer)
        for _ in range(2_000):
            await peer.send(PING)
        await peer.send(event("session.updated", session={}))
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        session = session_at(url, "xai", heard)
        info = await session.open(CONFIG)
        assert info.session_id == "conv_1"
        await session.aclose()
    assert heard.kinds() == ["UnknownEvent", "ConversationCreated", "SessionUpdated"]
    assert (session.stats.quiet_events, session.stats.unknown_events) == (4_000, 1)


async def test_server_that_waits_for_the_update_is_not_waited_for() -> None:
    got: list[dict[str, object]] = []

    async def script(peer: ServerConnection) -> None:
        with suppress(ConnectionClosed):  # of one that waits for the server instead
            await hear(peer)

    async def hear(peer: ServerConnection) -> None:
        got.append(await receive(peer))
        await peer.send(session_event("session.created"))
        await peer.send(session_event("session.updated"))
        await peer.wait_closed()

    async with serving(script) as url:
        session = session_at(url, "vllm-omni", Heard())
        await session.open(CONFIG)
        await session.aclose()
        assert json.loads(json.dumps(got[0]["session"]))["model"] == "m-1"
        mistaken = session_at(url, "openai", Heard())
        with pytest.raises(UpstreamError, match=r"session\.created"):
            await mistaken.open(CONFIG)
        await mistaken.aclose()


async def test_each_connection_has_an_id_of_its_own() -> None:
    asked: list[str] = []

    async def script(peer: ServerConnection) -> None:
        assert peer.request is not None
        asked.append(peer.request.path)
        await peer.send(session_event("session.created"))
        await receive(peer)
        await peer.send(session_event("session.updated"))
        await peer.wait_closed()

    async with serving(script) as url:
        for _ in range(2):
            session = session_at(url, "inworld", Heard(), fresh="key")
            await session.open(CONFIG)
            await session.aclose()
    first, second = asked
    assert first != second
    assert all("key=call-" in each and "model=m-1" in each for each in asked)


async def test_command_that_a_server_does_not_take_never_leaves() -> None:
    got: list[str] = []

    async def script(peer: ServerConnection) -> None:
        await peer.send(session_event("session.created"))
        await receive(peer)
        await peer.send(session_event("session.updated"))
        async for frame in peer:
            got.append(json.loads(frame)["type"])

    async with serving(script) as url:
        session = session_at(url, "qwen", Heard())
        await session.open(CONFIG)
        for _ in range(3):
            session.send(TruncateItem(ItemId("i"), 0, 10))
        session.append(bytes(960))
        await session.aclose()
    assert got == ["input_audio_buffer.append"]
    assert session.stats.commands_left_out == 3
