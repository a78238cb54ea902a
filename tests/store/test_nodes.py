"""Heartbeats, and calls that dead nodes left behind."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from tests.store.conftest import OpenStore, Raw
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

# A node with a short heartbeat that takes a call and then does nothing but live.
NODE = """
import asyncio, sys
from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore

async def main():
    store = CallStore(RedisSettings(), sys.argv[1], "doomed", clock=SystemClock(), heartbeat_ms=100)
    await store.open()
    store.begin("lost", {})
    store.event("lost", "answered")
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def doomed(
    server: LocalRedis, reader: CallReader
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A node in a process of its own, with one call."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", NODE, server.url)
    await reader.wait_for_call(timeout_s=10)
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_calls_of_a_killed_node_are_ended_as_node_lost(
    doomed: asyncio.subprocess.Process, make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    alive = make_store()
    await alive.open()
    alive.begin("kept", {})
    await wait_until(lambda: alive.stats.pending == 0)
    assert await alive.sweep_dead_nodes() == 0, "its heartbeat has not run out"

    doomed.send_signal(signal.SIGKILL)
    await doomed.wait()

    async def forgotten() -> bool:
        return await reader.node("doomed") is None

    await wait_until(forgotten, message="the dead node's heartbeat did not run out")
    await make_store("node-b").open()
    call = await reader.call("lost")
    assert call is not None
    assert call.items() >= {"phase": "ended", "outcome": "node_lost", "fault": "bridge"}.items()
    assert int(call["ended_at"]) >= int(call["started_at"])
    assert await reader.active() == ["kept"]
    for key in ("bridge:call:lost", "bridge:call:lost:events"):
        ttl = await redis("TTL", key)
        assert isinstance(ttl, int)
        assert ttl > 0
    assert await alive.sweep_dead_nodes() == 0
    assert await reader.call("lost") == call


async def test_restarted_node_ends_the_calls_of_its_former_life(
    doomed: asyncio.subprocess.Process, make_store: OpenStore, reader: CallReader
) -> None:
    doomed.send_signal(signal.SIGKILL)
    await doomed.wait()
    await make_store("doomed").open()  # at once: the old heartbeat may still be there
    call = await reader.call("lost")
    assert call is not None
    assert call["outcome"] == "node_lost"
    assert await reader.active() == []


async def test_owner_knows_better_than_the_sweep_how_a_call_ended(
    make_store: OpenStore, reader: CallReader, redis: Raw
) -> None:
    owner, other = make_store("node-a"), make_store("node-b")
    await owner.open()
    owner.begin("c1", {})
    await wait_until(lambda: owner.stats.pending == 0)
    await redis("DEL", "bridge:node:node-a")  # as after a partition longer than three beats
    await other.open()
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
    await make_store().open()
    assert await reader.active() == []
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
    assert 0 < ttl <= 15_000
    await store.aclose()
    assert await reader.node("node-a") is None
