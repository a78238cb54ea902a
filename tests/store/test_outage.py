"""Redis goes away under calls in progress, and comes back. Each test has its own server."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis
from bridge.store.reader import CallReader
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

SETTINGS = RedisSettings(flush_ms=10, buffer_writes=100, connect_timeout_s=1)


class Server:
    """A server that can be stopped and started again at the same place."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.local: LocalRedis = start_local_redis(directory)

    def restart(self) -> None:
        self.local = start_local_redis(self._directory)

    async def restart_with(self, dump: "RedisDump") -> None:
        """Start again with what it held: nobody reaches it at its place before it is filled."""
        self.local = start_local_redis(self._directory / "filled")
        await dump.restore(self.local.url)
        (self._directory / "filled" / "redis.sock").rename(self._directory / "redis.sock")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose name is short enough for a unix socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
async def server(directory: Path) -> AsyncIterator[Server]:
    server = Server(directory)
    yield server
    server.local.stop()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[CallStore]:
    store = CallStore(SETTINGS, server.local.url, "node-a", clock=SystemClock())
    await store.open()
    yield store
    await store.aclose()


async def stop(server: Server, store: CallStore) -> None:
    """Stop the server and wait until the store has noticed."""
    server.local.stop()
    store.update("c1", {"phase": "speaking"})
    await wait_until(lambda: not store.stats.connected, message="the outage was not noticed")


async def written(store: CallStore) -> None:
    await wait_until(
        lambda: store.stats.connected and store.stats.pending == 0, message="not caught up"
    )


async def test_outage_state_catches_up_although_redis_lost_everything(
    server: Server, store: CallStore
) -> None:
    """The server keeps nothing on disk: the whole call must be sent again, not only changes."""
    store.begin("c1", {"dialplan": "support"})
    store.begin("ends", {})
    await written(store)
    await stop(server, store)
    store.update("c1", {"played_ms": 80})
    store.event("c1", "turn", {"text": "hello"})
    store.end("ends", {"outcome": "completed"})
    store.begin("new", {})
    server.restart()
    await written(store)
    async with CallReader(SETTINGS, server.local.url) as reader:
        call = await reader.call("c1")
        ended = await reader.call("ends")
        assert await reader.active() == ["c1", "new"]
        assert [fields["text"] for _, fields in await reader.events("c1")] == ["hello"]
        await wait_until(lambda: reader.node("node-a"), message="no heartbeat")
    assert call is not None
    assert ended is not None
    assert call.items() >= {"dialplan": "support", "phase": "speaking", "played_ms": "80"}.items()
    assert ended.items() >= {"node": "node-a", "outcome": "completed"}.items()
    assert store.stats.dropped == 0


async def test_outage_buffer_is_bounded_and_keeps_the_newest(
    server: Server, store: CallStore
) -> None:
    store.begin("c1", {})
    await written(store)
    await stop(server, store)
    for i in range(1000):
        store.event("c1", "turn", {"n": i})
        store.update("c1", {"last_user_audio_seq": i})
    assert store.stats.pending == SETTINGS.buffer_writes
    assert store.stats.dropped == 1000 - (SETTINGS.buffer_writes - 1)
    server.restart()
    await written(store)
    async with CallReader(SETTINGS, server.local.url) as reader:
        call = await reader.call("c1")
        events = await reader.events("c1")
    assert call is not None
    assert call["last_user_audio_seq"] == "999"
    assert [fields["n"] for _, fields in events] == [str(i) for i in range(901, 1000)]


async def test_outage_is_logged_once_and_without_what_was_said(
    server: Server, store: CallStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.begin("c1", {"from": "+15550100"})
    store.event("c1", "turn", {"text": "my secret"})
    await stop(server, store)
    await wait_until(lambda: store.stats.failures >= 3, message="it was not tried again")
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert server.local.url.removeprefix("unix://") in errors[0].getMessage()
    assert "secret" not in caplog.text
    assert "15550100" not in caplog.text
    server.restart()
    await written(store)


async def test_refusal_for_now_loses_nothing(server: Server, store: CallStore) -> None:
    """NOREPLICAS stands for READONLY, OOM, MISCONF: Redis answers, but takes no writes."""
    link = RedisLink(server.local.url, timeout_s=1)
    await link.ask(["CONFIG", "SET", "min-replicas-to-write", 1])
    store.begin("c1", {})
    store.event("c1", "answered")
    await wait_until(lambda: store.stats.failures > 0, message="no failure")
    await link.ask(["CONFIG", "SET", "min-replicas-to-write", 0])
    await written(store)
    await link.aclose()
    async with CallReader(SETTINGS, server.local.url) as reader:
        assert await reader.active() == ["c1"]
        assert len(await reader.events("c1")) == 1
    assert store.stats.rejected == 0


async def test_reply_that_never_arrives_writes_no_event_twice(directory: Path) -> None:
    """The commands arrive, their replies don't: sent again, each entry must be there once."""
    with start_local_redis(directory) as local:
        path = str(directory / "proxy.sock")
        proxy = _ReplyEater(str(directory / "redis.sock"))
        listener = await asyncio.start_unix_server(proxy.serve, path)
        store = CallStore(SETTINGS, f"unix://{path}", "node-a", clock=SystemClock())
        await store.open()
        proxy.eating = True
        store.begin("c1", {})
        store.event("c1", "answered")
        await wait_until(lambda: store.stats.failures > 0, message="no failure")
        async with CallReader(SETTINGS, local.url) as reader:
            assert len(await reader.events("c1")) == 1
            proxy.eating = False
            await written(store)
            assert len(await reader.events("c1")) == 1
        await store.aclose()
        listener.close()
        await proxy.aclose()


class _ReplyEater:
    """A proxy that can keep the replies to writes to itself."""

    def __init__(self, upstream: str) -> None:
        self.eating = False
        self._upstream = upstream
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, down_in: asyncio.StreamReader, down_out: asyncio.StreamWriter) -> None:
        up_in, up_out = await asyncio.open_unix_connection(self._upstream)
        written = asyncio.Event()
        for copy in (
            self._copy_requests(down_in, up_out, written),
            self._copy_replies(up_in, down_out, written),
        ):
            self._tasks.add(asyncio.create_task(copy))

    async def aclose(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _copy_requests(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, written: asyncio.Event
    ) -> None:
        while data := await source.read(65536):
            if b"EVALSHA" in data:
                written.set()
            sink.write(data)
        await _close(sink)

    async def _copy_replies(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, written: asyncio.Event
    ) -> None:
        while data := await source.read(65536):
            if not (self.eating and written.is_set()):
                sink.write(data)
        await _close(sink)


async def _close(sink: asyncio.StreamWriter) -> None:
    sink.close()
    with suppress(OSError):  # the other side may have gone first
        await sink.wait_closed()


async def test_aclose_during_an_outage_gives_up_in_time(server: Server, store: CallStore) -> None:
    store.begin("c1", {})
    await written(store)
    await stop(server, store)
    async with asyncio.timeout(4):
        await store.aclose()
    assert store.stats.dropped == store.stats.pending > 0


async def test_a_store_that_may_do_without_redis_catches_up_and_ends_its_former_life(
    server: Server,
) -> None:
    url = server.local.url
    former = CallStore(SETTINGS, url, "node-a", clock=SystemClock())
    await former.open()
    former.begin("left-behind", {})
    await wait_until(lambda: not former.stats.pending, "the first life was not written")
    dump = await RedisDump.of(url)
    await former.aclose()
    server.local.stop()

    settings = SETTINGS.model_copy(update={"required": False, "heartbeat_ms": 100})
    store = CallStore(settings, url, "node-a", clock=SystemClock())
    await store.open()
    assert not store.stats.connected
    store.begin("of-this-life", {})
    await server.restart_with(dump)
    async with CallReader(settings, url) as reader:

        async def settled() -> bool:
            return await reader.active() == ["of-this-life"]

        await wait_until(settled, "the former life was not ended, or this one not written")
        assert ((await reader.call("left-behind")) or {})["outcome"] == "node_lost"
    await store.aclose()


class RedisDump:
    """What a server held, to be given to the next one: ours keeps nothing on disk."""

    def __init__(self, hashes: dict[str, list[str]], active: list[str]) -> None:
        self._hashes, self._active = hashes, active

    @classmethod
    async def of(cls, url: str) -> "RedisDump":
        link = RedisLink(url, timeout_s=1)
        active = await link.ask(["ZRANGE", "bridge:calls:active", 0, -1])
        assert isinstance(active, list)
        hashes = {}
        for call_id in active:
            fields = await link.ask(["HGETALL", f"bridge:call:{call_id}"])
            assert isinstance(fields, list)
            hashes[str(call_id)] = [str(word) for word in fields]
        await link.aclose()
        return cls(hashes, [str(call_id) for call_id in active])

    async def restore(self, url: str) -> None:
        link = RedisLink(url, timeout_s=1)
        for call_id, fields in self._hashes.items():
            await link.ask(["HSET", f"bridge:call:{call_id}", *fields])
            await link.ask(["ZADD", "bridge:calls:active", 1, call_id])
        await link.aclose()
