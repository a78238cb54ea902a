"""Heartbeats, and calls that dead nodes left behind."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from bridge.clock import NS_PER_MS, SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.client import Command, RedisLink, Reply
from bridge.store.keys import Keys
from bridge.store.local import LocalRedis
from bridge.store.nodes import NodeRegistry
from bridge.store.reader import CallReader, History
from tests.store.conftest import OpenStore, Raw
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

BEAT_MS = 100
FAST = RedisSettings(flush_ms=10, heartbeat_ms=BEAT_MS)

# A node that takes as many calls as it is told and then does nothing but live.
NODE = f"""
import asyncio, sys
from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore

async def main():
    settings = RedisSettings(flush_ms=10, heartbeat_ms={BEAT_MS})
    store = CallStore(settings, sys.argv[1], "doomed", clock=SystemClock())
    await store.open()
    for number in range(int(sys.argv[2])):
        watched = {{"watchers": 1, "watched_by": '{{"ann": "listens"}}',
            "watched_since": '{{"ann": 1}}'}}
        store.begin(f"lost-{{number}}", watched)
        store.event(f"lost-{{number}}", "answered")
    while store.stats.pending:
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

LOST_CALLS = 230
"""More than two pages of the sweep."""


@pytest.fixture
async def doomed(server: LocalRedis, redis: Raw) -> AsyncIterator[asyncio.subprocess.Process]:
    """A node in a process of its own, with calls."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", NODE, server.url, str(LOST_CALLS)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        await process.stdout.readline()
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def test_calls_of_a_killed_node_are_ended_as_node_lost(
    doomed: asyncio.subprocess.Process, make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    alive, other = make_store("node-a", FAST), make_store("node-b", FAST)
    await alive.open()
    await other.open()
    alive.begin("kept", {})
    await wait_until(lambda: alive.stats.pending == 0)
    before = await reader.call("lost-0")
    assert before is not None
    assert alive.stats.swept == 0

    await kill(doomed)

    async def swept() -> bool:
        return await reader.active() == ["kept"]

    await wait_until(swept, "the dead node's calls were not ended")
    await wait_until(lambda: alive.stats.swept + other.stats.swept == LOST_CALLS)
    call = await reader.call("lost-0")
    assert call is not None
    assert call.items() >= {"phase": "ended", "outcome": "node_lost", "fault": "bridge"}.items()
    assert call["ended_at"] == before["updated_at"]
    assert before["watched_by"] == '{"ann": "listens"}'
    assert call.keys().isdisjoint({"watchers", "watched_by", "watched_since"})
    (*_, (_, last)) = await reader.events("lost-0")
    assert last["swept_by"] in {"node-a", "node-b"}
    del last["swept_by"]
    assert last == {
        "kind": "ended",
        "outcome": "node_lost",
        "fault": "bridge",
        "reason": "heartbeat_lost",
        "node": "doomed",
    }
    for key in ("bridge:call:lost-0", "bridge:call:lost-0:events"):
        ttl = await redis("TTL", key)
        assert isinstance(ttl, int)
        assert ttl > 0

    async def unlisted() -> bool:
        return await redis("ZSCORE", "bridge:nodes", "doomed") is None

    await wait_until(unlisted, message="the dead node is still listed")
    assert set(await reader.nodes()) == {"node-a", "node-b"}
    kept = await reader.call("kept")
    assert kept is not None
    assert "outcome" not in kept


async def test_restarted_node_ends_the_calls_of_its_former_life(
    doomed: asyncio.subprocess.Process, make_store: OpenStore, reader: CallReader
) -> None:
    await kill(doomed)
    told: list[History] = []

    async def tell(lost: History) -> None:
        told.append(lost)

    store = make_store("doomed", on_lost=tell)
    await store.open()  # at once: the old heartbeat may still be there
    assert {each.fields["call_id"] for each in told} == {f"lost-{n}" for n in range(LOST_CALLS)}
    assert len(told) == LOST_CALLS
    assert [event["kind"] for _, event in told[0].events] == ["answered", "ended"]
    call = await reader.call("lost-0")
    assert call is not None
    assert call["outcome"] == "node_lost"
    assert await reader.active() == []
    assert store.stats.swept == LOST_CALLS
    (*_, (_, last)) = await reader.events("lost-0")
    assert (last["kind"], last["reason"]) == ("ended", "restarted")


async def test_a_heartbeat_that_an_outage_cost_is_waited_for(
    make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    """When Redis returns, every heartbeat has run out; those that live write it again."""
    slow = RedisSettings(flush_ms=10, heartbeat_ms=500)
    owner, other = make_store("node-a", slow), make_store("node-b", slow)
    await owner.open()
    owner.begin("c1", {})
    await wait_until(lambda: owner.stats.pending == 0)
    await other.open()
    for _ in range(3):
        beat = await reader.node("node-a") or {}
        await redis("DEL", "bridge:node:node-a", "bridge:nodes:sweep")

        async def beats(last: str = beat.get("updated_at", "")) -> bool:
            return (await reader.node("node-a") or {}).get("updated_at", last) != last

        await wait_until(beats, message="the owner's heartbeat did not return")
    assert await reader.active() == ["c1"]
    assert other.stats.swept == 0


async def test_a_node_that_died_before_its_first_heartbeat_after_an_outage_is_missed(
    make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    """Redis lost everything, the node wrote its call again, and then was killed."""
    owner = make_store("node-a", RedisSettings(flush_ms=10, heartbeat_ms=60_000))
    await owner.open()
    owner.begin("c1", {})
    await wait_until(lambda: owner.stats.pending == 0)
    await redis("FLUSHALL")
    owner.update("c1", {"phase": "speaking"})
    await wait_until(lambda: owner.stats.pending == 0)
    await redis("DEL", "bridge:node:node-a")
    other = make_store("node-b", FAST)
    await other.open()
    await wait_until(lambda: other.stats.swept == 1, "the call was not ended")
    assert await reader.active() == []


async def test_a_node_that_returns_while_it_is_swept_keeps_its_calls(
    make_store: OpenStore, server: LocalRedis, reader: CallReader, redis: Raw
) -> None:
    owner = make_store("node-a", RedisSettings(flush_ms=10, heartbeat_ms=60_000))
    await owner.open()
    owner.begin("c1", {})
    await wait_until(lambda: owner.stats.pending == 0)
    await redis("DEL", "bridge:node:node-a")
    await redis("ZADD", "bridge:nodes", 1, "node-a")

    class Slow(RedisLink):
        async def ask(self, command: Command, *, patience_s: float = 0.0) -> Reply:
            if command[0] == "ZCARD":  # it is known to be dead; now its calls are looked for
                await redis("HSET", "bridge:node:node-a", "active", 1)
            return await super().ask(command, patience_s=patience_s)

    link = Slow(server.url, timeout_s=2)
    sweeper = NodeRegistry(link, Keys("bridge:"), "node-b", clock=SystemClock(), settings=FAST)
    assert not await sweeper.sweep()
    await link.aclose()
    assert await reader.active() == ["c1"]


async def test_one_node_at_a_time_looks_for_dead_ones(make_store: OpenStore, redis: Raw) -> None:
    stores = [make_store(f"node-{letter}", FAST) for letter in "abcd"]
    for store in stores:
        await store.open()
    await redis("CONFIG", "RESETSTAT")
    for _ in range(10):
        before = await redis("GET", "bridge:nodes:sweep")

        async def freed(last: object = before) -> bool:
            return await redis("GET", "bridge:nodes:sweep") != last

        await wait_until(freed, message="the lock is not given back")
    looked = await redis.calls_of("zrange")
    asked = await redis.calls_of("set")
    assert looked * 2 <= asked, (looked, asked)


async def test_owner_knows_better_than_the_sweep_how_a_call_ended(
    make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    owner, other = make_store("node-a"), make_store("node-b", FAST)
    await owner.open()
    owner.begin("c1", {})
    await wait_until(lambda: owner.stats.pending == 0)
    await redis("DEL", "bridge:node:node-a")  # as in a partition longer than the heartbeat
    await other.open()
    await wait_until(lambda: other.stats.swept == 1, "the call was not ended")
    call = await reader.call("c1")
    assert call is not None
    assert call["outcome"] == "node_lost"
    owner.update("c1", {"phase": "listening"})
    owner.end("c1", {"outcome": "completed", "fault": "none"})
    await wait_until(lambda: owner.stats.pending == 0)
    call = await reader.call("c1")
    assert call is not None
    assert (call["outcome"], call["fault"]) == ("completed", "none")
    assert await reader.active() == []


async def test_active_call_whose_hash_is_gone_is_forgotten(
    make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    await redis("ZADD", "bridge:calls:active", 1, "ghost")
    await redis("ZADD", "bridge:nodes", 1, "long-dead")
    await make_store("node-a", FAST).open()

    async def forgotten() -> bool:
        return await reader.active() == []

    await wait_until(forgotten, message="the call is still there")
    assert await reader.call("ghost") is None


async def test_heartbeat_says_what_the_node_holds(
    make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    store = make_store()
    await store.open()
    store.report_node(capacity=4, draining=True)
    store.begin("c1", {})

    async def told() -> bool:
        node = await reader.node("node-a") or {}
        return (node.get("capacity"), node["active"], node["draining"]) == ("4", "1", "1")

    await wait_until(told, message="the heartbeat does not say it")
    ttl = await redis("PTTL", "bridge:node:node-a")
    assert isinstance(ttl, int)
    assert 0 < ttl <= 9_000
    assert set(await reader.nodes()) == {"node-a"}
    await store.aclose()
    assert await reader.node("node-a") is None
    assert await redis("ZCARD", "bridge:nodes") == 0


async def test_a_redis_that_lost_its_data_is_noticed_once_and_gets_the_calls_anew(
    make_store: OpenStore, reader: CallReader, redis: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    stores = [make_store(f"node-{letter}", FAST) for letter in "ab"]
    for store in stores:
        await store.open()
    stores[0].begin("c1", {"arm": "local"})
    await wait_until(lambda: stores[0].stats.pending == 0)
    assert [store.stats.emptied for store in stores] == [0, 0]
    await redis("FLUSHALL")
    await wait_until(lambda: all(store.stats.emptied for store in stores))
    beats = await redis.calls_of("setnx")

    async def beaten() -> bool:
        return await redis.calls_of("setnx") >= beats + 4

    await wait_until(beaten, message="nobody beats")
    assert [store.stats.emptied for store in stores] == [1, 1]
    assert sum("has lost what it held" in each.message for each in caplog.records) == 2

    async def anew() -> bool:
        return (await reader.call("c1") or {}).get("arm") == "local"

    await wait_until(anew, message="the call that goes on was not written anew")


async def test_heartbeat_says_what_is_wrong_with_the_node(
    make_store: OpenStore, reader: CallReader
) -> None:
    troubles: list[str] = []
    store = make_store("node-a", FAST, troubles=lambda: troubles)
    await store.open()
    troubles += ["one thing", "another"]

    async def told() -> bool:
        return (await reader.node("node-a") or {}).get("troubles") == "one thing; another"

    await wait_until(told, message="the heartbeat does not say it")


async def test_nodes_in_trouble_are_named_and_so_are_those_without_a_heartbeat(
    reader: CallReader, redis: Raw
) -> None:
    assert await reader.troubled_nodes() == {}
    now_ms = SystemClock().wall_ns() // NS_PER_MS
    await redis("ZADD", "bridge:nodes", 0, "well", 0, "sick", 1, "dead", 0, "mute")
    await redis("HSET", "bridge:node:well", "updated_at", now_ms, "troubles", "")
    await redis("HSET", "bridge:node:sick", "updated_at", now_ms, "troubles", "one thing; another")
    await redis("HSET", "bridge:node:mute", "updated_at", now_ms - 60_000, "troubles", "")
    found = await reader.troubled_nodes()
    assert found.pop("mute").startswith("its last heartbeat is 6")
    assert found == {
        "sick": "one thing; another",
        "dead": "has no heartbeat: it is dead, or can't write to Redis",
    }
