"""`bridge calls audit` against a real Redis."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli.calls import calls
from bridge.cli.calls_audit import begin_of
from bridge.console.access.audit import AuditFile
from bridge.console.access.audit_head import HeadFile
from bridge.errors import ConfigError
from bridge.store.audit import chained
from bridge.store.audit_log import AuditLog
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.local import LocalRedis, start_local_redis

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def away_from_the_checkout(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where README's demo has run, `state/` holds the head of that gateway's chain."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def redis() -> Iterator[LocalRedis]:
    with start_local_redis() as server:
        asyncio.run(_write(server.url))
        yield server


async def _write(url: str, *spoiling: str) -> None:
    link = RedisLink(url, timeout_s=2)
    audit = AuditLog(link, Keys("bridge:"))
    for n in range(3):
        entry = {"at_ms": "1700000000000", "actor": "sue", "action": "unmask", "call_id": f"c{n}"}
        await audit.append(entry)
    for entry_id in spoiling:
        await link.ask(("XDEL", "bridge:audit", entry_id))
    await link.aclose()


def bridge_audit(redis: LocalRedis, *arguments: str) -> Result:
    return CliRunner().invoke(calls, ["audit", "--redis", redis.url, *arguments])


def test_entries_are_printed_the_oldest_first(redis: LocalRedis) -> None:
    done = bridge_audit(redis)
    assert done.exit_code == 0
    assert [line.split("call_id=")[1].split()[0] for line in done.output.splitlines()] == [
        *("c0", "c1", "c2"),
    ]
    lines = [json.loads(line) for line in bridge_audit(redis, "--json").output.splitlines()]
    assert [line["call_id"] for line in lines] == ["c0", "c1", "c2"]
    assert bridge_audit(redis, "--since", "2100-01-01").output == ""


def test_a_whole_chain_holds(redis: LocalRedis) -> None:
    done = bridge_audit(redis, "--verify")
    assert (done.exit_code, "the chain holds: 3 entries" in done.output) == (0, True)
    found = json.loads(bridge_audit(redis, "--verify", "--json").output)
    assert (found["holds"], found["entries"], len(found["newest"])) == (True, 3, 64)


@pytest.mark.parametrize("gone", [0, 1])
def test_an_entry_that_was_taken_out_is_noticed(redis: LocalRedis, gone: int) -> None:
    lines = bridge_audit(redis, "--json").output.splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    asyncio.run(_write(redis.url, ids[gone]))
    done = bridge_audit(redis, "--verify")
    assert (done.exit_code, f"BROKEN at entry {ids[gone + 1]}" in done.output) == (1, True)


async def _rewrite(url: str) -> None:
    """Put a whole chain of other entries in the place of the one that is there, ids kept."""
    link = RedisLink(url, timeout_s=2)
    found = [each async for each in AuditLog(link, Keys("bridge:")).read()]
    await link.ask(("DEL", "bridge:audit"))
    previous = ""
    for entry_id, fields in found:
        kept = {k: v for k, v in fields.items() if k not in ("previous", "hash")}
        entry = chained({**kept, "actor": "nobody"}, previous)
        previous = entry["hash"]
        words = [word for pair in entry.items() for word in pair]
        await link.ask(("XADD", "bridge:audit", entry_id, *words))
    await link.aclose()


async def _write_as_a_node(url: str, state_dir: Path) -> None:
    link = RedisLink(url, timeout_s=2)
    copy = AuditFile(None, HeadFile(state_dir), lambda: None).copy
    audit = AuditLog(link, Keys("bridge:"), copy)
    await audit.append({"at_ms": "1700000000000", "actor": "sue", "action": "unmask"})
    await link.aclose()


def test_a_chain_made_anew_is_seen_by_the_node_that_wrote_it(
    redis: LocalRedis, tmp_path: Path
) -> None:
    asyncio.run(_write_as_a_node(redis.url, tmp_path / "state"))
    config = tmp_path / "bridge.yaml"
    config.write_text(f"state_dir: {tmp_path / 'state'}\n")
    done = bridge_audit(redis, "--verify", "--config", str(config))
    assert (done.exit_code, "the last that this node wrote" in done.output) == (0, True)
    asyncio.run(_rewrite(redis.url))
    assert bridge_audit(redis, "--verify").exit_code == 0  # a chain as good as any, by itself
    done = bridge_audit(redis, "--verify", "--config", str(config))
    assert (done.exit_code, "made anew" in done.output) == (1, True)


def test_a_chain_that_was_cut_is_seen_by_the_node_that_wrote_it(
    redis: LocalRedis, tmp_path: Path
) -> None:
    asyncio.run(_write_as_a_node(redis.url, tmp_path / "state"))
    config = tmp_path / "bridge.yaml"
    config.write_text(f"state_dir: {tmp_path / 'state'}\n")
    ids = [json.loads(line)["id"] for line in bridge_audit(redis, "--json").output.splitlines()]
    asyncio.run(_delete(redis.url, ids[-1]))
    done = bridge_audit(redis, "--verify", "--config", str(config), "--json")
    found = json.loads(done.output)
    assert (done.exit_code, found["holds"], found["broken_at"]) == (1, False, ids[-1])
    # Only what is looked at is missed.
    assert (
        bridge_audit(redis, "--verify", "--config", str(config), "--since", "2100-01-01").exit_code
        == 0
    )


async def _delete(url: str, entry_id: str) -> None:
    link = RedisLink(url, timeout_s=2)
    await link.ask(("XDEL", "bridge:audit", entry_id))
    await link.aclose()


def test_times_are_spans_or_iso(redis: LocalRedis) -> None:
    assert begin_of(None, 10**13) == 0
    assert begin_of("24h", 10**13) == 10**13 - 24 * 3_600_000
    assert begin_of("2023-11-14T22:13:20", 0) == 1_700_000_000_000
    with pytest.raises(ConfigError, match="--since yesterday is no time"):
        begin_of("yesterday", 0)
    assert bridge_audit(redis, "--since", "yesterday").exit_code == 2
