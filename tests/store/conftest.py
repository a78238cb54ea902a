"""A real Redis server, and stores and readers on it."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore
from bridge.store.client import RedisLink, Reply
from bridge.store.local import LocalRedis, start_local_redis
from bridge.store.reader import CallReader

SETTINGS = RedisSettings(flush_ms=10)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalRedis]:
    with start_local_redis() as local:
        yield local


@pytest.fixture
async def redis(server: LocalRedis) -> AsyncIterator["Raw"]:
    """The server, emptied."""
    link = RedisLink(server.url, timeout_s=2)
    await link.ask(["FLUSHALL"])
    await link.ask(["CONFIG", "RESETSTAT"])
    yield Raw(link)
    await link.aclose()


class Raw:
    """A client that knows nothing of the store."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def __call__(self, *command: str | int) -> Reply:
        return await self._link.ask(command)

    async def calls_of(self, command: str) -> int:
        """Return how often the server ran a command since the test began."""
        stats = str(await self("INFO", "commandstats"))
        line = next((s for s in stats.split() if s.startswith(f"cmdstat_{command}:")), "calls=0,")
        return int(line.partition("calls=")[2].partition(",")[0])


@pytest.fixture
async def reader(server: LocalRedis, redis: Raw) -> AsyncIterator[CallReader]:
    async with CallReader(SETTINGS, server.url) as reader:
        yield reader


OpenStore = Callable[..., CallStore]


@pytest.fixture
async def make_store(server: LocalRedis, redis: Raw) -> AsyncIterator[OpenStore]:
    """Make stores that are closed with the test; open them yourself."""
    stores: list[CallStore] = []

    def make(
        node_id: str = "node-a",
        settings: RedisSettings = SETTINGS,
        **more: Any,  # the store's own arguments
    ) -> CallStore:
        stores.append(CallStore(settings, server.url, node_id, clock=SystemClock(), **more))
        return stores[-1]

    yield make
    for store in stores:
        await store.aclose()


@pytest.fixture
async def store(make_store: OpenStore) -> CallStore:
    store = make_store()
    await store.open()
    return store
