"""A picture by the API: who may show one, what is refused, where its bytes go and where not."""

import base64
import io
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from bridge.clock import SystemClock
from bridge.console.access.tokens import CallTokenKind
from bridge.console.services import Sources
from bridge.realtime.pictures import MAX_PICTURE_BYTES
from bridge.store.client import RedisLink
from bridge.store.control import Answer
from bridge.store.local import LocalRedis
from tests.console.conftest import Browser, Console, MakeConsole
from tests.console.live import KEYS, Node, Room, Rooms, a_node, begin_call
from tests.console.test_actions import audited
from tests.docs.pages import ROOT, read
from tests.support.pictures import as_json, chunk, digest, jpeg, png

pytestmark = pytest.mark.redis

ROOF = png(64, 48)
PATH = "/api/v1/calls/c_1/picture"


@pytest.fixture
async def eve(console: Console, browser: Browser, redis: RedisLink, rooms: Rooms) -> Browser:
    """A supervisor's browser; there is a call on this node."""
    await console.add_user("eve", "supervisor", routes=("support",))
    await console.sign_in(browser, "eve")
    await begin_call(redis, "c_1")
    rooms.rooms["c_1"] = Room()
    return browser


async def test_picture_goes_to_the_call_and_its_order_names_it(
    console: Console, eve: Browser, node: Node, rooms: Rooms, redis: RedisLink
) -> None:
    status, told = await eve.post(PATH, {"image": as_json(ROOF), "note": "  The roof "})
    assert (status, told["accepted"]) == (200, True)
    (picture,) = rooms.rooms["c_1"].pictures
    assert picture.data == ROOF
    (command,) = node.commands
    assert (command.action, command.by, command.call_id) == ("show", "eve", "c_1")
    facts = {
        "digest": digest(ROOF),
        "media_type": "image/png",
        "size_bytes": len(ROOF),
        "width_px": 64,
        "height_px": 48,
        "note": "The roof",
        "when": "now",
    }
    assert command.params == facts
    entries = await audited(console, "show")
    assert [each["result"] for each in entries] == ["asked", "done"]
    assert {each["actor"] for each in entries} == {"eve"}
    assert json.loads(entries[0]["detail"]) == facts
    stream = str(await redis.ask(["XRANGE", KEYS.control("node-a"), "-", "+"]))
    assert digest(ROOF) in stream
    assert base64.b64encode(ROOF)[20:80].decode() not in stream


async def status_of_body(eve: Browser, content: object) -> int:
    """Post what is too large for aiohttp to send in one piece; return the status."""
    body = io.BytesIO(json.dumps(content).encode())
    headers = {"X-CSRF-Token": eve.csrf_token, "Origin": eve.url}
    async with eve.http.post(PATH, data=body, headers=headers) as answer:
        return answer.status


async def test_largest_picture_passes_and_a_larger_one_is_too_big(
    eve: Browser, node: Node, rooms: Rooms
) -> None:
    room = MAX_PICTURE_BYTES - len(png(1, 1, more=chunk(b"tEXt", b"")))
    largest = png(1, 1, more=chunk(b"tEXt", bytes(room)))
    image = as_json(largest)
    assert await status_of_body(eve, {"image": image, "note": "\u00e4" * 2_000}) == 200
    larger = as_json(png(1, 1, more=chunk(b"tEXt", bytes(room + 1))))
    assert await status_of_body(eve, {"image": larger}) == 422
    assert await status_of_body(eve, {"image": image, "note": "x" * 100_000}) == 413
    assert len(node.commands) == len(rooms.rooms["c_1"].pictures) == 1


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"image": None},
        {"image": as_json(ROOF, "image/jpeg")},
        {"image": as_json(ROOF[:-4])},
        {"image": as_json(b"GIF89a")},
        {"image": as_json(jpeg(5_000, 10), "image/jpeg")},
        {"image": {"media_type": "image/png", "data": "%%%"}},
        {"image": {**as_json(ROOF), "name": "roof.png"}},
        {"image": as_json(ROOF), "when": "soon"},
        {"image": as_json(ROOF), "note": "x" * 2_001},
        {"image": as_json(ROOF), "digest": "0" * 64},
        {"image": as_json(ROOF), "note": "\ud800"},
        {"image": {"media_type": "image/png", "data": "\ud800"}},
        [],
        "picture",
    ],
)
async def test_what_is_no_picture_is_422_and_goes_nowhere(
    eve: Browser, node: Node, rooms: Rooms, content: object
) -> None:
    status, told = await eve.post(PATH, content)
    assert (status, bool(told["detail"])) == (422, True)
    assert (node.commands, rooms.rooms["c_1"].pictures) == ([], [])


async def test_body_that_is_not_json_is_422(eve: Browser, node: Node) -> None:
    headers = {"X-CSRF-Token": eve.csrf_token, "Origin": eve.url}
    for body in (b"", b"\x89PNG", b"[" * 50_000, b'{"image": '):
        async with eve.http.post(f"{eve.url}{PATH}", data=body, headers=headers) as answer:
            assert answer.status == 422
    assert node.commands == []


async def test_refusal_of_the_node_is_told_and_audited(
    console: Console, eve: Browser, node: Node
) -> None:
    node.answer = Answer.refused("no_pictures")
    status, told = await eve.post(PATH, {"image": as_json(ROOF)})
    assert (status, told["accepted"], told["reason"]) == (200, False, "no_pictures")
    assert (await audited(console, "show"))[-1]["result"] == "refused: no_pictures"


async def test_stranger_shows_nothing(console: Console, redis: RedisLink) -> None:
    await begin_call(redis, "c_1")

    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{console.url}{PATH}", data=b"x" * 900_000) as answer,
    ):
        assert answer.status == 401


MakeNodes = Callable[[], Awaitable[tuple[Console, Console, Room]]]


@pytest.fixture
def make_nodes(make_console: MakeConsole, redis: RedisLink) -> MakeNodes:
    async def make() -> tuple[Console, Console, Room]:
        rooms = Rooms()
        rooms.rooms["c_1"] = room = Room()
        far: Console = await make_console(clock=SystemClock(), local=rooms)
        near: Console = await make_console(
            clock=SystemClock(), sources=Sources(node=lambda: "node-b")
        )
        await redis.ask(["HSET", KEYS.node("node-a"), "http", far.url])
        await begin_call(redis, "c_1")
        return near, far, room

    return make


async def test_picture_goes_to_the_node_that_has_the_call(
    make_nodes: MakeNodes, redis_server: LocalRedis, redis: RedisLink
) -> None:
    near, _, room = await make_nodes()
    async with near.browser() as browser, a_node(redis_server.url, redis, near.clock) as node:
        await near.add_user("eve", "supervisor", routes=("support",))
        await near.sign_in(browser, "eve")
        status, told = await browser.post(PATH, {"image": as_json(ROOF)})
        assert (status, told["accepted"]) == (200, True)
        assert [each.data for each in room.pictures] == [ROOF]
        assert [each.action for each in node.commands] == ["show"]


async def test_node_that_is_away_is_409_with_its_name_and_audited(
    make_nodes: MakeNodes, redis: RedisLink
) -> None:
    near, far, room = await make_nodes()
    await far.aclose()
    async with near.browser() as browser:
        await near.add_user("eve", "supervisor", routes=("support",))
        await near.sign_in(browser, "eve")
        status, told = await browser.post(PATH, {"image": as_json(ROOF)})
        assert status == 409
        assert "node-a" in told["detail"]
        await redis.ask(["DEL", KEYS.node("node-a")])
        status, told = await browser.post(PATH, {"image": as_json(ROOF)})
        assert (status, "not running" in told["detail"]) == (409, True)
    assert room.pictures == []
    results = [each["result"] for each in await audited(near, "show")]
    assert results[0] == "asked"
    assert results[1].startswith("failed: ")


async def test_relayed_picture_needs_a_token_for_this_call_and_use(
    make_nodes: MakeNodes,
) -> None:
    near, far, room = await make_nodes()
    tokens = near.services.tokens
    relay = f"{far.url}/api/v1/relay/calls/c_1/picture"

    async def post(token: str, body: bytes = ROOF) -> int:
        async with (
            aiohttp.ClientSession() as http,
            http.post(relay, params={"token": token}, data=body) as answer,
        ):
            return answer.status

    async def token(call_id: str = "c_1", kind: str = CallTokenKind.RELAY_PICTURE) -> str:
        return (await tokens.issue("eve", call_id, kind))[0]

    assert await post("") == 403
    assert await post(await token("c_2")) == 403
    assert await post(await token(kind=CallTokenKind.RELAY_RECORDING)) == 403
    used = await token()
    assert await post(used) == 204
    assert await post(used) == 403
    assert await post(await token(), b"GIF89a") == 422
    assert await post(await token(), ROOF + bytes(MAX_PICTURE_BYTES)) == 413
    assert len(room.pictures) == 1
    room_path = relay.replace("c_1", "c_9")
    async with (
        aiohttp.ClientSession() as http,
        http.post(room_path, params={"token": await token("c_9")}, data=ROOF) as answer,
    ):
        assert answer.status == 404


def test_page_and_gateway_have_the_same_bound() -> None:
    assert MAX_PICTURE_BYTES == 720 * 1024
    script = read(ROOT / "bridge/console/static/js/dialogs.js")
    assert "const MAX_PICTURE_BYTES = 720 * 1024;" in script
