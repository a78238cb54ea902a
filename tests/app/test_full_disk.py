"""A disk that is really full: a call's record waits, and is written once when there is room."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.support.breakages import fill, mount, small_disk
from tests.support.gateways import CallsInRedis, Gateway, serving, write_dialplan
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis]

NODE = "full-disk"
SMALL, LARGE = "128k", "8m"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own without room, where the recordings go."""
    with small_disk(tmp_path / "recordings", SMALL) as place:
        fill(place)
        yield place


async def one_call(gateway: Gateway, redis: LocalRedis) -> str:
    async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        await caller.hang_up()
        await calls.until_ended(call_id)
    return call_id


async def until_waiting(gateway: Gateway, records: int) -> None:
    async def told() -> bool:
        metrics = await gateway.metrics()
        return metrics.value("bridge_records_waiting") == records

    await wait_until(told, f"there were not {records} records that wait")


def lines(place: Path) -> list[str]:
    path = place / "calls.jsonl"
    return path.read_text("utf-8").splitlines() if path.exists() else []


async def test_a_record_waits_for_room_and_outlives_the_gateway(
    simulator: str, redis: LocalRedis, tmp_path: Path, full_disk: Path
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans", recording={"enabled": False})
    environ = {"BRIDGE_NODE": NODE}
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, environ=environ) as gateway:
        first = await one_call(gateway, redis)
        await until_waiting(gateway, 1)
        told = [each for each in gateway.process.logged if each["event"] == "record_waits"]
        assert [each["error"] for each in told] == ["No space left on device"]
        assert not (full_disk / f"{first}.json").exists()
        assert lines(full_disk) == []
    with serving(tmp_path, simulator, dialplans, redis_url=redis.url, environ=environ) as gateway:
        await until_waiting(gateway, 1)
        second = await one_call(gateway, redis)
        await until_waiting(gateway, 2)
        assert mount("-o", f"remount,size={LARGE}", str(full_disk))
        await until_waiting(gateway, 0)
        for call_id in (first, second):
            record = json.loads((full_disk / f"{call_id}.json").read_text("utf-8"))
            assert (record["call_id"], record["outcome"]) == (call_id, "completed")
            assert (full_disk / "metrics" / f"session_{call_id}.json").exists()
        written = [json.loads(line)["call_id"] for line in lines(full_disk)]
        assert written == [first, second]
        assert (await gateway.metrics()).value("bridge_records_dropped_total") == 0
