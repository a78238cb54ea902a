"""`bridge recordings` against real files and a real Redis that a store has written to."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli.recordings import recordings
from bridge.clock import SystemClock
from bridge.config.settings import RedisSettings
from bridge.routing.rollout.draw import logged_caller, targeting_key
from bridge.routing.rollout.observed import CallEntry
from bridge.store.calls import CallStore
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis
from bridge.store.reader import CallReader
from bridge.store.rollouts import RolloutStore
from bridge.store.waiting_records import WaitingRecord, WaitingRecords
from tests.recordings.test_deletion import ALICE, BOB, left, store
from tests.support.breakages import mount, small_disk

pytestmark = pytest.mark.redis


async def write(url: str, ended: dict[str, str], active: dict[str, str]) -> None:
    state = CallStore(RedisSettings(), url, "node-1", clock=SystemClock())
    await state.open()
    for call_id, caller in {**ended, **active}.items():
        state.begin(call_id, {"dialplan": "support", "from": caller})
        state.event(call_id, "turn", {"speaker": "caller", "text": "hello"})
    for call_id in ended:
        state.end(call_id, {"outcome": "completed"})
    await state.aclose()


async def known(url: str) -> tuple[set[str], set[str]]:
    """Return the calls that have a hash, and those that have events."""
    async with CallReader(RedisSettings(), url) as reader:
        ids = [*await reader.active(), *await reader.ended(100)]
        return (
            {each for each in ids if await reader.call(each)},
            {each for each in ids if await reader.events(each)},
        )


def run(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(recordings, [*arguments, "--directory", str(directory)])


def test_all_of_a_caller_is_deleted_on_disk_and_in_redis(tmp_path: Path, redis: LocalRedis) -> None:
    store(tmp_path, "c_1")
    store(tmp_path, "c_2", caller=BOB)
    ended = {"c_1": ALICE, "c_2": BOB, "c_elsewhere": ALICE}
    asyncio.run(write(redis.url, ended, {"c_now": ALICE}))
    delete = ("delete", "--caller", "+1 555 0100", "--redis", redis.url, "--json")
    planned = run(tmp_path, *delete, "--dry-run")
    assert json.loads(planned.stdout)["redis"] == ["c_1", "c_elsewhere"]
    assert asyncio.run(known(redis.url))[0] == {*ended, "c_now"}
    done = run(tmp_path, *delete)
    assert done.exit_code == 1  # a call goes on
    told = json.loads(done.stdout)
    assert (told["events"], told["going_on"]) == (["c_1"], ["c_now"])
    assert asyncio.run(known(redis.url)) == ({"c_2", "c_now"}, {"c_2", "c_now"})
    assert not any("c_1" in name for name in left(tmp_path))
    (line,) = (tmp_path / "deletions.jsonl").read_text().splitlines()
    assert json.loads(line)["redis"] == ["c_1", "c_elsewhere"]


async def log_calls(url: str, calls: dict[str, str]) -> None:
    link = RedisLink(url, timeout_s=2)
    entries = [CallEntry(each, "new", 0.5, 1, 0.0, caller=key) for each, key in calls.items()]
    await RolloutStore(link, RedisSettings()).report("dropped-flag", entries)
    await link.aclose()


async def logged(url: str) -> list[str]:
    link = RedisLink(url, timeout_s=2)
    calls = await RolloutStore(link, RedisSettings()).calls("dropped-flag", "0")
    await link.aclose()
    return [entry.call_id for _, entry in calls]


def test_a_callers_calls_go_from_the_logs_that_rollouts_are_judged_by(
    tmp_path: Path, redis: LocalRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a secret for tests"
    monkeypatch.setenv("ROLLOUT_KEY", secret)
    alice, bob = (
        logged_caller(targeting_key(secret.encode(), number, ""))
        for number in ("+15550100", "+15550199")
    )
    store(tmp_path, "c_1")
    store(tmp_path, "c_held")
    run(tmp_path, "hold", "c_held")
    calls = {"c_1": "", "c_long_ago": alice, "c_held": alice, "c_bob": bob, "c_withheld": ""}
    asyncio.run(log_calls(redis.url, calls))
    delete = ("delete", "--caller", "1 555 0100", "--redis", redis.url, "--json")
    planned = json.loads(run(tmp_path, *delete, "--dry-run").stdout)
    assert planned["counts"]["rollout_log"] == 2
    assert asyncio.run(logged(redis.url)) == list(calls)
    done = json.loads(run(tmp_path, *delete).stdout)
    assert done["counts"]["rollout_log"] == 2
    assert asyncio.run(logged(redis.url)) == ["c_held", "c_bob", "c_withheld"]


def test_a_sweep_takes_words_out_of_redis_too(tmp_path: Path, redis: LocalRedis) -> None:
    store(tmp_path, "c_old", days={"transcript": 1})
    asyncio.run(write(redis.url, {"c_old": ALICE}, {}))
    done = run(tmp_path, "sweep", "--redis", redis.url, "--json")
    assert (done.exit_code, json.loads(done.stdout)["transcripts"]) == (0, ["c_old"])
    assert "c_old" not in asyncio.run(known(redis.url))[0]


def test_a_held_call_is_left_and_the_exit_code_says_so(tmp_path: Path) -> None:
    store(tmp_path, "c_1")
    assert run(tmp_path, "hold", "c_1", "--reason", "case 7").stdout == "c_1 is held\n"
    done = run(tmp_path, "delete", "--caller", "15550100")
    assert (done.exit_code, "left, held: c_1" in done.stdout) == (1, True)
    run(tmp_path, "release", "c_1")
    done = run(tmp_path, "delete", "--caller", "15550100")
    assert (done.exit_code, "deleted: 1 calls whole" in done.stdout) == (0, True)


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for arguments in (("delete", "--caller", " "), ("hold", "c_9")):
        done = run(tmp_path, *arguments)
        assert done.exit_code == 2
        assert "error: " in done.stderr
    assert run(tmp_path / "none", "sweep").exit_code == 2


def test_the_markers_schema_can_be_had() -> None:
    done = CliRunner().invoke(recordings, ["schema"])
    assert set(json.loads(done.stdout)) == {"header", "marker"}


async def wait_for_a_disk(url: str, call_id: str, caller: str) -> None:
    link = RedisLink(url, timeout_s=2)
    records = WaitingRecords(link, RedisSettings(), "node-1", lambda: 1)
    await records.put(WaitingRecord(call_id, caller, "", "{}"))
    await link.aclose()


async def wait_still(url: str) -> list[str]:
    link = RedisLink(url, timeout_s=2)
    records = WaitingRecords(link, RedisSettings(), "node-1", lambda: 1)
    found = [each.call_id async for each in records.all()]
    await link.aclose()
    return found


def test_a_callers_record_that_waits_for_a_disk_is_deleted_although_that_is_read_only(
    tmp_path: Path,
) -> None:
    """It lies in Redis alone; that nothing can be put down about it on the disk is said."""
    with start_local_redis() as redis, small_disk(tmp_path / "recordings") as place:
        store(place, "c_2", caller=BOB)
        before = left(place)
        asyncio.run(wait_for_a_disk(redis.url, "c_1", ALICE))
        asyncio.run(wait_for_a_disk(redis.url, "c_2", BOB))
        assert mount("-o", "remount,ro", str(place))
        done = run(place, "delete", "--caller", "+1 555 0100", "--redis", redis.url)
        assert done.exit_code == 3
        assert "can't be put down" in done.output
        assert "Read-only file system" in done.output
        assert '"redis": ["c_1"]' in done.output
        assert asyncio.run(wait_still(redis.url)) == ["c_2"]
        assert left(place) == before


def test_a_callers_files_on_a_read_only_disk_are_left_and_said_to_be(tmp_path: Path) -> None:
    with start_local_redis() as redis, small_disk(tmp_path / "recordings") as place:
        store(place, "c_1")
        before = left(place)
        assert mount("-o", "remount,ro", str(place))
        done = run(place, "delete", "--caller", "+1 555 0100", "--redis", redis.url)
        assert done.exit_code == 3
        assert "can't be deleted: Read-only file system" in done.output
        assert left(place) == before
