"""`bridge calls audit` against a real Redis."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from bridge.cli.calls import calls
from bridge.cli.calls_audit import begin_of
from bridge.errors import ConfigError
from bridge.store.audit_log import AuditLog
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.local import LocalRedis, start_local_redis

pytestmark = pytest.mark.redis


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


def test_times_are_spans_or_iso(redis: LocalRedis) -> None:
    assert begin_of(None, 10**13) == 0
    assert begin_of("24h", 10**13) == 10**13 - 24 * 3_600_000
    assert begin_of("2023-11-14T22:13:20", 0) == 1_700_000_000_000
    with pytest.raises(ConfigError, match="--since yesterday is no time"):
        begin_of("yesterday", 0)
    assert bridge_audit(redis, "--since", "yesterday").exit_code == 2
