"""A site comes back from its backup, by the steps of `deploy/handbook/BACKUP.md`."""

import json
import shutil
import subprocess
import tarfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.store.client import RedisLink
from tests.app.rollouts.test_nodes import ENVIRON, Site, call, until_target
from tests.support.processes import run_to_end
from tests.support.programs import need_program
from tests.support.redis_servers import RedisServer, redis_server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.slow]

CHANGE = ("--author", "ops", "--reason", "a step")


def redis_cli(server: RedisServer, *arguments: str) -> str:
    command = (need_program("redis-cli", "redis-tools"), "-p", str(server.port), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def restore_redis(server: RedisServer, directory: Path, backup: Path) -> None:
    """Do what the page says: once without the append-only file, which is then written."""
    shutil.rmtree(directory)
    directory.mkdir()
    shutil.copy(backup, directory / "dump.rdb")
    server.start("--dir", str(directory), "--appendonly", "no")
    redis_cli(server, "config", "set", "appendonly", "yes")


def keep_appending(server: RedisServer, directory: Path) -> None:
    """Start it as it always is, from its append-only file."""
    server.stop()
    server.start("--dir", str(directory), "--appendonly", "yes")


def verified(site: Site) -> tuple[int, str]:
    """Return exit code and words of `bridge calls audit --verify` beside node a's state."""
    ended = run_to_end(
        *("calls", "audit", "--verify", "--redis", site.redis.url),
        *("--config", str(site.directory / "a" / "bridge.yaml")),
        directory=site.directory,
        BRIDGE_STATE_DIR=str(site.directory / "a" / "state"),
        **ENVIRON,
    )
    return ended.code, ended.stdout


async def users_of(server: RedisServer) -> object:
    link = RedisLink(server.url, timeout_s=2)
    found = await link.ask(["HGETALL", "bridge:users"])
    await link.aclose()
    return found


async def test_everything_lost_comes_back_from_the_backup(simulator: str, tmp_path: Path) -> None:
    data, backup = tmp_path / "redis", tmp_path / "backup"
    data.mkdir()
    backup.mkdir()
    with redis_server("--dir", str(data), "--appendonly", "yes") as server:
        site = Site(tmp_path, simulator, server)
        with ExitStack() as stack:
            node = site.node("a", stack)
            site.rollout("set", "f", "--percent", "25", "--cap", "new=20", *CHANGE)
            redis_cli(server, "hset", "bridge:users", "ada", '{"roles": ["admin"]}')
            await until_target([node], "new", 0.25)
            record = await call(node)
            redis_cli(server, "--rdb", str(backup / "redis.rdb"))
            with tarfile.open(backup / "a.tar.gz", "w:gz") as archive:
                archive.add(tmp_path / "a", "a")
        before, users = site.rollout("status"), await users_of(server)
        server.stop()
        shutil.rmtree(tmp_path / "a")

        restore_redis(server, data, backup / "redis.rdb")
        await wait_until(
            lambda: "aof_rewrite_in_progress:0" in redis_cli(server, "info", "persistence"),
            "the append-only file was not written",
        )
        keep_appending(server, data)
        with tarfile.open(backup / "a.tar.gz") as archive:
            archive.extractall(tmp_path, filter="data")
        with ExitStack() as stack:
            node = site.node("a", stack)
            await until_target([node], "new", 0.25)
            after = site.rollout("status")
            assert (after["version"], after["arms"]) == (before["version"], before["arms"])
            assert await users_of(server) == users
            assert verified(site)[0] == 0
            kept = json.loads((node.recordings / f"{record['call_id']}.json").read_text())
            assert kept == record
            assert (await call(node))["outcome"] == "completed"


async def test_a_rollback_after_the_backup_outlives_the_restore(
    simulator: str, tmp_path: Path
) -> None:
    data, backup = tmp_path / "redis", tmp_path / "redis.rdb"
    data.mkdir()
    with redis_server("--dir", str(data)) as server, ExitStack() as stack:
        site = Site(tmp_path, simulator, server)
        node = site.node("a", stack)
        site.rollout("set", "f", "--percent", "25", *CHANGE)
        await until_target([node], "new", 0.25)
        redis_cli(server, "--rdb", str(backup))
        site.rollout("rollback", "f", *CHANGE)
        await until_target([node], "new", 0.0)
        server.stop()
        restore_redis(server, data, backup)
        await wait_until(lambda: site.rollout("status")["version"] == 2, "the rollback is lost")
        await until_target([node], "new", 0.0)


def test_a_redis_with_an_append_only_file_ignores_the_backup(tmp_path: Path) -> None:
    """Why the page has it started once without."""
    data, backup = tmp_path / "redis", tmp_path / "redis.rdb"
    data.mkdir()
    with redis_server("--dir", str(data)) as server:
        redis_cli(server, "set", "bridge:born", "1")
        redis_cli(server, "--rdb", str(backup))
        server.stop()
        shutil.copy(backup, data / "dump.rdb")
        keep_appending(server, data)
        assert redis_cli(server, "dbsize") == "0"
        server.stop()
        restore_redis(server, data, backup)
        assert redis_cli(server, "dbsize") == "1"
