"""The audit in Redis: entries are added, with the changes that they record, and read.

An entry and its change are one script, so there is neither without the other. The chain of hashes
(:mod:`bridge.store.audit`) makes writers wait for each other: who finds that the last entry is
another one tries again with that.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from bridge.errors import InfrastructureError
from bridge.store.audit import FIRST, chained
from bridge.store.client import Command, RedisLink, RedisStore, Reply, Script
from bridge.store.keys import Keys
from bridge.store.replies import Entry, entries, listed, words_of

Fields = Mapping[str, str]
Copy = Callable[[Fields], Awaitable[None]]
"""Takes every entry that this process has written, its id in ``id``."""

_ATTEMPTS = 50
_PAGE = 500
_SCRIPT = Script(files("bridge.store").joinpath("audited.lua").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Guard:
    """What a change is made from: it is not made where this has changed meanwhile.

    Attributes:
        key: a hash.
        field: of it.
        expected: what it must hold, "" for a missing one.
    """

    key: str
    field: str
    expected: str


class AuditLog(RedisStore):
    """Adds to the audit and reads it.

    Args:
        link: to Redis; closed by whoever made it.
        keys: names.
        copy: takes each entry as well.
    """

    def __init__(self, link: RedisLink, keys: Keys, copy: Copy | None = None) -> None:
        super().__init__(link, keys)
        self._copy = copy
        self._last = ("", FIRST)
        self._turn = asyncio.Lock()

    async def append(
        self, entry: Fields, *, guard: Guard | None = None, commands: Sequence[Command] = ()
    ) -> bool:
        """Add an entry and make a change, both or neither.

        Args:
            entry: its fields, without the chain's.
            guard: what the change is made from.
            commands: the change.

        Returns:
            False where the guard did not hold: nothing was written.

        Raises:
            InfrastructureError: others write so much that it never was this one's turn.
        """
        async with self._turn:
            written = await self._append(entry, guard, commands)
        if written is not None and self._copy is not None:
            await self._copy(written)
        return written is not None

    async def _append(
        self, entry: Fields, guard: Guard | None, commands: Sequence[Command]
    ) -> Fields | None:
        for _ in range(_ATTEMPTS):
            last_id, previous = self._last
            fields = chained(entry, previous)
            kind, *rest = await self._run(fields, last_id, guard, commands)
            if kind == 0:
                return None
            if kind == 1:
                self._last = (str(rest[0]), fields["hash"])
                return {"id": str(rest[0]), **fields}
            self._last = (str(rest[0]), str(rest[1]))
        raise InfrastructureError("the audit is written by others all the time")

    async def _run(
        self, fields: Fields, last_id: str, guard: Guard | None, commands: Sequence[Command]
    ) -> Sequence[Reply]:
        guarded = ("", "", "") if guard is None else (guard.key, guard.field, guard.expected)
        parts = [word for part in (words_of(fields), *commands) for word in (len(part), *part)]
        return listed(
            await self._link.run(
                _SCRIPT,
                [self._keys.audit, guarded[0]],
                [last_id, *guarded[1:], len(commands), *parts],
            )
        )

    async def latest(self, most: int, before: str = "+") -> list[Entry]:
        """Return the latest entries, (id, fields), the newest first.

        Args:
            most: how many.
            before: an id: only what was written before that entry.
        """
        end = before if before == "+" else f"({before}"
        latest = ("XREVRANGE", self._keys.audit, end, "-", "COUNT", most)
        return entries(await self._link.ask(latest))

    async def read(self, since_ms: int = 0) -> AsyncIterator[Entry]:
        """Yield every entry from a time on, (id, fields), the oldest first.

        Args:
            since_ms: ms since the Unix epoch.
        """
        start = str(since_ms)
        while True:
            following = ("XRANGE", self._keys.audit, start, "+", "COUNT", _PAGE)
            page = entries(await self._link.ask(following))
            for entry in page:
                yield entry
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0]}"
