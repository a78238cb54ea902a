"""Puts the records of calls on the disk, and keeps those that it refuses until it takes them.

Full, read-only or hung, or no memory for a thread that writes: the record goes to Redis, and to
memory while that is away, too. It is tried again, slower and slower, by this process and by the
node's next one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from bridge.live.records.summary import CallSummary, record_files
from bridge.recordings.record_files import RecordFiles
from bridge.recordings.retention import StoredPart
from bridge.store.client import RedisUnavailableError
from bridge.store.waiting_records import WaitingRecord, WaitingRecords
from bridge.telemetry.metrics.store import StoreMetrics

log = structlog.get_logger(__name__)

DISK_WITHIN_S = 10.0
"""A disk that hangs must not keep the call, and with it the gateway."""

_NO_MEMORY = (MemoryError, RuntimeError)
"""A thread whose stack gets no memory is a RuntimeError in CPython: "can't start new thread"."""

_DAY_S = 24 * 3600
_FIRST_S, _LONGEST_S = 1.0, 60.0
_HELD = 200
"""Records in memory while Redis is away, too."""


class RecordKeeper:
    """Keeps the records of one node's calls.

    Args:
        directory: of the calls' files.
        waiting: those that the disk has refused.
        metrics: where to say how many wait, and how many were given up.
    """

    def __init__(self, directory: Path, waiting: WaitingRecords, metrics: StoreMetrics) -> None:
        self._directory = directory
        self._waiting = waiting
        self._metrics = metrics
        self._held: OrderedDict[str, CallSummary] = OrderedDict()
        self._in_redis = self._given_up = self._counted = 0
        self._work = asyncio.Event()
        self._work.set()  # the node's former life may have left some

    async def keep(self, summary: CallSummary) -> None:
        """Put a record on the disk, or have it wait; never fails."""
        try:
            error = await self._try(lambda: record_files(summary).write(self._directory))
        except asyncio.CancelledError:
            self._hold(summary)
            raise
        if error is None:
            return
        directory = str(self._directory)
        log.error("record_waits", call_id=summary.call_id, directory=directory, error=error)
        self._hold(summary)
        with suppress(RedisUnavailableError, *_NO_MEMORY):
            await self._hand_over()
        self._publish()

    async def keep_trying(self) -> None:
        """Write what waits, for ever; cancel to end."""
        delay_s = _FIRST_S
        while True:
            await self._work.wait()
            self._work.clear()
            if await self._all_written():
                delay_s = _FIRST_S
                continue
            self._work.set()
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_S)

    async def aclose(self) -> None:
        """Leave what waits in memory to Redis."""
        try:
            async with asyncio.timeout(DISK_WITHIN_S):
                await self._hand_over()
        except (TimeoutError, RedisUnavailableError, *_NO_MEMORY) as error:
            log.error("records_lost", calls=list(self._held), error=str(error))

    def _hold(self, summary: CallSummary) -> None:
        self._held[summary.call_id] = summary
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
            self._given_up += 1
        self._work.set()

    async def _all_written(self) -> bool:
        """Write what waits, the oldest first; return whether nothing is left."""
        try:
            written = await self._write_waiting()
        except (RedisUnavailableError, *_NO_MEMORY):
            await self._write_held()
            written = False  # Redis may hold more
        self._publish()
        return written

    async def _write_waiting(self) -> bool:
        await self._hand_over()
        self._in_redis = await self._waiting.count()
        async for record in self._waiting.all():
            files = RecordFiles.from_text(record.files)
            if await self._try(partial(files.write_again, self._directory)) is not None:
                return False
            await self._waiting.remove(record.call_id)
            self._in_redis -= 1
            log.info("record_written", call_id=record.call_id)
        return not self._held

    async def _write_held(self) -> None:
        """Write what is in memory while Redis is away."""
        for call_id, summary in list(self._held.items()):
            again = partial(record_files(summary).write_again, self._directory)
            if await self._try(again) is not None:
                return
            self._held.pop(call_id, None)

    async def _hand_over(self) -> None:
        """Give what is in memory to Redis."""
        for call_id, summary in list(self._held.items()):
            files = await asyncio.to_thread(record_files, summary)
            caller, asserted = summary.caller, summary.asserted
            text, keep_s = files.to_text(), longest_wait_s(summary.keep_days)
            await self._waiting.put(WaitingRecord(call_id, caller, asserted, text, keep_s))
            self._held.pop(call_id, None)
            self._in_redis += 1

    async def _try(self, write: Callable[[], None]) -> str | None:
        """Write in a worker thread; return why that failed. What hangs is left to its thread."""
        try:
            async with asyncio.timeout(DISK_WITHIN_S):
                await asyncio.to_thread(write)
        except TimeoutError:
            return "the disk hangs"
        except OSError as error:
            return error.strerror or type(error).__name__
        except _NO_MEMORY as error:
            return str(error) or type(error).__name__
        return None

    def _publish(self) -> None:
        self._metrics.set_records_waiting(self._in_redis + len(self._held))
        given_up = self._given_up + self._waiting.dropped
        self._metrics.records_dropped(given_up - self._counted)
        self._counted = given_up


def longest_wait_s(keep_days: Mapping[str, int | None]) -> int | None:
    """Return how long a whole record may wait, None for ever: as long as each of its parts."""
    parts = (keep_days.get(part.value) for part in (StoredPart.TRANSCRIPT, StoredPart.EVENTS))
    days = [each for each in parts if each is not None]
    return min(days) * _DAY_S if days else None
