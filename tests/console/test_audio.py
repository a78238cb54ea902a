"""A live call's audio over WebSockets: tokens, both ways, on this node and through another."""

import asyncio
from typing import Any

import aiohttp
import pytest

from bridge.audio.supervisor_frames import TALK_BYTES, TalkFrame
from bridge.console.api.audio import REFUSED_CODE
from bridge.console.call_audio import BAD_FRAME_CODE, CALL_OVER_CODE, TOO_MUCH_CODE
from bridge.console.other_nodes import UNREACHABLE_CODE
from bridge.console.streams import SIGNED_OUT_CODE
from bridge.store.client import RedisLink
from tests.console.conftest import Browser, Console, MakeConsole
from tests.console.live import KEYS, Room, Rooms, begin_call
from tests.console.test_actions import audited
from tests.support.supervisor_frames import decode_listen, encode_talk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis


@pytest.fixture
async def eve(console: Console, browser: Browser, redis: RedisLink, rooms: Rooms) -> Browser:
    """A supervisor's browser; there is a call with audio."""
    await console.add_user("eve", "supervisor", routes=("support",))
    await console.sign_in(browser, "eve")
    await begin_call(redis, "c_1")
    rooms.rooms["c_1"] = Room()
    return browser


@pytest.fixture
async def far(make_console: MakeConsole, redis: RedisLink) -> Room:
    """The call c_9 of another node, reached through this one."""
    rooms = Rooms()
    rooms.rooms["c_9"] = Room()
    other: Console = await make_console(local=rooms)
    await begin_call(redis, "c_9")
    await redis.ask(["HSET", KEYS.node("node-a"), "http", other.url])
    return rooms.rooms["c_9"]


async def token_url(browser: Browser, kind: str = "listen", call_id: str = "c_1") -> str:
    status, told = await browser.post(f"/api/v1/calls/{call_id}/audio-token", {"kind": kind})
    assert status == 200
    url: str = told["url"]
    return url


def opened(browser: Browser, url: str, origin: str = "") -> Any:  # aiohttp's context manager
    return browser.http.ws_connect(url, headers={"Origin": origin or browser.url})


async def closed_with(browser: Browser, url: str) -> int | None:
    """Return the code with which a WebSocket is closed, or the status that refuses it."""
    try:
        async with opened(browser, url) as socket:
            await socket.receive(timeout=5)
            code: int | None = socket.close_code
            return code
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def audio_audited(console: Console) -> list[str]:
    """Wait until all audio that was asked for is over; return what the audit says of it."""
    found: list[str] = []

    async def over() -> bool:
        entries = [fields for _, fields in await console.services.auditor.audit.latest(20)][::-1]
        of_audio = [each for each in entries if each["action"] in ("listen", "talk")]
        outcomes = [each for each in of_audio if each["result"] != "asked"]
        found[:] = [f"{each['action']}: {each['result']}" for each in outcomes]
        return len(outcomes) * 2 == len(of_audio) > 0

    await wait_until(over, "the audit does not say how it ended")
    return found


async def test_listener_hears_both_sides(eve: Browser, rooms: Rooms, console: Console) -> None:
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve)) as socket:
        await wait_until(lambda: room.listeners, "nobody listens")
        room.say(3)
        frames = [decode_listen((await socket.receive(timeout=5)).data) for _ in range(3)]
        assert [each.sequence for each in frames] == [0, 1, 2]
        assert (frames[0].stereo == 7).all()
        assert len(console.streams) == 1
    await wait_until(lambda: not room.listeners, "the listener was left")
    assert await audio_audited(console) == ["listen: over, 3 frames"]


async def test_slow_browser_loses_frames_and_nobody_waits(eve: Browser, rooms: Rooms) -> None:
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve)):
        await wait_until(lambda: room.listeners, "nobody listens")
        (listener,) = room.listeners
        for _ in range(100):  # 40 s of audio, and nothing of it is read
            room.say(20)
            await asyncio.sleep(0)
        assert listener.queued_frames <= 50


async def test_talker_is_heard_under_their_own_name(eve: Browser, rooms: Rooms) -> None:
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve, "talk")) as socket:
        await wait_until(lambda: room.voices == ["eve"], "no microphone")
        frame = TalkFrame(1, 20, bytes(TALK_BYTES))
        await socket.send_bytes(encode_talk(frame))
        await wait_until(lambda: room.heard == [("eve", frame)], "nothing was said")
    await wait_until(lambda: not room.voices, "the microphone was left")


async def test_talk_outlives_the_patience_for_requests(
    eve: Browser, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.console.patience.REQUEST_WITHIN_S", 0.3)
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve, "talk")) as socket:
        await wait_until(lambda: room.voices, "nobody talks")
        for number in range(4):
            await asyncio.sleep(0.2)
            await socket.send_bytes(encode_talk(TalkFrame(number, 0, bytes(TALK_BYTES))))
        await wait_until(lambda: len(room.heard) == 4, "the talk has ended")


async def test_bad_frame_ends_the_talk(eve: Browser, rooms: Rooms) -> None:
    for message in (b"short", bytes(9_000), "text"):
        async with opened(eve, await token_url(eve, "talk")) as socket:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_str(message)
            await socket.receive(timeout=5)
            assert socket.close_code == BAD_FRAME_CODE
    assert rooms.rooms["c_1"].heard == []
    assert rooms.rooms["c_1"].voices == []


async def test_talker_who_sends_more_than_there_is_to_say_is_let_go(
    eve: Browser, rooms: Rooms
) -> None:
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve, "talk")) as socket:
        for number in range(2_000):  # 40 s at once
            await socket.send_bytes(encode_talk(TalkFrame(number, 0, bytes(TALK_BYTES))))
        await wait_until(lambda: not room.voices, "they are still there")
        await socket.receive(timeout=5)
        assert socket.close_code == TOO_MUCH_CODE
    assert 100 < len(room.heard) < 500


async def test_talk_that_a_network_held_back_for_a_moment_goes_on(
    eve: Browser, rooms: Rooms
) -> None:
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve, "talk")) as socket:
        for number in range(100):  # 2 s at once
            await socket.send_bytes(encode_talk(TalkFrame(number, 0, bytes(TALK_BYTES))))
        await wait_until(lambda: len(room.heard) == 100, "not all came")
        assert room.voices == ["eve"]


async def test_listener_who_says_something_is_let_go(eve: Browser, rooms: Rooms) -> None:
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve)) as socket:
        await wait_until(lambda: room.listeners, "nobody listens")
        await socket.send_bytes(bytes(60_000))
        await wait_until(lambda: not room.listeners, "they are still there")


async def test_call_that_ends_closes_the_socket(eve: Browser, rooms: Rooms) -> None:
    room = rooms.rooms["c_1"]
    async with opened(eve, await token_url(eve)) as socket:
        await wait_until(lambda: room.listeners, "nobody listens")
        room.listeners[0].close()
        await socket.receive(timeout=5)
        assert socket.close_code == CALL_OVER_CODE


async def test_listening_is_audited_from_its_begin_to_its_end(
    eve: Browser, console: Console, rooms: Rooms
) -> None:
    async with opened(eve, await token_url(eve)):
        await wait_until(lambda: rooms.rooms["c_1"].listeners, "nobody listens")
        assert await results(console) == ["asked"]

    async def over() -> bool:
        return len(await results(console)) == 2

    await wait_until(over, "its end was not audited")


async def results(console: Console) -> list[str]:
    return [each["result"] for each in await audited(console, "listen")]


async def test_private_listening_is_known_to_the_audit_alone_on_whatever_node(
    console: Console, browser: Browser, far: Room, redis: RedisLink, rooms: Rooms
) -> None:
    await console.add_user("ada", "admin")
    await console.sign_in(browser, "ada")
    await begin_call(redis, "c_1")
    rooms.rooms["c_1"] = Room()
    await listen_privately(browser, "c_1", rooms.rooms["c_1"])
    await listen_privately(browser, "c_9", far)

    async def over() -> bool:
        return len(await audited(console, "listen")) == 4

    await wait_until(over, "its end was not audited")
    entries = await audited(console, "listen")
    assert {(each["actor"], each["detail"]) for each in entries} == {("ada", '{"private": true}')}


async def listen_privately(browser: Browser, call_id: str, room: Room) -> None:
    async with opened(browser, await token_url(browser, "listen_private", call_id)):
        await wait_until(lambda: room.listeners, "nobody listens")
        assert [(each.by, each.private) for each in room.listeners] == [("ada", True)]
    await wait_until(lambda: not room.listeners, "the listener was left")


async def test_who_may_listen_privately_no_more_does_it_no_more(
    console: Console, browser: Browser, redis: RedisLink, rooms: Rooms
) -> None:
    await console.add_user("ada", "admin")
    await console.sign_in(browser, "ada")
    await begin_call(redis, "c_1", held_by="ada")
    room = rooms.rooms["c_1"] = Room()
    spare = await token_url(browser, "listen_private")
    async with opened(browser, await token_url(browser, "listen_private")) as socket:
        await wait_until(lambda: room.listeners, "nobody listens")
        await console.add_user("ada", "supervisor", "agent")
        await console.streams.check()
        await socket.receive(timeout=5)
        assert socket.close_code == SIGNED_OUT_CODE
    assert await closed_with(browser, spare) == 403
    open_kind = spare.replace("kind=listen_private", "kind=listen")
    assert await closed_with(browser, open_kind) in {403, REFUSED_CODE}  # a token of the other kind


async def test_token_is_good_once_for_one_kind_and_one_call(
    eve: Browser, redis: RedisLink, rooms: Rooms
) -> None:
    await begin_call(redis, "c_2")
    rooms.rooms["c_2"] = Room()
    used = await token_url(eve)
    async with opened(eve, used):
        await wait_until(lambda: rooms.rooms["c_1"].listeners, "nobody listens")
    refused = {403, REFUSED_CODE}
    assert await closed_with(eve, used) in refused
    assert (
        await closed_with(eve, (await token_url(eve)).replace("kind=listen", "kind=talk"))
        in refused
    )
    assert await closed_with(eve, (await token_url(eve)).replace("c_1", "c_2")) in refused
    assert await closed_with(eve, "/api/v1/calls/c_1/audio?kind=listen&token=forged") in refused
    assert not rooms.rooms["c_2"].listeners


async def test_token_of_another_user_is_not_good(
    eve: Browser, console: Console, rooms: Rooms
) -> None:
    url = await token_url(eve)
    await console.add_user("bob", "supervisor")
    async with console.browser() as bob:
        await console.sign_in(bob, "bob")
        assert await closed_with(bob, url) in {403, REFUSED_CODE}


async def test_another_sites_page_hears_nothing(eve: Browser, rooms: Rooms) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with opened(eve, await token_url(eve), "https://evil.example"):
            pass
    assert refused.value.status == 403


async def test_role_decides_about_tokens(
    console: Console, browser: Browser, redis: RedisLink
) -> None:
    await begin_call(redis, "c_1")
    for role, status in (("viewer", 403), ("operator", 403), ("qa", 403), ("supervisor", 200)):
        await console.add_user(role, role)
        await console.sign_in(browser, role)
        for kind in ("listen", "talk"):
            path = "/api/v1/calls/c_1/audio-token"
            assert (await browser.post(path, {"kind": kind}))[0] == status, (role, kind)


async def test_call_of_another_route_has_no_token(eve: Browser, redis: RedisLink) -> None:
    await begin_call(redis, "c_2", route="billing")
    assert (await eve.post("/api/v1/calls/c_2/audio-token", {"kind": "listen"}))[0] == 404


async def test_call_on_another_node_is_heard_through_it(eve: Browser, far: Room) -> None:
    async with opened(eve, await token_url(eve, "listen", "c_9")) as socket:
        await wait_until(lambda: far.listeners, "nobody listens")
        far.say(2)
        frames = [decode_listen((await socket.receive(timeout=5)).data) for _ in range(2)]
        assert [each.sequence for each in frames] == [0, 1]
    await wait_until(lambda: not far.listeners, "the listener was left")
    async with opened(eve, await token_url(eve, "talk", "c_9")) as socket:
        await wait_until(lambda: far.voices == ["eve"], "no microphone")
        frame = TalkFrame(1, 20, bytes(TALK_BYTES))
        await socket.send_bytes(encode_talk(frame))
        await wait_until(lambda: far.heard == [("eve", frame)], "nothing was said")
    await wait_until(lambda: not far.voices, "the microphone was left")


async def test_node_that_is_gone_closes_the_socket(eve: Browser, redis: RedisLink) -> None:
    await begin_call(redis, "c_9")
    url = await token_url(eve, "listen", "c_9")
    assert await closed_with(eve, url) == UNREACHABLE_CODE
    await redis.ask(["HSET", KEYS.node("node-a"), "http", "http://127.0.0.1:9"])
    assert await closed_with(eve, await token_url(eve, "listen", "c_9")) == UNREACHABLE_CODE


async def test_relay_wants_a_nodes_token_of_its_kind(
    eve: Browser, console: Console, rooms: Rooms
) -> None:
    users = (await token_url(eve)).partition("token=")[2]
    nodes, _ = await console.services.tokens.issue("eve", "c_1", "relay_listen")
    for kind, token in (("listen", users), ("listen", "forged"), ("listen_private", nodes)):
        url = f"/api/v1/relay/calls/c_1/audio?kind={kind}&token={token}"
        assert await closed_with(eve, url) in {403, REFUSED_CODE}
    assert not rooms.rooms["c_1"].listeners


CHANGES: dict[str, tuple[str, str, object]] = {
    "disabled": ("PATCH", "/api/v1/users/eve", {"disabled": True}),
    "another role": ("PATCH", "/api/v1/users/eve", {"roles": ["viewer"]}),
    "other routes": ("PATCH", "/api/v1/users/eve", {"routes": ["billing"]}),
    "password taken away": ("POST", "/api/v1/users/eve/reset", None),
    "signed out": ("DELETE", "/api/v1/session", None),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_who_may_no_more_loses_the_audio_at_once(
    eve: Browser, console: Console, rooms: Rooms, change: str
) -> None:
    assert console.streams._checking is not None
    console.streams._checking.cancel()  # what looks every two seconds
    room = rooms.rooms["c_1"]
    method, path, content = CHANGES[change]
    async with (
        console.browser() as ada,
        opened(eve, await token_url(eve, "listen")) as hears,
        opened(eve, await token_url(eve, "talk")) as talks,
    ):
        await wait_until(lambda: room.listeners and room.voices, "they are not there")
        await console.add_user("ada", "admin")
        await console.sign_in(ada, "ada")
        who = eve if change == "signed out" else ada
        status, told = await who.ask(method, path, content)
        assert status in (200, 204), told
        for socket in (hears, talks):
            await socket.receive(timeout=5)
            assert socket.close_code == SIGNED_OUT_CODE
    await wait_until(lambda: not room.listeners and not room.voices, "they are still there")
