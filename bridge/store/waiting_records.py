"""Records of calls that the disk refused, kept in Redis until it takes them.

    bridge:record:{call_id}   hash that expires: node, from, asserted, files (JSON)
    bridge:records            sorted set of their calls, by when they came; ms since the Unix epoch

Each node has so many of them at most; past that its oldest are given up, and counted.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from bridge.config.settings import RedisSettings
from bridge.store.client import RedisLink, RedisStore
from bridge.store.keys import Keys
from bridge.store.replies import texts, words_of

_PAGE = 100


@dataclass(frozen=True, slots=True)
class WaitingRecord:
    """One record.

    Attributes:
        caller, asserted: as SIP names them, so that a caller's records can be found and erased.
        files: what is to be written, in its writer's words.
        keep_s: how long it may be kept at most; None for as long as any record waits.
    """

    call_id: str
    caller: str
    asserted: str
    files: str
    keep_s: int | None = None


class WaitingRecords(RedisStore):
    """One node's records.

    Args:
        link: to Redis; closed by whoever made it.
        settings: prefix, how many are kept and for how long.
        node_id: this node.
        now_ms: wall time.

    Attributes:
        dropped: records that were given up: too many, or over their time.
    """

    def __init__(
        self, link: RedisLink, settings: RedisSettings, node_id: str, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(link, Keys(settings.prefix))
        self.dropped = 0
        self._settings = settings
        self._node_id = node_id
        self._now_ms = now_ms

    async def put(self, record: WaitingRecord) -> None:
        """Keep a record, in the place of the node's oldest one if there are too many."""
        key = self._keys.record(record.call_id)
        fields = {
            "node": self._node_id,
            "from": record.caller,
            "asserted": record.asserted,
            "files": record.files,
        }
        expire_s = self._settings.records_wait_s
        if record.keep_s is not None:
            expire_s = min(expire_s, record.keep_s)
        await self._link.ask_all(
            [
                ("HSET", key, *words_of(fields)),
                ("EXPIRE", key, expire_s),
                ("ZADD", self._keys.records, self._now_ms(), record.call_id),
            ]
        )
        waiting = [call_id async for call_id in self._mine()]
        for call_id in waiting[: max(0, len(waiting) - self._settings.records_waiting)]:
            await self.remove(call_id)
            self.dropped += 1

    async def count(self) -> int:
        """Return how many wait."""
        return len([call_id async for call_id in self._mine()])

    async def all(self) -> AsyncIterator[WaitingRecord]:
        """Yield this node's, from the oldest on."""
        for call_id in [each async for each in self._mine()]:
            fields = ("from", "asserted", "files")
            found = await self._link.ask(("HMGET", self._keys.record(call_id), *fields))
            if isinstance(found, list) and found[2] is not None:
                yield WaitingRecord(call_id, str(found[0]), str(found[1]), str(found[2]))

    async def remove(self, call_id: str) -> None:
        """Forget a record that is on the disk, or was given up."""
        await self._link.ask_all(
            [("DEL", self._keys.record(call_id)), ("ZREM", self._keys.records, call_id)]
        )

    async def _mine(self) -> AsyncIterator[str]:
        """Yield this node's calls, from the oldest on; those over their time leave the list."""
        known = texts(await self._link.ask(("ZRANGE", self._keys.records, 0, -1)))
        for first in range(0, len(known), _PAGE):
            page = known[first : first + _PAGE]
            nodes = await self._link.ask_all(
                [("HGET", self._keys.record(each), "node") for each in page]
            )
            for call_id, node in zip(page, nodes, strict=True):
                if node is None:  # whose it was nobody knows any more: who takes it out counts it
                    gone = await self._link.ask(("ZREM", self._keys.records, call_id))
                    self.dropped += gone == 1
                elif node == self._node_id:
                    yield call_id
