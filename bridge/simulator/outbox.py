"""Events on their way to one client.

One task writes, so events leave in the order they were put in. A response waits for :meth:`drained`
between deltas; a client that reads nothing while thousands of other events pile up is dropped.
"""

import asyncio
import json

from aiohttp import ClientConnectionResetError, web

from bridge.simulator.wire import WireObject

_LOW_EVENTS = 64
_FULL_EVENTS = 4096


class SlowClientError(Exception):
    """The client does not read its events."""


class Outbox:
    """The bounded queue between a session and its socket."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[WireObject] = asyncio.Queue(_FULL_EVENTS)
        self._low = asyncio.Event()
        self._low.set()

    def put(self, event: WireObject) -> None:
        """Queue an event.

        Raises:
            SlowClientError: the queue is full.
        """
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            raise SlowClientError from None
        if self._queue.qsize() > _LOW_EVENTS:
            self._low.clear()

    async def drained(self) -> None:
        """Wait until few events are left."""
        await self._low.wait()

    async def flush(self) -> None:
        """Wait until every event has been written."""
        await self._queue.join()

    async def write_to(self, socket: web.WebSocketResponse) -> None:
        """Write events until the socket closes or the task is cancelled."""
        while not socket.closed:
            event = await self._queue.get()
            if self._queue.qsize() <= _LOW_EVENTS:
                self._low.set()
            try:
                await socket.send_str(json.dumps(event))
            except ClientConnectionResetError:
                # The reader ends the session when it sees the same.
                return
            finally:
                self._queue.task_done()
