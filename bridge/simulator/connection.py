"""One WebSocket: a session on it, for as long as it may last."""

import asyncio
import logging
import time

from aiohttp import WSCloseCode, WSMsgType, web

from bridge.realtime.events import ErrorReported
from bridge.simulator.agent import SimulatedAgent
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.door import Objection, Visitor
from bridge.simulator.faults import ConnectionFaults
from bridge.simulator.flavour_wire import FlavourWire
from bridge.simulator.flavours import PLAIN, ServerRow
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Close, Outbox, SlowClientError
from bridge.simulator.refusal import refuse
from bridge.simulator.scenario import SessionLimit
from bridge.simulator.session import ServerSession
from bridge.simulator.wire import DialectName, SessionIdentity

_log = logging.getLogger(__name__)

_LIFETIMES_S = {DialectName.BETA: 30 * 60, DialectName.GA: 60 * 60}


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
        self, agent: SimulatedAgent, wire: Wire, faults: ConnectionFaults, limit: "Lifetime"
    ) -> None:
        """Hold a session until either side has enough."""
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = self.outbox.write_to(self.socket, self._transport)
                writer = tasks.create_task(writing, name="simulator writer")
                session = ServerSession(agent, wire, self.outbox, tasks, faults.why_no_answer)
                session.start()
                timed = [
                    tasks.create_task(
                        limit.expire(session, self.outbox), name="simulator session expiry"
                    )
                ]
                if wire.ping_s is not None:
                    pinging = self._ping(wire.ping_s)
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
            await self.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"slow client")

    async def _ping(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            ping = {"type": "ping", "timestamp": time.time_ns() // 1_000_000}
            self.outbox.put({**ping, "event_id": new_name("event")})


class Lifetime:
    """The longest life of sessions of a dialect.

    Args:
        limit: as the scenario says.
        row: the server's.
    """

    def __init__(self, limit: SessionLimit, dialect: DialectName, row: ServerRow = PLAIN) -> None:
        self.seconds = limit.lifetime_s or row.lifetime_s or _LIFETIMES_S[dialect]
        self._ends_by = limit.told_by

    async def expire(self, session: ServerSession, outbox: Outbox) -> None:
        """Wait until a session is over, notify its client, and close."""
        await asyncio.sleep(self.seconds)
        what = f"Your session hit the maximum duration of {_spell(self.seconds)}."
        if self._ends_by != "close":
            session.report(refuse("session_expired", what).error)
        if self._ends_by == "error":
            outbox.do(Close(WSCloseCode.OK, ""))
        else:
            outbox.do(Close(WSCloseCode.GOING_AWAY, what))


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
