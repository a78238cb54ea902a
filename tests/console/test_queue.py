"""Callers who wait for a person: who may accept them, and what that gives an agent."""

import asyncio

import aiohttp
import pytest

from bridge.console.streams import SIGNED_OUT_CODE
from bridge.store.client import RedisLink
from bridge.store.control import Answer
from tests.console.conftest import Browser, Console
from tests.console.live import KEYS, Node, Room, Rooms, begin_call
from tests.console.test_actions import audited
from tests.console.test_audio import opened, token_url
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

ACCEPT, BACK = "/api/v1/queue/c_1/accept", "/api/v1/queue/c_1/hand-back"
SUMMARY = "Wants to move order 4711."


@pytest.fixture
def node(node: Node) -> Node:
    node.answer = Answer(True, result={"target": "sales", "summary": SUMMARY})
    return node


@pytest.fixture
async def bob(console: Console, browser: Browser, redis: RedisLink, rooms: Rooms) -> Browser:
    """An agent's browser; two callers wait."""
    await console.add_user("bob", "agent", routes=("support",))
    await console.sign_in(browser, "bob")
    for call_id in ("c_1", "c_2"):
        await begin_call(redis, call_id)
        rooms.rooms[call_id] = Room()
    return browser


async def holds(redis: RedisLink, by: str, call_id: str = "c_1") -> None:
    await redis.ask(["HSET", KEYS.call(call_id), "held_by", by])


async def test_agent_accepts_and_reads_first_what_the_caller_wants(
    console: Console, bob: Browser, node: Node
) -> None:
    status, told = await bob.post(ACCEPT)
    assert status == 200
    assert told["accepted"]
    assert told["result"] == {"target": "sales", "summary": SUMMARY}
    (command,) = node.commands
    assert (command.action, command.by, command.params) == ("accept", "bob", {"via": None})
    entries = await audited(console, "accept")
    assert [each["result"] for each in entries] == ["asked", "done"]
    assert {(each["actor"], each["roles"], each["call_id"]) for each in entries} == {
        ("bob", "agent", "c_1")
    }


async def test_agent_accepts_by_phone_and_gives_back(bob: Browser, node: Node) -> None:
    assert (await bob.post(ACCEPT, {"via": "sip:bob@pbx.example"}))[0] == 200
    assert (await bob.post(BACK, {"summary": "Moved."}))[0] == 200
    assert [(each.action, each.params) for each in node.commands] == [
        ("accept", {"via": "sip:bob@pbx.example"}),
        ("hand_back", {"summary": "Moved."}),
    ]
    assert (await bob.post(ACCEPT, {"via": "not a phone"}))[0] == 422


async def test_second_who_accepts_is_told_who_was_faster(bob: Browser, node: Node) -> None:
    node.answer = Answer.refused("held_by", held_by="eve")
    _, told = await bob.post(ACCEPT)
    assert told == {"accepted": False, "reason": "held_by", "result": {"held_by": "eve"}}


async def test_agent_has_the_audio_of_the_caller_they_have_and_of_no_other(
    bob: Browser, redis: RedisLink, rooms: Rooms
) -> None:
    path = "/api/v1/calls/{}/audio-token"
    for kind in ("listen", "talk"):
        assert (await bob.post(path.format("c_1"), {"kind": kind}))[0] == 403
    await holds(redis, "eve")
    assert (await bob.post(path.format("c_1"), {"kind": "listen"}))[0] == 403
    await holds(redis, "bob")
    room = rooms.rooms["c_1"]
    for kind in ("listen", "talk"):
        async with opened(bob, await token_url(bob, kind)):
            await wait_until(lambda: room.listeners or room.voices, "no audio")
    assert (await bob.post(path.format("c_2"), {"kind": "listen"}))[0] == 403
    await redis.ask(["HSET", KEYS.call("c_1"), "dialplan", "billing"])  # none of his
    assert (await bob.post(path.format("c_1"), {"kind": "listen"}))[0] == 403


async def test_hold_that_is_told_a_moment_later_is_waited_for(
    bob: Browser, redis: RedisLink
) -> None:
    asked = asyncio.create_task(bob.post("/api/v1/calls/c_1/audio-token", {"kind": "listen"}))
    await asyncio.sleep(0)
    await holds(redis, "bob")
    assert (await asked)[0] == 200


async def test_audio_ends_with_the_hold(
    console: Console, bob: Browser, redis: RedisLink, rooms: Rooms
) -> None:
    await holds(redis, "bob")
    spare = await token_url(bob)
    async with opened(bob, await token_url(bob)) as socket:
        await wait_until(lambda: rooms.rooms["c_1"].listeners, "nobody listens")
        await console.streams.check()
        assert not socket.closed
        await holds(redis, "")
        await console.streams.check()
        await socket.receive(timeout=5)
        assert socket.close_code == SIGNED_OUT_CODE
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):  # a token is not enough
        async with opened(bob, spare):
            pass


async def test_agent_may_do_nothing_else_with_the_caller_they_have(
    bob: Browser, redis: RedisLink, node: Node
) -> None:
    await holds(redis, "bob")
    for path, content in (
        ("actions/whisper", {"text": "x"}),
        ("actions/take_over", {}),
        ("actions/listen", {"via": "sip:bob@pbx.example"}),
        ("unmask", {"reason": "x"}),
    ):
        assert (await bob.post(f"/api/v1/calls/c_1/{path}", content))[0] == 403, path
    for path in ("calls", "calls/c_2", "calls/c_2/stream", "calls/c_1/recording"):
        assert (await bob.get(f"/api/v1/{path}"))[0] == 403, path
    assert node.commands == []


@pytest.mark.parametrize("role", ["viewer", "qa", "operator", "auditor"])
async def test_others_accept_nobody(
    console: Console, browser: Browser, redis: RedisLink, node: Node, role: str
) -> None:
    await begin_call(redis, "c_1", held_by=role)
    await console.add_user(role, role)
    await console.sign_in(browser, role)
    for path in (ACCEPT, BACK):
        assert (await browser.post(path))[0] == 403
    for kind in ("listen", "talk"):
        status, _ = await browser.post("/api/v1/calls/c_1/audio-token", {"kind": kind})
        assert status == 403
    assert node.commands == []
