"""One WebSocket: a session on it, for as long as it may last."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from bridge.realtime.events import ErrorReported
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.door import Objection, Visitor
from bridge.simulator.flavour_wire import FlavourWire
from bridge.simulator.flavours import PLAIN, ServerRow
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Outbox, SlowClientError, cut
from bridge.simulator.scenario import SessionLimit
from bridge.simulator.wire import DialectName, SessionIdentity

_log = logging.getLogger(__name__)

_LIFETIMES_S = {
    DialectName.BETA: 30 * 60,
    DialectName.GA: 60 * 60,
    DialectName.LIVE: 60 * 60,
}


class ClientConnection:
    """A client's WebSocket, and the events on their way to it.

    Args:
        outbox: what is on its way to the client.
    """

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, outbox: Outbox) -> None:
        self.socket = socket
        self.outbox = outbox
        self._transport = request.transport

    async def turn_away(self, dialect: DialectName, objection: Objection) -> None:
        """Send the client the fault of its handshake, and close."""
        error = objection.error
        for event in Wire(dialect, SessionIdentity("", 0)).encode(ErrorReported(error)):
            await self.socket.send_json(event)
        reason = f"{error.type}.{error.code}"
        await self.socket.close(code=objection.close_code, message=reason.encode())

    async def converse(
        self, talk_in: Callable[[asyncio.TaskGroup], "Talk"], limit: "Lifetime"
    ) -> None:
        """Hold a session until either side has enough.

        Args:
            talk_in: makes the session, whose tasks run in this group.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = self.outbox.write_to(self.socket, self._transport)
                writer = tasks.create_task(writing, name="simulator writer")
                session = talk_in(tasks)
                session.start()
                timed = [tasks.create_task(limit.expire(session), name="simulator session expiry")]
                if limit.ping_s is not None:
                    pinging = self._ping(limit.ping_s)
                    timed.append(tasks.create_task(pinging, name="simulator pings"))
                async for message in self.socket:
                    if message.type is WSMsgType.TEXT:
                        session.receive(message.data)
                    elif message.type is WSMsgType.BINARY:
                        session.receive_binary()
                session.stop()
                for each in timed:
                    each.cancel()
                writer.cancel()
        except* SlowClientError:
            _log.warning("simulator dropped a client that does not read")
            await self._leave_behind()

    async def _ping(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            ping = {"type": "ping", "timestamp": time.time_ns() // 1_000_000}
            self.outbox.put({**ping, "event_id": new_name("event")})

    async def _leave_behind(self) -> None:
        """Close on a client that does not read, and that may not read that either.

        A transport that closes by itself would wait until all is read. And closing may be cancelled
        by what aiohttp keeps of a cancelled write, whose waiter the next one waits for.
        """
        try:
            await self.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"slow client")
        finally:
            cut(self._transport, abruptly=True)


class Talk(Protocol):
    """A session of whichever dialect, as its connection knows it."""

    def start(self) -> None:
        """Send what the server sends first."""

    def stop(self) -> None:
        """Cancel what is still running."""

    def receive(self, text: str) -> None:
        """Take one text frame."""

    def receive_binary(self) -> None:
        """Take one binary frame."""

    def expire(self, what: str) -> None:
        """End, because it has lasted as long as it may, which is said in these words."""


class Lifetime:
    """The longest life of sessions of a dialect, and what goes by the clock within it.

    Args:
        limit: as the scenario says.
        row: the server's.
    """

    def __init__(self, limit: SessionLimit, dialect: DialectName, row: ServerRow = PLAIN) -> None:
        self.seconds = limit.lifetime_s or row.lifetime_s or _LIFETIMES_S[dialect]
        self.ping_s = row.ping_s

    async def expire(self, session: Talk) -> None:
        """Wait until a session is over, and end it."""
        await asyncio.sleep(self.seconds)
        session.expire(f"Your session hit the maximum duration of {_spell(self.seconds)}.")


def wire_for(visitor: Visitor, now_s: int, lifetime: Lifetime, row: ServerRow = PLAIN) -> Wire:
    """Make the wire of a client that has been let in.

    Args:
        now_s: Unix time, seconds.
        row: the server's.
    """
    identity = SessionIdentity(visitor.model, now_s + int(lifetime.seconds), visitor.kind)
    settings = visitor.token.settings if visitor.token is not None else None
    if row is PLAIN:
        return Wire(visitor.dialect, identity, settings)
    return FlavourWire(row, visitor.dialect, identity, settings)


def _spell(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes.is_integer() else f"{seconds:g} seconds"
