"""The list of live calls of all nodes: read once for everybody who watches, told as differences.

It is read out of Redis while somebody watches, and not at all else. Each row is written as JSON
once, whatever number of people see it; who may see it is asked for each of them. Numbers are
masked. Runs in the loop's thread and never holds it: rows come in pages.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.clock import NS_PER_MS, Clock
from bridge.console.masking import mask_caller
from bridge.errors import InfrastructureError
from bridge.telemetry.health import Health, while_silent

READ_EVERY_S = 0.5
BEAT_S = 1.0
"""A watcher hears something at least so often, so that it can tell how old its data is."""

_LOST_AFTER_MS = 5_000
"""A node says once a second that its calls go on."""

_QUEUE = 8
_TEXTS = (
    *("call_id", "node", "dialplan", "arm", "dialect", "model", "state", "verstat", "consent"),
    *("held_by", "handoff_target", "handoff_summary", "handoff_result"),
)
_NUMBERS = (
    *("started_at", "answered_at", "state_since_at", "silent_since_at", "waiting_since_at"),
    *(
        "watchers",
        "flagged",
        "sensitive",
        "last_turn_ms",
        "interruptions_caller",
        "interruptions_agent",
        "tool_failures",
    ),
)
FIELDS = (*_TEXTS, *_NUMBERS, "from", "to", "health", "health_reasons", "updated_at", "ended_at")
"""What is read of each call."""

_WAITS_QUIETLY = frozenset({"ringing", "transferring", "human", "ended"})
"""States in which silence on the agent's side says nothing."""

Row = dict[str, object]


class LiveCallsReader(Protocol):
    """Where live calls are read from (:class:`bridge.store.reader.CallReader`)."""

    async def active(self) -> list[str]:
        """Return the ids of live calls."""
        ...

    def pages(
        self, call_ids: Sequence[str], fields: Sequence[str]
    ) -> AsyncIterator[list[dict[str, str]]]:
        """Yield some fields of calls, some calls at a time."""
        ...


def live_row(fields: Mapping[str, str], now_ms: int) -> Row:
    """Return what a list shows of a live call, from its hash.

    Times are ms since the Unix epoch; what is not known is missing.
    """
    row: Row = {name: fields[name] for name in _TEXTS if fields.get(name)}
    row.update({name: int(fields[name]) for name in _NUMBERS if fields.get(name, "0") != "0"})
    row["from"] = mask_caller(fields.get("from", ""))
    row["to"] = mask_caller(fields.get("to", ""), whole=True)
    row["state"] = fields.get("state") or fields.get("phase", "")
    reasons = tuple(each for each in fields.get("health_reasons", "").split("; ") if each)
    health = Health(int(fields.get("health", 100)), reasons)
    silent_since_ms = int(fields.get("silent_since_at", 0))
    if silent_since_ms and row["state"] not in _WAITS_QUIETLY:
        health = while_silent(health, now_ms - silent_since_ms)
    row["health"], row["health_reasons"] = health.score, list(health.reasons)
    row["lost"] = now_ms - int(fields.get("updated_at", now_ms)) > _LOST_AFTER_MS
    return row


@dataclass(slots=True)
class _Known:
    """A row as it was told: its route, and its text."""

    route: str
    text: str


@dataclass(slots=True)
class Watcher:
    """Somebody who watches.

    Attributes:
        may_see: whether they may see calls of a route.
        queue: what they are yet to be told; None tells them to begin anew.
    """

    may_see: Callable[[str], bool]
    queue: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE))
    seen: set[str] = field(default_factory=set)

    def tell(self, text: str) -> None:
        """Take a message; one who is too slow for them gets the whole list anew."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.forget()
            self.queue.put_nowait(None)

    def forget(self) -> None:
        """Leave untold what is yet to be told: a whole list says it all."""
        while not self.queue.empty():
            self.queue.get_nowait()


class LiveList:
    """Reads live calls and tells watchers.

    Args:
        reader: of call state.
        clock: wall time.
        every_s: between two readings.
    """

    def __init__(
        self, reader: LiveCallsReader, clock: Clock, *, every_s: float = READ_EVERY_S
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._every_s = every_s
        self._known: dict[str, _Known] = {}
        self._watchers: list[Watcher] = []
        self._reading: asyncio.Task[None] | None = None
        self._fresh = asyncio.Event()
        self.away: str | None = None
        """Why nothing can be read now."""

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._watchers)

    async def aclose(self) -> None:
        """Stop reading, and end every watch."""
        for watcher in list(self._watchers):
            watcher.forget()
            watcher.tell("")
        await self._stop()

    async def rows(self, may_see: Callable[[str], bool]) -> list[Row]:
        """Return the live calls of some routes now.

        Raises:
            RedisUnavailableError: (an InfrastructureError) Redis is away.
        """
        now_ms = self._now_ms()
        found = []
        async for page in self._reader.pages(await self._reader.active(), FIELDS):
            found += [live_row(each, now_ms) for each in page if may_see(each.get("dialplan", ""))]
        return found

    async def watch(self, may_see: Callable[[str], bool]) -> AsyncIterator[tuple[str, str]]:
        """Yield (event, JSON) for ever: a ``snapshot``, then a ``diff`` whenever something changed.

        A diff says which rows are new or other than before and which calls are gone, and comes once
        a second anyway; ``away`` says that nothing can be read and why.
        """
        watcher = Watcher(may_see)
        self._watchers.append(watcher)
        if self._reading is None:
            self._fresh.clear()
            self._reading = asyncio.create_task(self._keep_reading(), name="live-list")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._fresh.wait()
            yield self._snapshot(watcher)
            while True:
                try:
                    async with asyncio.timeout(BEAT_S):
                        text = await watcher.queue.get()
                except TimeoutError:
                    text = self._message([], [])
                if text is None:
                    yield self._snapshot(watcher)
                elif not text:
                    return
                elif self.away is not None:
                    yield "away", json.dumps({"reason": self.away})
                else:
                    yield "diff", text
        finally:
            self._watchers.remove(watcher)
            if not self._watchers:
                await self._stop()

    async def _stop(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        self._known.clear()

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS

    async def _keep_reading(self) -> None:
        while True:
            try:
                await self._read()
                self.away = None
            except InfrastructureError as error:
                self.away = error.what
                for watcher in self._watchers:
                    watcher.tell(self._message([], []))
            self._fresh.set()
            await asyncio.sleep(self._every_s)

    async def _read(self) -> None:
        now_ms = self._now_ms()
        found: dict[str, _Known] = {}
        async for page in self._reader.pages(await self._reader.active(), FIELDS):
            for fields in page:
                if "ended_at" not in fields and "call_id" in fields:
                    text = json.dumps(live_row(fields, now_ms), ensure_ascii=False)
                    found[fields["call_id"]] = _Known(fields.get("dialplan", ""), text)
        before, self._known = self._known, found
        changed = [call_id for call_id, each in found.items() if before.get(call_id) != each]
        gone = before.keys() - found.keys()
        if changed or gone:
            for watcher in self._watchers:
                self._tell(watcher, changed, gone)

    def _tell(self, watcher: Watcher, changed: Sequence[str], gone: set[str]) -> None:
        seen = [each for each in changed if watcher.may_see(self._known[each].route)]
        left = [each for each in gone if each in watcher.seen]
        if seen or left:
            watcher.seen.update(seen)
            watcher.seen.difference_update(left)
            watcher.tell(self._message([self._known[each].text for each in seen], left))

    def _snapshot(self, watcher: Watcher) -> tuple[str, str]:
        watcher.forget()
        if self.away is not None:
            return "away", json.dumps({"reason": self.away})
        shown = {i: each.text for i, each in self._known.items() if watcher.may_see(each.route)}
        watcher.seen = set(shown)
        return "snapshot", self._message(list(shown.values()), [])

    def _message(self, rows: Sequence[str], gone: Sequence[str]) -> str:
        left = json.dumps(list(gone))
        return f'{{"at_ms": {self._now_ms()}, "rows": [{", ".join(rows)}], "gone": {left}}}'
