"""Ended calls in Redis: a wrap-up for the hash that is kept for a while, and the erasing of calls.

The wrap-up's fields are the console's, written after the call's end; a node's writes leave them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.store.client import OwnRedisStore, RedisStore
from bridge.store.replies import listed, texts, words_of

_PAGE_CALLS = 500


@dataclass(frozen=True, slots=True)
class StoredWrapUp:
    """What came of a call, in the words of who had its caller.

    Attributes:
        code: one of the dialplan's ``handoff.wrap_up``; empty where it has none.
        note: redacted.
        by: who wrote it.
        at_ms: when, ms since the Unix epoch.
    """

    code: str
    note: str
    by: str
    at_ms: int


class WrapUpStore(RedisStore):
    """Keeps wrap-ups."""

    async def write(self, call_id: str, wrap_up: StoredWrapUp) -> None:
        """Put a wrap-up into the hash of a call that is there; the last one counts."""
        fields = {
            "wrap_up_code": wrap_up.code,
            "wrap_up_note": wrap_up.note,
            "wrapped_up_by": wrap_up.by,
            "wrapped_up_at": str(wrap_up.at_ms),
        }
        await self._link.ask(("HSET", self._keys.call(call_id), *words_of(fields)))


class CallEraser(OwnRedisStore):
    """Finds and erases ended calls. Calls that go on are left: their node writes them anew."""

    async def ended_of(self, is_of: Callable[[str], bool]) -> list[str]:
        """Return the ended calls whose caller (From, or asserted) meets ``is_of``."""
        ended = await self._of(self._keys.ended, self._keys.call, is_of)
        waiting = await self._of(self._keys.records, self._keys.record, is_of)
        return [*ended, *(call_id for call_id in waiting if call_id not in ended)]

    async def active_of(self, is_of: Callable[[str], bool]) -> list[str]:
        """Return the calls that go on whose caller meets ``is_of``."""
        return await self._of(self._keys.active, self._keys.call, is_of)

    async def erase(self, call_ids: Sequence[str]) -> list[str]:
        """Erase ended calls; return those of which there was something."""
        erased: list[str] = []
        names = self._keys
        for first in range(0, len(call_ids), _PAGE_CALLS):
            page = call_ids[first : first + _PAGE_CALLS]
            deleted = await self._link.ask_all(
                [("DEL", names.call(each), names.events(each), names.record(each)) for each in page]
            )
            await self._link.ask_all(
                [("ZREM", where, *page) for where in (names.ended, names.records)]
            )
            erased += [each for each, count in zip(page, deleted, strict=True) if count != 0]
        return erased

    async def _of(
        self, where: str, hash_of: Callable[[str], str], is_of: Callable[[str], bool]
    ) -> list[str]:
        known = texts(await self._link.ask(("ZRANGE", where, 0, -1)))
        found: list[str] = []
        for first in range(0, len(known), _PAGE_CALLS):
            page = known[first : first + _PAGE_CALLS]
            callers = await self._link.ask_all(
                [("HMGET", hash_of(each), "from", "asserted") for each in page]
            )
            found += [
                each
                for each, of_it in zip(page, callers, strict=True)
                if any(isinstance(caller, str) and is_of(caller) for caller in listed(of_it))
            ]
        return found
