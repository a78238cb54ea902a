"""Records of calls that wait in Redis: how many, how long, whose, and how they are erased."""

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.config.settings import RedisSettings
from bridge.store.client import RedisLink
from bridge.store.ended_calls import CallEraser
from bridge.store.local import LocalRedis
from bridge.store.waiting_records import WaitingRecord, WaitingRecords
from tests.store.conftest import Raw
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

ALICE, BOB = "sip:+15550100@trunk.example", "sip:+15550199@trunk.example"
WAIT_S = 3600
SETTINGS = RedisSettings(records_waiting=3, records_wait_s=WAIT_S)

MakeRecords = Callable[[str], WaitingRecords]


@pytest.fixture
async def records_of(server: LocalRedis, redis: Raw) -> AsyncIterator[MakeRecords]:
    """Return a node's records; each one comes a millisecond after the one before."""
    link = RedisLink(server.url, timeout_s=2)
    now_ms = iter(range(1_000, 1_000_000))
    yield lambda node: WaitingRecords(link, SETTINGS, node, lambda: next(now_ms))
    await link.aclose()


def record(
    call_id: str, caller: str = ALICE, asserted: str = "", keep_s: int | None = None
) -> WaitingRecord:
    return WaitingRecord(call_id, caller, asserted, f'{{"call_id": "{call_id}"}}', keep_s)


async def waiting(records: WaitingRecords) -> list[str]:
    return [each.call_id async for each in records.all()]


async def test_the_oldest_go_where_too_many_wait(records_of: MakeRecords, redis: Raw) -> None:
    mine, others = records_of("node-a"), records_of("node-b")
    await others.put(record("c_b"))
    for number in range(5):
        await mine.put(record(f"c_{number}"))
    assert await waiting(mine) == ["c_2", "c_3", "c_4"]
    assert (mine.dropped, others.dropped) == (2, 0)
    assert await waiting(others) == ["c_b"], "another node's are its own"
    keys = await redis("KEYS", "bridge:record:*")
    assert isinstance(keys, list)
    assert sorted(map(str, keys)) == [f"bridge:record:c_{each}" for each in ("2", "3", "4", "b")]


async def test_a_record_put_again_takes_no_second_place(records_of: MakeRecords) -> None:
    mine = records_of("node-a")
    for _ in range(5):
        await mine.put(record("c_1"))
    assert (await waiting(mine), await mine.count(), mine.dropped) == (["c_1"], 1, 0)


@pytest.mark.parametrize(("keep_s", "expires_s"), [(None, WAIT_S), (60, 60), (86_400, WAIT_S)])
async def test_a_record_waits_no_longer_than_it_may_be_kept(
    keep_s: int | None, expires_s: int, records_of: MakeRecords, redis: Raw
) -> None:
    await records_of("node-a").put(record("c_1", keep_s=keep_s))
    ttl_s = await redis("TTL", "bridge:record:c_1")
    assert isinstance(ttl_s, int)
    assert expires_s - 5 <= ttl_s <= expires_s


async def test_one_over_its_time_is_given_up_once_and_leaves_the_list(
    records_of: MakeRecords, redis: Raw
) -> None:
    nodes = [records_of("node-a"), records_of("node-b")]
    await nodes[0].put(record("c_old"))
    await nodes[0].put(record("c_new"))
    await redis("PEXPIRE", "bridge:record:c_old", 1)

    async def gone() -> bool:
        return await redis("EXISTS", "bridge:record:c_old") == 0

    await wait_until(gone)
    assert await waiting(nodes[0]) == ["c_new"]
    assert [await each.count() for each in nodes] == [1, 0]
    assert sum(each.dropped for each in nodes) == 1
    assert await redis("ZRANGE", "bridge:records", 0, -1) == ["c_new"]


@pytest.mark.parametrize("named_by", ["From", "the network"])
async def test_a_callers_records_are_erased_while_they_wait(
    named_by: str, server: LocalRedis, records_of: MakeRecords, redis: Raw
) -> None:
    mine = records_of("node-a")
    caller = record("c_1") if named_by == "From" else record("c_1", "sip:anonymous@x", ALICE)
    await mine.put(caller)
    await mine.put(record("c_2", BOB))
    eraser = CallEraser(SETTINGS, server.url)
    try:
        found = await eraser.ended_of(lambda who: "+15550100" in who)
        assert found == ["c_1"]
        assert await eraser.erase(found) == ["c_1"]
    finally:
        await eraser.aclose()
    assert await waiting(mine) == ["c_2"]
    assert mine.dropped == 0, "erased, and not lost"
    assert await redis("EXISTS", "bridge:record:c_1") == 0
