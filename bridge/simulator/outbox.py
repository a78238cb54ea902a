"""Events on their way to one client.

One task writes, so events leave in the order they were put in. A response waits for :meth:`drained`
between deltas; a client that reads nothing while thousands of other events pile up is dropped.
What is written is an :data:`Action`: mostly an event, at times something that harms the connection.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import assert_never

from aiohttp import ClientConnectionResetError, web

from bridge.simulator.wire import WireObject

_LOW_EVENTS = 64
_FULL_EVENTS = 4096
# SO_LINGER on, for no time at all: closing sends RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)


class SlowClientError(Exception):
    """The client does not read its events."""


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Send an event."""

    event: WireObject


@dataclass(frozen=True, slots=True)
class SendText:
    """Send a text frame, whatever is in it."""

    text: str


@dataclass(frozen=True, slots=True)
class SendLate:
    """Send an event after so many ms, and everything else meanwhile."""

    event: WireObject
    ms: int


@dataclass(frozen=True, slots=True)
class SendAfterNext:
    """Let the next event go first."""

    event: WireObject


@dataclass(frozen=True, slots=True)
class SendNothing:
    """Send nothing for so many ms."""

    ms: int


@dataclass(frozen=True, slots=True)
class CutConnection:
    """End the TCP connection without a close frame; abruptly is with RST."""

    abruptly: bool


@dataclass(frozen=True, slots=True)
class Close:
    """Close the WebSocket."""

    code: int
    reason: str


Action = SendEvent | SendText | SendLate | SendAfterNext | SendNothing | CutConnection | Close


def cut(transport: asyncio.Transport | None, *, abruptly: bool) -> None:
    """End a TCP connection from below.

    Args:
        abruptly: with RST, and without what is still to be written; else with FIN.
    """
    if transport is None:
        return
    if abruptly:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    else:
        transport.close()


class Outbox:
    """The bounded queue between a session and its socket.

    Args:
        spoil: turns an event, and the moments that it is marked with, into what is to be done in
            its place.
    """

    def __init__(
        self, spoil: Callable[[WireObject, Collection[str]], Sequence[Action]] | None = None
    ) -> None:
        self._queue: asyncio.Queue[Action] = asyncio.Queue(_FULL_EVENTS)
        self._spoil = spoil
        self._held: list[WireObject] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._low = asyncio.Event()
        self._low.set()

    def put(self, event: WireObject, moments: Collection[str] = ()) -> None:
        """Queue an event.

        Args:
            moments: what it is marked with, for faults.

        Raises:
            SlowClientError: the queue is full.
        """
        for action in self._spoil(event, moments) if self._spoil else (SendEvent(event),):
            self.do(action)

    def do(self, action: Action) -> None:
        """Queue an action.

        Raises:
            SlowClientError: the queue is full.
        """
        try:
            self._queue.put_nowait(action)
        except asyncio.QueueFull:
            raise SlowClientError from None
        if self._queue.qsize() > _LOW_EVENTS:
            self._low.clear()

    async def drained(self) -> None:
        """Wait until few events are left."""
        await self._low.wait()

    async def write_to(
        self, connection: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        """Write until the socket closes or the task is cancelled."""
        try:
            while not connection.closed:
                action = await self._queue.get()
                if self._queue.qsize() <= _LOW_EVENTS:
                    self._low.set()
                await self._act(action, connection, transport)
        except ClientConnectionResetError:
            # The reader ends the session when it sees the same.
            pass
        finally:
            for timer in self._timers:
                timer.cancel()

    async def _act(
        self,
        action: Action,
        connection: web.WebSocketResponse,
        transport: asyncio.Transport | None,
    ) -> None:
        match action:
            case SendEvent(event=event):
                held, self._held = self._held, []
                for each in (event, *held):
                    await connection.send_str(json.dumps(each))
            case SendText(text=text):
                await connection.send_str(text)
            case SendLate(event=event, ms=ms):
                self._send_later(event, ms)
            case SendAfterNext(event=event):
                self._held.append(event)
            case SendNothing(ms=ms):
                await asyncio.sleep(ms / 1000)
            case CutConnection(abruptly=abruptly):
                cut(transport, abruptly=abruptly)
            case Close(code=code, reason=reason):
                await connection.close(code=code, message=reason.encode())
            case _:
                assert_never(action)

    def _send_later(self, event: WireObject, ms: int) -> None:
        def send() -> None:
            self._timers.discard(timer)
            self.do(SendEvent(event))

        timer = asyncio.get_running_loop().call_later(ms / 1000, send)
        self._timers.add(timer)
