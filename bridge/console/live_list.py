"""The list of live calls of all nodes: read once for everybody who watches, sent as differences.

It is read out of Redis while somebody watches, and not at all else. A row is made anew when its
call has changed, and a message is written once for all who may see the same routes. Numbers are
masked. Runs in the loop's thread and never holds it: rows come in pages.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from bridge.clock import NS_PER_MS, Clock
from bridge.console.access.roles import covers
from bridge.console.live_row import FIELDS, Row, is_lost, live_row, without
from bridge.console.shared import Shared
from bridge.errors import InfrastructureError

READ_EVERY_S = 0.5
BEAT_S = 1.0
"""A watcher gets something at least so often, so that it knows how old its data is."""

_QUEUE = 8


class LiveCallsReader(Protocol):
    """The source of live calls (:class:`bridge.store.reader.CallReader`)."""

    async def active(self) -> list[str]:
        """Return the ids of live calls."""
        ...

    def pages(
        self, call_ids: Sequence[str], fields: Sequence[str]
    ) -> AsyncIterator[list[dict[str, str]]]:
        """Yield some fields of calls, some calls at a time."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    """A call as it was last published.

    Attributes:
        fields: what the row was made of, but for when its node has last said that it goes on.
        row: as it is shown; text: the same as JSON.
    """

    fields: Mapping[str, str]
    row: Row
    text: str

    @property
    def route(self) -> str:
        return self.fields.get("dialplan", "")


class _Scope(NamedTuple):
    """The calls and fields that a watcher may see.

    Attributes:
        routes: patterns of dialplans; hidden: what is left out of their rows.
    """

    routes: tuple[str, ...]
    hidden: frozenset[str]

    def covers(self, call: _Known) -> bool:
        return covers(self.routes, call.route)

    def text(self, call: _Known) -> str:
        if self.hidden.isdisjoint(call.row):
            return call.text
        return json.dumps(without(call.row, self.hidden), ensure_ascii=False)


@dataclass(slots=True, eq=False)
class _Watcher:
    """A page that shows the list.

    Attributes:
        queue: messages yet to be sent; None has them begin anew.
    """

    queue: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE))

    def send(self, text: str) -> None:
        """Take a message; one who is too slow for them gets the whole list anew."""
        try:
            self.queue.put_nowait(text)
        except asyncio.QueueFull:
            self.forget()
            self.queue.put_nowait(None)

    def forget(self) -> None:
        """Drop what is yet to be sent: a whole list says it all."""
        while not self.queue.empty():
            self.queue.get_nowait()


class LiveList:
    """Reads live calls and publishes their differences to watchers.

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
        self._readings = Shared(self._read, every_s)
        self._known: dict[str, _Known] = {}
        self._scopes: dict[_Scope, set[_Watcher]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._fresh = asyncio.Event()
        self.away: str | None = None
        """Why nothing can be read now."""

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return sum(map(len, self._scopes.values()))

    async def aclose(self) -> None:
        """Stop reading, and end every watch."""
        for watcher in self._everybody():
            watcher.forget()
            watcher.send("")
        await self._stop()

    async def rows(self, may_see: Callable[[str], bool], *, hidden: frozenset[str]) -> list[Row]:
        """Return the live calls of some routes, as they were at most :data:`READ_EVERY_S` ago.

        Args:
            may_see: whether the calls of a route are wanted.
            hidden: what is left out of them (:func:`hidden_from`).

        Raises:
            RedisUnavailableError: (an InfrastructureError) Redis is away.
        """
        known = await self._readings.get()
        return [without(each.row, hidden) for each in known.values() if may_see(each.route)]

    async def watch(
        self, routes: Sequence[str], *, hidden: frozenset[str]
    ) -> AsyncIterator[tuple[str, str]]:
        """Yield (event, JSON) for ever: a ``snapshot``, then a ``diff`` whenever something changed.

        A diff says which rows are new or other than before and which calls are gone, and comes once
        a second anyway; ``away`` says that nothing can be read and why.

        Args:
            routes: patterns of the dialplans whose calls are sent.
            hidden: what is left out of their rows (:func:`hidden_from`).
        """
        watcher, scope = _Watcher(), _Scope(tuple(sorted(routes)), hidden)
        self._scopes.setdefault(scope, set()).add(watcher)
        if self._reading is None:
            self._fresh.clear()
            self._reading = asyncio.create_task(self._keep_reading(), name="live-list")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._fresh.wait()
            yield self._snapshot(watcher, scope)
            while True:
                try:
                    async with asyncio.timeout(BEAT_S):
                        text = await watcher.queue.get()
                except TimeoutError:
                    text = self._message([], [])
                if text is None:
                    yield self._snapshot(watcher, scope)
                elif not text:
                    return
                elif self.away is not None:
                    yield "away", json.dumps({"reason": self.away})
                else:
                    yield "diff", text
        finally:
            await self._leave(watcher, scope)

    async def _leave(self, watcher: _Watcher, scope: _Scope) -> None:
        watchers = self._scopes[scope]
        watchers.discard(watcher)
        if not watchers:
            del self._scopes[scope]
        if not self._scopes:
            await self._stop()

    async def _stop(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS

    def _everybody(self) -> Iterable[_Watcher]:
        return [watcher for watchers in self._scopes.values() for watcher in watchers]

    async def _keep_reading(self) -> None:
        while True:
            try:
                await self._readings.get()
                self.away = None
            except InfrastructureError as error:
                self.away = error.what
                for watcher in self._everybody():
                    watcher.send(self._message([], []))
            self._fresh.set()
            await asyncio.sleep(self._readings.due_in_s or READ_EVERY_S)

    async def _read(self) -> Mapping[str, _Known]:
        """Read what there is, and publish the differences from before."""
        now_ms, found = self._now_ms(), dict[str, _Known]()
        async for page in self._reader.pages(await self._reader.active(), FIELDS):
            for fields in page:
                if "ended_at" not in fields and "call_id" in fields:
                    call_id = fields["call_id"]
                    found[call_id] = _known(fields, now_ms, self._known.get(call_id))
        before, self._known = self._known, found
        changed = [i for i, now in found.items() if i not in before or before[i].text != now.text]
        gone = before.keys() - found.keys()
        if changed or gone:
            for scope, watchers in self._scopes.items():
                self._publish(scope, watchers, before, changed, gone)
        return found

    def _publish(
        self,
        scope: _Scope,
        watchers: set[_Watcher],
        before: Mapping[str, _Known],
        changed: Sequence[str],
        gone: set[str],
    ) -> None:
        def saw(call_id: str) -> bool:
            return call_id in before and scope.covers(before[call_id])

        seen = {i: self._known[i] for i in changed if scope.covers(self._known[i])}
        left = [i for i in (*gone, *changed) if i not in seen and saw(i)]
        if seen or left:
            text = self._message([scope.text(each) for each in seen.values()], left)
            for watcher in watchers:
                watcher.send(text)

    def _snapshot(self, watcher: _Watcher, scope: _Scope) -> tuple[str, str]:
        watcher.forget()
        if self.away is not None:
            return "away", json.dumps({"reason": self.away})
        shown = [scope.text(each) for each in self._known.values() if scope.covers(each)]
        return "snapshot", self._message(shown, [])

    def _message(self, rows: Sequence[str], gone: Sequence[str]) -> str:
        left = json.dumps(list(gone))
        return f'{{"at_ms": {self._now_ms()}, "rows": [{", ".join(rows)}], "gone": {left}}}'


def _known(fields: Mapping[str, str], now_ms: int, before: _Known | None) -> _Known:
    """Return a call to publish; the one from before where nothing has changed."""
    kept = {name: each for name, each in fields.items() if name != "updated_at"}
    if (
        before is not None
        and before.fields == kept
        and before.row["lost"] == is_lost(fields, now_ms)
        and kept.get("silent_since_at", "0") == "0"  # a silence makes a call worse by itself
    ):
        return before
    row = live_row(fields, now_ms)
    return _Known(kept, row, json.dumps(row, ensure_ascii=False))
