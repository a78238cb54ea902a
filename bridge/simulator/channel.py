"""The way from a session's parts to its client, and the tasks that run for it.

All parts of a session send their events here, so their order on the wire is the order in which they
were decided.
"""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from bridge.realtime.event_values import ApiError
from bridge.realtime.events import ErrorReported, ServerEvent
from bridge.realtime.ids import ResponseId
from bridge.realtime.session_config import ResponseConfig, SessionConfig
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.outbox import Close, Outbox

T = TypeVar("T")


class SessionTasks:
    """The tasks that run for one session.

    Args:
        group: the connection's; what is started in it here ends with :meth:`stop`.
    """

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[None, None, T], name: str) -> asyncio.Task[T]:
        """Start a task."""
        task = self._group.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def stop(self) -> None:
        """Cancel what is still running."""
        for task in tuple(self._running):
            task.cancel()


class Channel:
    """The way to one client, and the tasks that run for it.

    Args:
        wire: the connection's dialect.
        outbox: takes events for the client.
        tasks: the connection's task group.
    """

    def __init__(self, wire: Wire, outbox: Outbox, tasks: asyncio.TaskGroup) -> None:
        self._wire = wire
        self._outbox = outbox
        self._tasks = SessionTasks(tasks)

    @property
    def config(self) -> SessionConfig:
        """The session's settings in force."""
        return self._wire.config

    def emit(self, *events: ServerEvent) -> None:
        """Send the client events.

        Raises:
            SlowClientError: it doesn't read its events.
        """
        for event in events:
            for written in self._wire.encode(event):
                self._outbox.put(written)

    def report(self, error: ApiError) -> None:
        """Send the client an error."""
        self.emit(ErrorReported(error))

    def begin_response(self, response_id: ResponseId, asked: ResponseConfig) -> None:
        """Remember what a response was asked to be: its events say so."""
        self._wire.begin_response(response_id, asked)

    def hang_up(self, code: int, reason: str) -> None:
        """Close the connection once all before it is sent."""
        self._outbox.do(Close(code, reason))

    async def drained(self) -> None:
        """Wait until few events are left to be sent."""
        await self._outbox.drained()

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start a task of the session's."""
        return self._tasks.start(work, name)

    def stop(self) -> None:
        """Cancel what is still running."""
        self._tasks.stop()
