"""A master dies, comes back as a replica, hangs: state goes to whichever server is the master."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.store.address import open_redis, read_address
from bridge.store.calls import CallStore
from bridge.store.client import RedisLink, RedisUnavailableError
from bridge.store.trouble import Trouble
from tests.support.redis_sentinels import Watched, watched
from tests.support.redis_servers import RedisServer, redis_server, trouble_of
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.redis, pytest.mark.xdist_group("sentinels")]

SETTINGS = RedisSettings(flush_ms=10, connect_timeout_s=5, heartbeat_ms=200)


@pytest.fixture
async def servers() -> AsyncIterator[Watched]:
    with watched() as them:
        await them.until_watched()
        yield them


def field_of(servers: Watched, server: RedisServer, call_id: str, name: str) -> str:
    """Read a call's field by redis-cli."""
    return servers.ask(server.port, "HGET", f"bridge:call:{call_id}", name).strip()


async def open_store(url: str) -> CallStore:
    store = CallStore(SETTINGS, url, "node-a", clock=SystemClock())
    await store.open()
    return store


async def test_what_a_dead_master_confirmed_alone_is_written_to_the_new_one(
    servers: Watched,
) -> None:
    """The replica hears nothing of the last writes: they were confirmed, and would be gone."""
    first, second = servers.servers
    store = await open_store(servers.url())
    store.begin("c1", {"dialplan": "support"})
    store.begin("c2", {})
    await wait_until(
        lambda: field_of(servers, second, "c1", "dialplan") == "support", "not replicated"
    )
    second.tell(signal.SIGSTOP)
    # Else what is written next waits in the socket that the replica will read.
    servers.ask(first.port, "CLIENT", "KILL", "TYPE", "replica")
    store.update("c1", {"phase": "speaking"})
    store.event("c1", "turn", {"text": "hello"})
    store.end("c2", {"outcome": "completed"})
    await wait_until(
        lambda: field_of(servers, first, "c2", "outcome") == "completed", "not confirmed"
    )
    await wait_until(lambda: store.stats.pending == 0, "not confirmed")
    first.stop()
    second.tell(signal.SIGCONT)
    store.update("c1", {"played_ms": 80})
    await wait_until(lambda: field_of(servers, second, "c1", "played_ms") == "80", "not followed")
    await wait_until(lambda: store.stats.pending == 0, "not caught up")
    assert field_of(servers, second, "c1", "phase") == "speaking"
    assert field_of(servers, second, "c2", "outcome") == "completed"
    assert "hello" in servers.ask(second.port, "XRANGE", "bridge:call:c1:events", "-", "+")
    assert servers.ask(second.port, "ZRANGE", "bridge:calls:active", "0", "-1").split() == ["c1"]
    assert (store.stats.dropped, store.stats.rejected) == (0, 0)
    await store.aclose()


async def test_the_old_master_comes_back_and_is_demoted(servers: Watched) -> None:
    first, second = servers.servers
    store = await open_store(servers.url())
    store.begin("c1", {})
    await wait_until(lambda: store.stats.pending == 0, "not written")
    first.stop()
    await servers.until_master(second)
    servers.restart_first()
    await wait_until(
        lambda: "role:slave" in servers.ask(first.port, "INFO", "replication"), "not demoted"
    )
    store.update("c1", {"played_ms": 80})
    await wait_until(lambda: field_of(servers, second, "c1", "played_ms") == "80", "not written")
    await wait_until(lambda: field_of(servers, first, "c1", "played_ms") == "80", "not copied")
    assert store.stats.rejected == 0
    await store.aclose()


async def test_a_plain_link_leaves_a_server_that_became_a_replica() -> None:
    """An address that moves (DNS, a virtual one) is looked up again: no connection is kept."""
    with redis_server() as server:
        link, other = (RedisLink(server.url, timeout_s=2) for _ in range(2))
        await link.ask(["CLIENT", "SETNAME", "ours"])
        await other.ask(["REPLICAOF", "127.0.0.1", 1])
        with pytest.raises(RedisUnavailableError, match="READONLY"):
            await link.ask_all([("SET", "a", 1)])

        async def gone() -> bool:
            return "name=ours" not in str(await other.ask(["CLIENT", "LIST"]))

        await wait_until(gone, "the connection was kept", timeout_s=10)
        await link.aclose()
        await other.aclose()


async def test_a_master_that_hangs_is_replaced(servers: Watched) -> None:
    first, second = servers.servers
    store = await open_store(servers.url())
    store.begin("c1", {})
    await wait_until(lambda: store.stats.pending == 0, "not written")
    first.tell(signal.SIGSTOP)
    store.update("c1", {"played_ms": 80})
    await wait_until(lambda: field_of(servers, second, "c1", "played_ms") == "80", "not followed")
    await store.aclose()


async def test_a_sentinel_that_hangs_leaves_time_for_the_next(servers: Watched) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = servers.url().replace("redis+sentinel://", f"redis+sentinel://127.0.0.1:{port},")
        link = RedisLink(url, timeout_s=2)
        assert await link.ask(["PING"]) == "PONG"
        silent.setblocking(False)
        asked, _ = silent.accept()  # it was the first to be asked
        asked.close()
        await link.aclose()


async def test_many_who_look_for_the_master_at_once_lose_no_sentinel(servers: Watched) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = servers.url().replace("redis+sentinel://", f"redis+sentinel://127.0.0.1:{port},")
        opened = open_redis(read_address(url), timeout_s=2)
        assert opened.sentinels is not None
        before = set(opened.sentinels.sentinels)
        assert await asyncio.gather(*(opened.client.ping() for _ in range(3))) == [True] * 3
        assert set(opened.sentinels.sentinels) == before
        assert len(opened.sentinels.sentinels) == 4
        await opened.aclose()


async def test_names_and_passwords(tmp_path: Path) -> None:
    """Servers and Sentinels with passwords of their own, from files that change."""
    user, password, theirs = (tmp_path / name for name in ("user", "password", "sentinels"))
    user.write_text("bridge\n")
    password.write_text("hunter2\n")
    theirs.write_text("hunter3\n")
    with watched(sentinel=("requirepass hunter3",)) as them:
        first, _ = them.servers
        them.ask(first.port, "ACL", "SETUSER", "bridge", "on", ">hunter2", "~*", "&*", "+@all")
        options = f"?username_file={user}&password_file={password}&sentinel_password_file={theirs}"
        link = RedisLink(them.url(options=options), timeout_s=2)

        assert await link.ask(["ACL", "WHOAMI"]) == "bridge"
        them.ask(first.port, "ACL", "SETUSER", "bridge", "resetpass", ">hunter4")
        them.ask(first.port, "CLIENT", "KILL", "USER", "bridge")
        with pytest.raises(RedisUnavailableError):
            await link.ask(["PING"])  # the connection is gone
        with pytest.raises(RedisUnavailableError) as raised:
            await link.ask(["PING"])
        assert raised.value.trouble is Trouble.PASSWORD_REFUSED
        assert "hunter" not in str(raised.value)
        password.write_text("hunter4\n")
        assert await link.ask(["ACL", "WHOAMI"]) == "bridge"
        await link.aclose()


async def test_what_is_wrong_with_sentinels(servers: Watched, tmp_path: Path) -> None:
    unknown = await trouble_of(servers.url().replace("/calls/", "/other/"))
    assert unknown.trouble is Trouble.NO_MASTER
    assert "Redis at other (Sentinels 127.0.0.1:" in str(unknown)
    nobody = await trouble_of("redis+sentinel://127.0.0.1:1,127.0.0.1:2/calls")
    assert nobody.trouble is Trouble.UNREACHABLE
    assert "each of its Sentinels" in str(nobody)
    gone = tmp_path / "gone"
    missing = await trouble_of(servers.url(options=f"?password_file={gone}"))
    assert missing.trouble is Trouble.CREDENTIAL_FILE
    assert f"{gone}: no such file" in str(missing)
    gone.write_text("hunter2")
    refused = await trouble_of(servers.url(options=f"?password_file={gone}"))
    assert refused.trouble is Trouble.PASSWORD_REFUSED
    assert "hunter2" not in str(refused)
