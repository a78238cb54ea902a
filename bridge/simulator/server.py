"""A local Realtime server: beta and GA at ``/v1/realtime``, GPT-Live at ``/v1/live/sessions``.

As strict as the real ones. One asyncio loop; the speech engines run in worker threads. Beside the
WebSockets there are the token endpoints of beta and GA, and, with a secret, those of an admin.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence

from aiohttp import WSCloseCode, web

from bridge.clock import Clock, SystemClock
from bridge.simulator.agent import SimulatedAgent
from bridge.simulator.connection import ClientConnection, Lifetime, Talk, wire_for
from bridge.simulator.door import Doorkeeper, Objection, Visitor, dialect_of, live_path, meet
from bridge.simulator.endpoints import AdminEndpoint, ModelList, TokenEndpoints
from bridge.simulator.fault_board import ConnectionFaults, FaultBoard, strike_now
from bridge.simulator.faults import FaultSpec, Moment
from bridge.simulator.flavours import SERVERS
from bridge.simulator.gpt_live.session import LiveSession, Terms
from bridge.simulator.outbox import Outbox
from bridge.simulator.scenario import BetaSwitch, DoorSpec, Scenario, ServerName
from bridge.simulator.session import ServerSession
from bridge.simulator.site import CLOSE_GRACE_S, listen
from bridge.simulator.tokens import TokenDesk
from bridge.simulator.wire import DialectName

# 15 MiB of audio in base64 is 20 MiB; a client that sends more gets an error, within reason.
_LARGEST_FRAME_BYTES = 32 * 1024 * 1024
_AGENTS_KEPT = 4
"""A scenario that was played is played again at once; each has a recogniser of 28 MB."""


class SimulatorServer:
    """The server, and the sessions on it.

    Args:
        scenario: what the agent knows.
        host: address to listen at.
        port: 0 takes a free one.
        keys: API keys that are taken, ``*`` for anything; None takes the scenario's.
        clock: for ``expires_at``, and for when tokens expire.
        beta: whether the beta dialect is still there; None takes the scenario's.
        tls: what it shows and whom it takes; None for no TLS.
        flavour: the server that it speaks as; None takes the scenario's.
        admin_secret: opens ``/admin`` to requests that bring it as ``X-Simulator-Admin``.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Sequence[str] | None = None,
        clock: Clock | None = None,
        beta: BetaSwitch | None = None,
        admin_secret: str | None = None,
        tls: ssl.SSLContext | None = None,
        flavour: ServerName | None = None,
    ) -> None:
        self._scenario = scenario
        self._flavour = flavour
        self._row = SERVERS[flavour or scenario.flavour]
        self._path = scenario.door.path
        self._tls = tls
        self._host = host
        self._port = port
        self._tokens = TokenDesk(clock or SystemClock())
        self._faults = FaultBoard(scenario.faults)
        self._keys, self._beta = keys, beta
        self._doorkeeper = Doorkeeper((), scenario.models, scenario.beta, self._tokens)
        self._admin_secret = admin_secret
        self._agent: SimulatedAgent | None = None
        self._agents: dict[str, SimulatedAgent] = {}
        self._runner: web.AppRunner | None = None
        self._connections: set[ClientConnection] = set()

    async def start(self) -> str:
        """Load the speech engines, render the scenario, listen.

        Returns:
            The URL to connect to, without the query.

        Raises:
            ConfigError: the scenario names a voice or a word that the speech engines don't know.
            InfrastructureError: the port is taken.
        """
        await self.play(self._scenario)
        self._runner, url = await listen(
            self._application(), self._host, self._port, path=self._path, tls=self._tls
        )
        return url

    async def play(self, scenario: Scenario) -> None:
        """Put a scenario in force: its faults at once, the rest for the connections to come.

        Raises:
            ConfigError: it names a voice or a word that the speech engines don't know.
        """
        said = scenario.model_dump_json(exclude={"faults", "session"})
        agent = self._agents.pop(said, None)
        if agent is None:
            agent = await asyncio.to_thread(_prepare_agent, scenario)
        self._agents[said] = agent  # the newest is the last
        if len(self._agents) > _AGENTS_KEPT:
            del self._agents[next(iter(self._agents))]
        self._scenario, self._agent = scenario, agent
        door = self._doorkeeper
        door.keys = scenario.keys if self._keys is None else tuple(self._keys)
        door.models, door.beta = scenario.models, self._beta or scenario.beta
        self._row = SERVERS[self._flavour or scenario.flavour]
        door.spec = self._row.door if scenario.door == DoorSpec() else scenario.door
        door.dialect, door.any_model = self._row.dialect, self._row.any_model
        self._faults.replace(scenario.faults)

    async def aclose(self) -> None:
        """Close every session (1001, going away) and stop listening."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await asyncio.gather(
            *(
                each.socket.close(code=WSCloseCode.GOING_AWAY, message=b"server is shutting down")
                for each in tuple(self._connections)
            )
        )
        await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_get(self._path, self._serve)
        app.router.add_get(live_path(self._path), self._serve)
        tokens = TokenEndpoints(
            self._doorkeeper,
            self._tokens,
            self._faults,
            self._path,
            lambda: self._scenario.session.token_lifetime_s,
        )
        if self._row.sells_tokens:
            app.add_routes(tokens.routes())
        app.add_routes(ModelList(self._doorkeeper, self._path).routes())
        if self._admin_secret is not None:
            admin = AdminEndpoint(self._admin_secret, self._faults, self._strike_now, self.play)
            app.add_routes(admin.routes())
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        struck = await meet(self._faults.at_the_door(Moment.CONNECT), request)
        if struck is not None:
            return struck
        key = self._doorkeeper.stop_handshake(request)
        return key if isinstance(key, web.Response) else await self._let_in(request, key)

    async def _let_in(self, request: web.Request, key: str) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            protocols=("realtime",),
            compress=False,
            max_msg_size=_LARGEST_FRAME_BYTES,
            timeout=CLOSE_GRACE_S,
        )
        try:
            await socket.prepare(request)
        except ConnectionResetError:
            # The client has gone meanwhile: nobody reads this answer.
            return web.Response()
        faults = self._faults.of_connection()
        connection = ClientConnection(socket, request, Outbox(faults.spoil))
        self._connections.add(connection)
        try:
            visitor = self._doorkeeper.admit(request, key)
            if isinstance(visitor, Objection):
                await connection.turn_away(dialect_of(request), visitor)
            else:
                lifetime = Lifetime(self._scenario.session, visitor.dialect, self._row)
                talk_in = self._talk_of(visitor, connection.outbox, faults, lifetime)
                await connection.converse(talk_in, lifetime)
        finally:
            self._connections.discard(connection)
        return socket

    def _talk_of(
        self, visitor: Visitor, outbox: Outbox, faults: ConnectionFaults, lifetime: Lifetime
    ) -> Callable[[asyncio.TaskGroup], Talk]:
        """Return what makes a client's session, in its dialect."""
        agent, limit = self._ready_agent(), self._scenario.session
        if visitor.dialect is DialectName.LIVE:
            terms = Terms(lifetime.seconds, limit, lambda: self._tokens.now_s)
            return lambda tasks: LiveSession(agent, terms, outbox, tasks, faults)
        wire = wire_for(visitor, self._tokens.now_s, lifetime, self._row)
        return lambda tasks: ServerSession(agent, wire, outbox, tasks, faults, limit.told_by)

    def _ready_agent(self) -> SimulatedAgent:
        if self._agent is None:
            raise AssertionError("the server listens only once it has an agent")
        return self._agent

    def _strike_now(self, spec: FaultSpec) -> None:
        for connection in self._connections:
            for action in strike_now(spec):
                connection.outbox.do(action)


def _prepare_agent(scenario: Scenario) -> SimulatedAgent:
    agent = SimulatedAgent(scenario)
    agent.rehearse()
    return agent
