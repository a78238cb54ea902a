"""A gateway sweeps what is over its time, without anybody's doing."""

import asyncio
from pathlib import Path

import pytest

from bridge.app.retention import keep_sweeping
from bridge.store.local import start_local_redis
from tests.recordings.test_deletion import store
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis


async def test_what_is_over_its_time_is_gone_soon_after_the_start(tmp_path: Path) -> None:
    files = store(tmp_path, "c_1", days={"audio": 1})
    with start_local_redis() as redis:
        sweeping = asyncio.create_task(keep_sweeping(tmp_path, redis.url, "bridge:"))
        try:
            await wait_until(lambda: not files.audio.exists(), "the recording is still there")
            await wait_until(lambda: (tmp_path / "deletions.jsonl").exists(), "nobody put it down")
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
    assert files.record.exists()
