"""Call state in Redis, written behind the call's back.

The call runner's writes return at once and never fail: they go into a bounded buffer, which one
task sends every `flush_ms`, one command a call. While Redis is away the task tries again, slower
and slower, and catches up when it returns. Everything runs in the loop's thread.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge.clock import NS_PER_MS, Clock
from bridge.config.settings import RedisSettings
from bridge.store.buffer import FieldValue, Stream, WriteBuffer
from bridge.store.client import RedisLink, RedisUnavailableError
from bridge.store.keys import CALL_FIELDS, Keys
from bridge.store.nodes import NodeRegistry, NodeReport
from bridge.store.reader import CallReader, History
from bridge.store.trouble import Trouble
from bridge.store.waiting_records import WaitingRecords
from bridge.store.writer import StateWriter

_MAX_BACKOFF_MS = 2_000
_CLOSE_WITHIN_S = 2.0
_TOUCH_EVERY_S = 1.0
"""What is known of a call whose node dies is at most so old."""

_MAX_TEXT_CHARS = 2_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counts since the store was made.

    Attributes:
        pending: writes that are not known to have arrived.
        dropped: writes given up, because the buffer was full or the store closed.
        late: writes to calls that had ended or never begun.
        rejected: writes that Redis refused for good, and fields that no call has.
        flushes: round trips that wrote something.
        failures: round trips that did not come back.
        trouble: why the last round trip, or heartbeat, did not come back; None where it did.
        swept: calls of dead nodes, and of this one's former life, that were ended here.
        emptied: how often Redis had lost what it held.
    """

    pending: int
    dropped: int
    late: int
    rejected: int
    flushes: int
    failures: int
    trouble: Trouble | None
    swept: int
    emptied: int

    @property
    def connected(self) -> bool:
        """Whether the last round trip, or heartbeat, came back."""
        return self.trouble is None


OnLost = Callable[[History], Awaitable[None]]


async def _nobody(lost: History) -> None:
    """Keep no record."""


class CallStore:
    """Writes the state of this node's calls.

    Args:
        settings: prefix, limits and times.
        url: the Redis to use.
        node_id: this node's name, the same after a restart.
        clock: wall time for records.
        on_lost: receives each call that was ended here in a dead node's place, once.
        troubles: returns what is wrong with this node, for its heartbeat.

    Attributes:
        records: of calls, which wait for this node's disk.

    Raises:
        ConfigError: ``url`` can't be read.
    """

    def __init__(
        self,
        settings: RedisSettings,
        url: str,
        node_id: str,
        *,
        clock: Clock,
        on_lost: OnLost = _nobody,
        troubles: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._url = url
        self._on_lost = on_lost
        self._troubles = troubles
        self._unreported: deque[str] = deque()
        self._node_id = node_id
        self._clock = clock
        self._heartbeat_s = settings.heartbeat_ms / 1000
        self._keys = Keys(settings.prefix)
        self._link = RedisLink(url, timeout_s=settings.connect_timeout_s)
        self._nodes = NodeRegistry(self._link, self._keys, node_id, clock=clock, settings=settings)
        self.records = WaitingRecords(self._link, settings, node_id, self._now_ms)
        self._buffer = WriteBuffer(settings.buffer_writes)
        self._writer = StateWriter(self._link, self._keys, self._buffer, settings)
        self._report = NodeReport()
        self._work = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._trouble: Trouble | None = Trouble.UNREACHABLE
        self._has_former_life = True
        self._failures = self._unknown_fields = self._given_up = self._swept = 0

    @property
    def stats(self) -> StoreStats:
        """Counts up to now."""
        return StoreStats(
            pending=self._buffer.pending + self._writer.in_flight,
            dropped=self._buffer.dropped + self._given_up,
            late=self._buffer.late,
            rejected=self._writer.rejected + self._unknown_fields,
            flushes=self._writer.flushes,
            failures=self._failures,
            trouble=self._trouble,
            swept=self._swept,
            emptied=self._nodes.emptied,
        )

    async def open(self) -> None:
        """Connect, end what this node's former life left behind, and start writing.

        Raises:
            RedisUnavailableError: (an InfrastructureError) Redis did not answer within
                `connect_timeout_s`, or refused us; not if it is not `required`.
        """
        try:
            await self._link.ask(["PING"])
            await self._writer.load_script()
            await self._end_former_life()
            await self._nodes.beat(self._report)
            await self._report_lost()
            self._trouble = None
        except RedisUnavailableError as error:
            if self._settings.required:
                await self._link.aclose()
                raise
            self._trouble = error.trouble
            _log.error("started without Redis: %s", error)
        except BaseException:
            await self._link.aclose()
            raise
        self._tasks = [
            asyncio.create_task(self._keep_flushing(), name="store-flush"),
            asyncio.create_task(self._keep_beating(), name="store-heartbeat"),
            asyncio.create_task(self._keep_sweeping(), name="store-sweep"),
            asyncio.create_task(self._keep_touching(), name="store-touch"),
        ]
        for task in self._tasks:
            task.add_done_callback(_report_death)

    async def aclose(self) -> None:
        """Write what is buffered, within 2 s, and disconnect. A second call does nothing."""
        if not self._tasks:
            return
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                while self._buffer.pending:
                    if not await self._flush():
                        await asyncio.sleep(self._settings.flush_ms / 1000)
                await self._nodes.leave()
        except (TimeoutError, RedisUnavailableError):
            self._given_up += self._buffer.pending
            _log.warning("Redis is away at close: %d writes are lost", self._given_up)
        finally:
            await self._link.aclose()

    def begin(self, call_id: str, fields: Mapping[str, FieldValue]) -> None:
        """Record a new call. `call_id`, `node` and `started_at` are filled in if missing.

        Args:
            call_id: unique for ever.
            fields: of the call's hash (`keys.CALL_FIELDS`); times in ms since the Unix epoch.
        """
        known = self._known({"node": self._node_id, **fields})
        self._buffer.begin(call_id, known, self._now_ms())
        self._beat_soon()

    def update(self, call_id: str, fields: Mapping[str, FieldValue]) -> None:
        """Record changed fields of a call. Late ones never reopen a call that has ended."""
        self._buffer.update(call_id, self._known(fields), self._now_ms())
        self._work.set()

    def event(
        self, call_id: str, kind: str, summary: Mapping[str, FieldValue | None] | None = None
    ) -> None:
        """Append an event summary to the call's stream.

        Args:
            call_id: a call that has begun.
            kind: goes into the field `kind`.
            summary: more fields; None values are left out, `text` is cut to 2000 characters. What
                was said comes redacted.
        """
        self._buffer.event(call_id, _pairs(kind, summary or {}), self._now_ms())
        self._work.set()

    def alert(self, call_id: str, kind: str, summary: Mapping[str, FieldValue | None]) -> None:
        """Publish an alert for supervisors at once, beside the call's own stream.

        Args:
            call_id: the call; goes into the field `call_id`, beside `node` and `at_ms`.
            kind: as for :meth:`event`; summary: likewise.
        """
        self._notice(Stream.ALERTS, call_id, kind, summary)

    def flag(self, call_id: str, summary: Mapping[str, FieldValue | None]) -> None:
        """Put a call on the list of those to be looked at; arguments as for :meth:`alert`."""
        self._notice(Stream.FLAGS, call_id, "flagged", summary)

    def _notice(
        self, to: Stream, call_id: str, kind: str, summary: Mapping[str, FieldValue | None]
    ) -> None:
        where = {"call_id": call_id, "node": self._node_id, "at_ms": str(self._now_ms())}
        self._buffer.notice(to, _pairs(kind, {**where, **summary}))
        self._work.set()

    def end(self, call_id: str, fields: Mapping[str, FieldValue]) -> None:
        """Record how a call ended. `phase` and `ended_at` are filled in if missing."""
        self._buffer.end(call_id, self._known(fields), self._now_ms())
        self._beat_soon()

    def report_node(self, *, capacity: int, draining: bool, http: str = "", sip: str = "") -> None:
        """Change what the heartbeat says, and say it now.

        Args:
            capacity: calls that this node can hold at once.
            draining: it takes no new calls.
            http: where other nodes reach its HTTP port; empty while that is down.
            sip: host and port where phones reach it; empty where that is not known.
        """
        self._report = NodeReport(capacity=capacity, draining=draining, http=http, sip=sip)
        self._beat_now.set()

    def _known(self, fields: Mapping[str, FieldValue]) -> Mapping[str, FieldValue]:
        """Return the fields that a call's hash may have; the names are fixed."""
        unknown = fields.keys() - CALL_FIELDS
        if not unknown:
            return fields
        self._unknown_fields += len(unknown)
        _log.error("no such fields in a call's hash: %s", ", ".join(sorted(unknown)))
        return {name: fields[name] for name in fields.keys() & CALL_FIELDS}

    def _beat_soon(self) -> None:
        self._work.set()
        self._beat_now.set()

    async def _keep_flushing(self) -> None:
        delay_ms = self._settings.flush_ms
        while True:
            await self._work.wait()
            await asyncio.sleep(delay_ms / 1000)
            written = await self._flush()
            delay_ms = self._settings.flush_ms if written else min(2 * delay_ms, _MAX_BACKOFF_MS)
            if not self._buffer.pending:
                self._work.clear()

    async def _flush(self) -> bool:
        """Write what is buffered now; return whether Redis took it."""
        try:
            await self._writer.flush()
        except RedisUnavailableError as error:
            self._failures += 1
            self._lose_contact(error)
            return False
        self._regain_contact()
        return True

    def _lose_contact(self, error: RedisUnavailableError) -> None:
        """Log why Redis takes nothing, once for each reason: the first is seldom the whole one."""
        if self._trouble is not error.trouble:
            _log.error("call state is kept in memory: %s", error)
        self._trouble = error.trouble

    def _regain_contact(self) -> None:
        if self._trouble is not None:
            _log.info("Redis is back: %d writes left to catch up", self._buffer.pending)
            self._beat_now.set()
        self._trouble = None

    async def _keep_beating(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._heartbeat_s):
                    await self._beat_now.wait()
            self._beat_now.clear()
            troubles = "; ".join(self._troubles())
            report = replace(self._report, active=len(self._buffer.live), troubles=troubles)
            emptied = self._nodes.emptied
            try:
                await self._nodes.beat(report)
                await self._end_former_life()
            except RedisUnavailableError as error:
                self._lose_contact(error)  # a node without calls has no other sign of it
            else:
                self._regain_contact()
            if self._nodes.emptied > emptied:
                _log.error(
                    "Redis at %s has lost what it held (FLUSHALL, or a restart without its data):"
                    " ended calls, users, rollouts and the audit are gone; restore its backup",
                    self._link.place,
                )

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            with suppress(RedisUnavailableError):  # the heartbeat reports it
                self._count_swept(await self._nodes.sweep())
            await self._report_lost()

    async def _end_former_life(self) -> None:
        """End what this node's former life left behind, if that was not done yet."""
        if self._has_former_life:
            self._count_swept(await self._nodes.end_former_life(lambda: self._buffer.live))
            self._has_former_life = False

    async def _keep_touching(self) -> None:
        """Touch live calls: should this node die, their end is known to the second."""
        while True:
            await asyncio.sleep(_TOUCH_EVERY_S)
            for call_id in self._buffer.live:
                self._buffer.update(call_id, {}, self._now_ms())
                self._work.set()

    def _count_swept(self, call_ids: Sequence[str]) -> None:
        self._swept += len(call_ids)
        self._unreported.extend(call_ids)
        if call_ids:
            _log.warning("ended %d calls that lost nodes had left active", len(call_ids))

    async def _report_lost(self) -> None:
        """Report calls that were swept; those that Redis doesn't give now are reported later."""
        if not self._unreported:
            return
        with suppress(RedisUnavailableError):
            async with CallReader(self._settings, self._url) as reader:
                while self._unreported:
                    await self._on_lost(await reader.history(self._unreported[0]))
                    self._unreported.popleft()

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS


def _pairs(kind: str, summary: Mapping[str, FieldValue | None]) -> tuple[str, ...]:
    """Return the words of a stream's entry."""
    given = {name: str(value) for name, value in summary.items() if value is not None}
    if "text" in given:
        given["text"] = given["text"][:_MAX_TEXT_CHARS]
    return ("kind", kind, *(word for pair in given.items() for word in pair))


def _report_death(task: asyncio.Task[None]) -> None:
    """Log at once that a task died of a bug: calls go on, and only their record suffers."""
    if not task.cancelled() and task.exception() is not None:
        _log.critical("task %s died", task.get_name(), exc_info=task.exception())
