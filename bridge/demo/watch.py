"""The demo's watcher: follows one node's first call in Redis and shows it."""

import asyncio
from collections.abc import Collection

from bridge.demo.follow import FollowedCall
from bridge.demo.view import View
from bridge.store.reader import CallReader

_BLOCK_MS = 500


class Watcher:
    """Follows the first call of a node, in a task of its own from :meth:`start` on.

    Args:
        reader: of the Redis that the node writes to.
        view: where the call is shown.
        node: whose call; other nodes may use the same Redis.
        earlier: calls that were active before the node was.

    Attributes:
        call: what is known of the call.
        call_id: None as long as there is none.
        task: ends with the call; fails when Redis is lost. None before the start.
    """

    def __init__(
        self, reader: CallReader, view: View, *, node: str, earlier: Collection[str]
    ) -> None:
        self.call = FollowedCall()
        self.call_id: str | None = None
        self.task: asyncio.Task[None] | None = None
        self._reader = reader
        self._view = view
        self._node = node
        self._seen = set(earlier)

    def start(self, timeout_s: float) -> "asyncio.Task[None]":
        """Begin to watch, for ``timeout_s`` at most until the call begins."""
        self.task = asyncio.create_task(self._watch(timeout_s), name="demo-watcher")
        return self.task

    async def aclose(self) -> None:
        """End the task, if it runs."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def _watch(self, timeout_s: float) -> None:
        call_id = await self._find(timeout_s)
        self.call_id = call_id
        last = "0"
        while not self.call.ended:
            events = await self._reader.events(call_id, last, _BLOCK_MS)
            for entry_id, fields in events:
                self._view.call(self.call, self.call.feed(entry_id, fields))
                last = entry_id

    async def _find(self, timeout_s: float) -> str:
        while True:
            call_id = await self._reader.wait_for_call(seen=self._seen, timeout_s=timeout_s)
            fields = await self._reader.call(call_id)
            if fields is not None and fields.get("node") == self._node:
                return call_id
            self._seen.add(call_id)
