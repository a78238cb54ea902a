"""Call state as a reader sees it: the live view, the console, tests. Own connections, no writes."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass

from bridge.config.settings import RedisSettings
from bridge.store.client import OwnRedisStore, Reply, Script
from bridge.store.replies import Entry, entries, following, listed, pairs, texts

MAX_BLOCK_MS = 5_000
_MAX_EVENTS = 500
_POLL_S = 0.05
_OLD_BEATS = 10
"""A heartbeat that is older was not written any more; clocks differ by less."""

_PAGE = 40
"""Calls in one round trip of a long list: more would hold the loop for over 2 ms."""

_HASHES = Script("""
local found = {}
for number, key in ipairs(KEYS) do
    local values = redis.pcall('HMGET', key, unpack(ARGV))
    found[number] = values.err and {} or values
end
return found
""")
"""Some fields of many hashes. The fields' names go over the wire once: to pack them for each of 200
calls took half of the time. What is no hash is empty."""


@dataclass(frozen=True, slots=True)
class History:
    """A call as Redis has it.

    Attributes:
        fields: of its hash.
        events: (id, fields), in order; an id begins with ms since the Unix epoch.
    """

    fields: Mapping[str, str]
    events: tuple[tuple[str, Mapping[str, str]], ...]

    @property
    def started_ms(self) -> int:
        """When the call began, ms since the Unix epoch; 0 if that isn't known."""
        return int(self.fields.get("started_at", 0))

    def at_ms(self, event_id: str) -> int:
        """Return an event's time, ms since the call began."""
        return int(event_id.split("-", maxsplit=1)[0]) - self.started_ms

    def turns(self) -> list[Mapping[str, str]]:
        """Return the conversation; the last word on each item counts."""
        turns: dict[str, Mapping[str, str]] = {}
        for event_id, fields in self.events:
            if fields.get("kind") == "turn":
                turns[fields.get("item_id", event_id)] = fields
        return list(turns.values())


class CallReader(OwnRedisStore):
    """Reads what every node writes."""

    def __init__(self, settings: RedisSettings, url: str) -> None:
        super().__init__(settings, url)
        self._heartbeat_s = settings.heartbeat_ms / 1000

    async def active(self) -> list[str]:
        """Return the calls that have begun and not ended, the oldest first."""
        return texts(await self._link.ask(["ZRANGE", self._keys.active, 0, -1]))

    async def ended(self, most: int) -> list[str]:
        """Return the calls that have ended and are still kept, the latest first."""
        return texts(await self._link.ask(["ZREVRANGE", self._keys.ended, 0, most - 1]))

    async def calls(self, call_ids: Collection[str]) -> list[dict[str, str]]:
        """Return the fields of several calls in one round trip; without those that are gone."""
        if not call_ids:
            return []
        replies = await self._link.ask_all(
            [["HGETALL", self._keys.call(call_id)] for call_id in call_ids]
        )
        return [fields for fields in map(pairs, replies) if fields]

    async def troubled_nodes(self) -> dict[str, str]:
        """Return what is wrong with the nodes that have not left, by their names."""
        names = texts(await self._link.ask(["ZRANGE", self._keys.nodes, 0, -1]))
        if not names:
            return {}
        time, *replies = await self._link.ask_all(
            [["TIME"]]
            + [["HMGET", self._keys.node(name), "updated_at", "troubles"] for name in names]
        )
        now_s = int(str(time[0])) if isinstance(time, list) else 0
        found = {
            name: self._trouble(*reply, now_s=now_s)
            for name, reply in zip(names, replies, strict=True)
            if isinstance(reply, list)
        }
        return {name: words for name, words in found.items() if words}

    def _trouble(self, beat: Reply, troubles: Reply, *, now_s: int) -> str:
        """Return what is wrong with a node by its heartbeat's time and its own words."""
        if beat is None:
            return "has no heartbeat: it is dead, or can't write to Redis"
        # Of a Redis that takes no new data the heartbeat's end is put off all the same.
        silent_s = now_s - int(str(beat)) // 1000
        if silent_s > _OLD_BEATS * self._heartbeat_s:
            old = f"its last heartbeat is {silent_s} s old"
            return f"{old}: it can't write to Redis, or its clock is wrong"
        return str(troubles or "")

    async def pages(
        self, call_ids: Sequence[str], fields: Sequence[str]
    ) -> AsyncIterator[list[dict[str, str]]]:
        """Yield some fields of many calls, some calls at a time; without those that are gone.

        The loop runs on in between, so a list may be long.
        """
        for first in range(0, len(call_ids), _PAGE):
            asked = call_ids[first : first + _PAGE]
            keys = [self._keys.call(call_id) for call_id in asked]
            replies = listed(await self._link.run(_HASHES, keys, fields))
            rows = [
                {n: str(v) for n, v in zip(fields, listed(reply), strict=False) if v is not None}
                for reply in replies
            ]
            yield [row for row in rows if row]

    async def call(self, call_id: str) -> dict[str, str] | None:
        """Return the fields of a call (`keys.CALL_FIELDS`), None if Redis has none such."""
        return pairs(await self._link.ask(["HGETALL", self._keys.call(call_id)])) or None

    async def nodes(self) -> dict[str, dict[str, str]]:
        """Return the heartbeats of the nodes that live, by name."""
        names = texts(await self._link.ask(["ZRANGE", self._keys.nodes, 0, -1]))
        beats = [(name, await self.node(name)) for name in names]
        return {name: beat for name, beat in beats if beat is not None}

    async def node(self, node_id: str) -> dict[str, str] | None:
        """Return a node's heartbeat, None if it is gone."""
        return pairs(await self._link.ask(["HGETALL", self._keys.node(node_id)])) or None

    async def events(
        self, call_id: str, after: str = "0", block_ms: int = 0, most: int = _MAX_EVENTS
    ) -> list[Entry]:
        """Return the next event summaries of a call, at most ``most``.

        Args:
            call_id: the call.
            after: id of the last event seen; "0" reads from the beginning of what is kept.
            block_ms: how long to wait if there is none yet, at most 5000.

        Returns:
            (id, fields) in order. An id begins with the event's time in ms since the Unix epoch.
        """
        return await self._entries(self._keys.events(call_id), after, block_ms, most)

    async def alerts(self, after: str = "0", block_ms: int = 0) -> list[Entry]:
        """Return the next alerts of all calls, at most 500; result as of :meth:`events`."""
        return await self._entries(self._keys.alerts, after, block_ms, _MAX_EVENTS)

    async def flags(self, after: str = "0", block_ms: int = 0) -> list[Entry]:
        """Return the next flags of all calls, at most 500; result as of :meth:`events`."""
        return await self._entries(self._keys.flags, after, block_ms, _MAX_EVENTS)

    async def _entries(self, stream: str, after: str, block_ms: int, most: int) -> list[Entry]:
        wait_ms = min(block_ms, MAX_BLOCK_MS)
        block = ("BLOCK", wait_ms) if wait_ms > 0 else ()  # BLOCK 0 would wait for ever
        streams = ("STREAMS", stream, after)
        reply = await self._link.ask(
            ("XREAD", "COUNT", most, *block, *streams), patience_s=wait_ms / 1000
        )
        return following(reply)

    async def history(self, call_id: str) -> "History":
        """Return all that Redis has of a call; empty if it has none such."""
        events: list[Entry] = []
        while more := await self.events(call_id, events[-1][0] if events else "0"):
            events += more
        return History(await self.call(call_id) or {}, tuple(events))

    async def last_events(self, call_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the latest event of each call in one round trip; without those that have none."""
        if not call_ids:
            return {}
        replies = await self._link.ask_all(
            [["XREVRANGE", self._keys.events(each), "+", "-", "COUNT", 1] for each in call_ids]
        )
        return {
            call_id: fields
            for call_id, reply in zip(call_ids, replies, strict=True)
            for _, fields in entries(reply)
        }

    async def wait_for_call(self, *, seen: Collection[str] = (), timeout_s: float) -> str:
        """Return the oldest active call that is not among ``seen``, as soon as there is one.

        Raises:
            TimeoutError: none began within ``timeout_s``.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                for call_id in await self.active():
                    if call_id not in seen:
                        return call_id
                await asyncio.sleep(_POLL_S)
