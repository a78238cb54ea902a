"""Records that wait: until the machine takes them, and no longer than their parts may be kept."""

import asyncio
import threading
from pathlib import Path

import pytest

from bridge.config.settings import RedisSettings
from bridge.live.records.keeper import RecordKeeper, longest_wait_s
from bridge.live.records.summary import CallSummary
from bridge.store.client import RedisLink
from bridge.store.waiting_records import WaitingRecords
from bridge.telemetry.metrics.registry import Metrics
from tests.support.waiting import wait_until

DAY_S = 24 * 3600


@pytest.mark.parametrize(
    ("keep_days", "wait_s"),
    [
        ({}, None),
        ({"audio": 1, "transcript": None, "events": None}, None),
        ({"audio": None, "transcript": 2, "events": None}, 2 * DAY_S),
        ({"audio": 1, "transcript": 3, "events": 2}, 2 * DAY_S),
    ],
)
def test_a_record_waits_no_longer_than_its_words_may_be_kept(
    keep_days: dict[str, int | None], wait_s: int | None
) -> None:
    assert longest_wait_s(keep_days) == wait_s


async def test_a_record_that_no_thread_can_be_started_for_waits_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is away as well: it is all in the process's hands."""
    link = RedisLink("redis://127.0.0.1:1", timeout_s=0.2)
    waiting = WaitingRecords(link, RedisSettings(), "a", lambda: 1_700_000_000_000)
    keeper = RecordKeeper(tmp_path, waiting, Metrics("test").store)
    summary = CallSummary("c_1", "support", "a", "ga", "100")

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as starved:
        starved.setattr(threading.Thread, "start", refuse)
        await keeper.keep(summary)
    record = tmp_path / "c_1.json"
    assert not record.exists()
    trying = asyncio.create_task(keeper.keep_trying())
    await wait_until(record.exists, "the record is lost")
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()  # what was refused stays queued
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 1
    await link.aclose()
