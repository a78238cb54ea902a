"""A Redis that gets a password while a node writes to it: told as such, and nothing is lost."""

import logging

import pytest
from redis import Redis

from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.calls import CallStore
from bridge.store.reader import CallReader
from bridge.store.trouble import Trouble
from tests.support.redis_servers import redis_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

FAST = RedisSettings(flush_ms=10, heartbeat_ms=200)


async def test_a_password_that_redis_gets_is_told_and_what_was_written_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with redis_server() as server:
        store = CallStore(FAST, server.url, "node-a", clock=SystemClock())
        await store.open()
        store.begin("c1", {"arm": "local"})
        await wait_until(lambda: store.stats.pending == 0)
        client = Redis(port=server.port)
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="normal", skipme=True)
        store.update("c1", {"phase": "listening"})
        store.event("c1", "turn", {"text": "after the change"})
        await wait_until(lambda: store.stats.trouble is Trouble.PASSWORD_REFUSED)
        failures = store.stats.failures
        await wait_until(lambda: store.stats.failures > failures + 3)
        assert store.stats.trouble is Trouble.PASSWORD_REFUSED
        assert (store.stats.rejected, store.stats.dropped) == (0, 0)
        client.config_set("requirepass", "")
        await wait_until(lambda: store.stats.pending == 0)
        async with CallReader(FAST, server.url) as reader:
            fields = await reader.call("c1") or {}
            texts = [event.get("text") for _, event in await reader.events("c1")]
        await store.aclose()
    assert fields["phase"] == "listening"
    assert texts == ["after the change"]
    told = [each.message for each in caplog.records if each.levelno >= logging.ERROR]
    assert told
    assert all("password" in each for each in told), told
    assert "refused a write for good" not in caplog.text
