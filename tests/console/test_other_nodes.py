"""Nodes that serve each other, over TLS and without: audio of calls, and recordings."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from bridge.audio.supervisor_frames import TALK_BYTES, TalkFrame
from bridge.audio.wav import write_wav
from bridge.clock import SystemClock
from bridge.console.access.tokens import CallTokenKind
from bridge.console.other_nodes import UNREACHABLE_CODE
from bridge.console.services import Sources
from bridge.errors import ConfigError
from bridge.recordings.files import CallFiles
from bridge.sip.trace import CallTrace, TracedMessage, encode_trace
from bridge.store.client import RedisLink
from bridge.store.control import Answer
from bridge.store.local import LocalRedis
from tests.console.conftest import Browser, Console, MakeConsole
from tests.console.live import KEYS, Room, Rooms, a_node, begin_call
from tests.console.test_audio import audio_audited, closed_with, opened, token_url
from tests.support.certificates import make_certificate
from tests.support.supervisor_frames import decode_listen, encode_talk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

CALL = "c_00000000000000aa"
PATH = f"/api/v1/calls/{CALL}"


class Nodes:
    """Two of them: the browser is at ``near``, the call was or is at ``far``."""

    def __init__(self, near: Console, far: Console, far_room: Room, far_dir: Path) -> None:
        self.near, self.far = near, far
        self.room = far_room
        self.recording = CallFiles(far_dir, CALL).audio


MakeNodes = Callable[..., Awaitable[Nodes]]


@pytest.fixture
def make_nodes(make_console: MakeConsole, redis: RedisLink, tmp_path: Path) -> MakeNodes:
    async def make(*, tls: bool = False, trusted: bool = True) -> Nodes:
        certificate, key = make_certificate(tmp_path)
        far_tls = {"tls_cert_file": certificate, "tls_key_file": key} if tls else {}
        rooms = Rooms()
        rooms.rooms[CALL] = room = Room()
        near_dir, far_dir = tmp_path / "near", tmp_path / "far"
        far_dir.mkdir()
        far: Console = await make_console(
            clock=SystemClock(), local=rooms, sources=Sources(recordings_dir=far_dir), **far_tls
        )
        near: Console = await make_console(
            clock=SystemClock(),
            sources=Sources(recordings_dir=near_dir, node=lambda: "node-b"),
            node_ca_file=certificate if trusted else None,
        )
        await redis.ask(["HSET", KEYS.node("node-a"), "http", far.url])
        return Nodes(near, far, room, far_dir)

    return make


async def eve_at(console: Console, browser: Browser) -> Browser:
    await console.add_user("eve", "supervisor", routes=("support",))
    await console.sign_in(browser, "eve")
    return browser


def record(nodes: Nodes, seconds: int = 1) -> bytes:
    noise = np.random.default_rng(1).integers(-9_000, 9_000, (8_000 * seconds, 2))
    write_wav(nodes.recording, noise.astype(np.int16), 8_000)
    return nodes.recording.read_bytes()


@pytest.mark.parametrize("tls", [False, True])
async def test_live_audio_goes_between_nodes(
    make_nodes: MakeNodes, redis: RedisLink, tls: bool
) -> None:
    nodes = await make_nodes(tls=tls)
    assert nodes.far.url.startswith("https:" if tls else "http:")
    await begin_call(redis, CALL)
    async with nodes.near.browser() as browser:
        eve = await eve_at(nodes.near, browser)
        async with opened(eve, await token_url(eve, "listen", CALL)) as socket:
            await wait_until(lambda: nodes.room.listeners, "nobody listens")
            nodes.room.say(50)
            frames = [decode_listen((await socket.receive(timeout=5)).data) for _ in range(50)]
            assert [each.sequence for each in frames] == list(range(50))
        await wait_until(lambda: not nodes.room.listeners, "the listener was left")
        async with opened(eve, await token_url(eve, "talk", CALL)) as socket:
            await wait_until(lambda: nodes.room.voices == ["eve"], "no microphone")
            frame = TalkFrame(1, 20, bytes(TALK_BYTES))
            await socket.send_bytes(encode_talk(frame))
            await wait_until(lambda: nodes.room.heard == [("eve", frame)], "nothing was said")
        await wait_until(lambda: not nodes.room.voices, "the microphone was left")
    assert await audio_audited(nodes.near) == ["listen: over, 50 frames", "talk: over, 1 frames"]


@pytest.mark.parametrize("kind", ["listen", "talk"])
async def test_page_hears_that_the_calls_node_was_lost_and_may_try_again(
    make_nodes: MakeNodes, redis: RedisLink, kind: str
) -> None:
    nodes = await make_nodes()
    await begin_call(redis, CALL)
    async with nodes.near.browser() as browser:
        eve = await eve_at(nodes.near, browser)
        async with opened(eve, await token_url(eve, kind, CALL)) as socket:
            there = nodes.room.listeners if kind == "listen" else nodes.room.voices
            await wait_until(lambda: there, "nobody is there")
            await nodes.far.aclose()
            await socket.receive(timeout=5)
            assert socket.close_code == UNREACHABLE_CODE


@asynccontextmanager
async def node_that_ends_with(last: bytes) -> AsyncIterator[str]:
    """Serve a node's address; each WebSocket there is opened, gets these bytes, and is cut off."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        (key,) = re.findall(r"(?im)^sec-websocket-key: *(\S+)", request)
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + last
        )
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("kind", ["listen", "talk"])
@pytest.mark.parametrize("last", [b"", b"\x88\x00"], ids=["cut off", "closed without a code"])
async def test_connection_that_ends_without_a_code_was_lost(
    make_nodes: MakeNodes, redis: RedisLink, kind: str, last: bytes
) -> None:
    """RFC 6455 sections 5.5.1 and 7.1.5: nothing, or a close frame without a body."""
    nodes = await make_nodes()
    await begin_call(redis, CALL)
    async with node_that_ends_with(last) as url, nodes.near.browser() as browser:
        await redis.ask(["HSET", KEYS.node("node-a"), "http", url])
        eve = await eve_at(nodes.near, browser)
        assert await closed_with(eve, await token_url(eve, kind, CALL)) == UNREACHABLE_CODE


async def test_node_whose_certificate_nobody_knows_is_not_believed(
    make_nodes: MakeNodes, redis: RedisLink
) -> None:
    nodes = await make_nodes(tls=True, trusted=False)
    await begin_call(redis, CALL)
    record(nodes)
    async with nodes.near.browser() as browser:
        eve = await eve_at(nodes.near, browser)
        assert await closed_with(eve, await token_url(eve, "listen", CALL)) == UNREACHABLE_CODE
        await redis.ask(["HSET", KEYS.call(CALL), "ended_at", "1"])
        status, told = await eve.get(f"{PATH}/recording")
        assert status == 409
        assert nodes.far.url in told["detail"]


@pytest.mark.parametrize("tls", [False, True])
async def test_recording_of_another_node_is_played_and_audited_here(
    make_nodes: MakeNodes, redis: RedisLink, tls: bool
) -> None:
    nodes = await make_nodes(tls=tls)
    await begin_call(redis, CALL, ended_at="1")
    content = record(nodes)
    async with nodes.near.browser() as browser:
        eve = await eve_at(nodes.near, browser)
        assert (await eve.get(PATH))[1]["recording"] is True
        async with eve.http.get(f"{PATH}/recording") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "audio/wav"
            assert await answer.read() == content
        wanted = {"Range": "bytes=100-199"}
        async with eve.http.get(f"{PATH}/recording", headers=wanted) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes 100-199/{len(content)}"
            assert await answer.read() == content[100:200]
        async with eve.http.get(f"{PATH}/recording", headers={"Range": "bytes=9999999-"}) as answer:
            assert answer.status == 416
        status, outline = await eve.get(f"{PATH}/outline?width=50")
        assert (status, outline["duration_ms"], len(outline["caller"])) == (200, 1_000, 50)
    entries = [fields for _, fields in await nodes.near.services.auditor.audit.latest(10)]
    assert [(each["actor"], each["action"]) for each in entries] == [("eve", "play recording")]


async def test_answer_says_which_node_has_a_recording_that_cannot_be_had(
    make_nodes: MakeNodes, redis: RedisLink
) -> None:
    nodes = await make_nodes()
    await begin_call(redis, CALL, ended_at="1")
    async with nodes.near.browser() as browser:
        eve = await eve_at(nodes.near, browser)
        status, told = await eve.get(f"{PATH}/recording")  # it was not recorded
        assert (status, "node-a" in told["detail"]) == (404, True)
        assert (await eve.get(PATH))[1]["recording"] is False
        await nodes.far.aclose()
        status, told = await eve.get(f"{PATH}/recording")
        assert status == 409
        assert "node-a" in told["detail"]
        assert nodes.far.url in told["detail"]
        await redis.ask(["DEL", KEYS.node("node-a")])
        for path in ("recording", "outline"):
            status, told = await eve.get(f"{PATH}/{path}")
            assert (status, "node-a" in told["detail"]) == (409, True)
            assert f"{CALL}.wav" in told["detail"]
        assert await nodes.near.services.auditor.audit.latest(10) == []  # nothing was played
        await redis.ask(["HSET", KEYS.call(CALL), "node", "node-b"])  # this very node
        assert (await eve.get(f"{PATH}/recording"))[0] == 404


@pytest.mark.parametrize("ended", [{}, {"ended_at": "1"}])
async def test_sip_messages_come_from_the_node_that_took_the_call(
    make_nodes: MakeNodes, redis: RedisLink, redis_server: LocalRedis, ended: dict[str, str]
) -> None:
    nodes = await make_nodes()
    await begin_call(redis, CALL, **ended)
    text = "BYE sip:+15550123456@x SIP/2.0\r\nReason: a;text=+15550123456\r\n\r\n"
    message = TracedMessage(0, False, "caller", "l:1", "f:2", "UDP", text)
    trace = encode_trace(CallTrace({"call_id": CALL}, (message,))).decode()
    async with (
        nodes.near.browser() as browser,
        a_node(redis_server.url, redis, SystemClock()) as far,
    ):
        eve = await eve_at(nodes.near, browser)
        far.answer = Answer.refused("unknown_call")
        status, told = await eve.get(f"{PATH}/sip")
        assert (status, told["messages"]) == (200, [])
        assert "node-a keeps no SIP messages" in told["missing"]
        far.answer = Answer(True, result={"trace": trace})
        status, told = await eve.get(f"{PATH}/sip")
        assert (status, [each["what"] for each in told["messages"]]) == (200, ["BYE"])
        assert "15550123456" not in str(told)
        assert {(each.action, each.call_id, each.by) for each in far.commands} == {
            ("sip", CALL, "eve")
        }
        await redis.ask(["DEL", KEYS.node("node-a")])
        assert "node-a" in (await eve.get(f"{PATH}/sip"))[1]["missing"]
        await nodes.near.add_user("sam", "supervisor", routes=("sales",))
        await nodes.near.sign_in(browser, "sam")
        assert (await browser.get(f"{PATH}/sip"))[0] == 404
        assert len(far.commands) == 2


async def test_recording_is_for_nodes_with_a_token_for_it(
    make_nodes: MakeNodes, redis: RedisLink
) -> None:
    nodes = await make_nodes()
    await begin_call(redis, CALL, ended_at="1")
    record(nodes)
    tokens = nodes.near.services.tokens
    good, _ = await tokens.issue("eve", CALL, CallTokenKind.RELAY_RECORDING)
    listen, _ = await tokens.issue("eve", CALL, CallTokenKind.RELAY_LISTEN)
    other, _ = await tokens.issue("eve", "c_00000000000000bb", CallTokenKind.RELAY_RECORDING)
    path = f"/api/v1/relay/calls/{CALL}/recording"
    async with aiohttp.ClientSession(nodes.far.url) as node:
        for token, status in (("", 403), (listen, 403), (other, 403), (good, 200), (good, 403)):
            async with node.get(path, params={"token": token}) as answer:
                assert answer.status == status
        for bad in ("..%2F..%2Fetc%2Fpasswd", "a.b", "x" * 65):
            token, _ = await tokens.issue("eve", bad, CallTokenKind.RELAY_RECORDING)
            url = f"/api/v1/relay/calls/{bad}/recording"
            async with node.get(url, params={"token": token}) as answer:
                assert answer.status in (404, 422), bad


async def test_role_and_route_decide_about_recordings_of_other_nodes(
    make_nodes: MakeNodes, redis: RedisLink
) -> None:
    nodes = await make_nodes()
    await begin_call(redis, CALL, ended_at="1")
    record(nodes)
    async with nodes.near.browser() as browser:
        for role, routes, status in (
            ("operator", ("*",), 403),
            ("supervisor", ("billing",), 404),
            ("qa", ("support",), 200),
        ):
            await nodes.near.add_user(role, role, routes=routes)
            await nodes.near.sign_in(browser, role)
            async with browser.http.get(f"{PATH}/recording") as answer:
                assert answer.status == status


async def test_certificate_that_cannot_be_read_is_a_config_error(
    make_console: MakeConsole, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="node_ca_file"):
        await make_console(node_ca_file=tmp_path / "none.pem")
