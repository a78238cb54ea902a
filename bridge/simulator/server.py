"""A local Realtime server: WebSocket at ``/v1/realtime``, as strict as the real one.

One asyncio loop; the speech engines run in worker threads. Handshake, keys and close codes are
those of `protocol.md` section 1.
"""

import asyncio
import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from aiohttp import WSCloseCode, WSMsgType, web

from bridge.clock import NS_PER_S, Clock, SystemClock
from bridge.errors import InfrastructureError
from bridge.realtime.events import ApiError, ErrorReported
from bridge.simulator.agent import Agent
from bridge.simulator.ga_wire import GaWire
from bridge.simulator.outbox import Outbox, SlowClientError
from bridge.simulator.refusal import refuse
from bridge.simulator.scenario import Scenario
from bridge.simulator.session import Session

PATH = "/v1/realtime"

_log = logging.getLogger(__name__)

# 15 MiB of audio in base64, and the JSON around it (`protocol.md` section 1).
_LARGEST_FRAME_BYTES = 21 * 1024 * 1024
_CLOSE_GRACE_S = 2.0
_CLOSE_INVALID_REQUEST = 4000
_CLOSE_INVALID_KEY = 3000
_MODELS = "gpt-realtime*"
_KEY_SUBPROTOCOL = "openai-insecure-api-key."


class SimulatorServer:
    """The server, and the sessions on it.

    Args:
        scenario: what the agent knows.
        host: address to listen at.
        port: 0 takes a free one.
        keys: API keys that are taken, ``*`` for anything; None takes the scenario's.
        clock: for ``expires_at``.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Sequence[str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._scenario = scenario
        self._host = host
        self._port = port
        self._keys = scenario.keys if keys is None else tuple(keys)
        self._clock = clock or SystemClock()
        self._agent: Agent | None = None
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    async def start(self) -> str:
        """Load the speech engines, render the scenario, listen.

        Returns:
            The URL to connect to, without the query.

        Raises:
            ConfigError: the scenario names a voice or a word that the speech engines don't know.
            InfrastructureError: the port is taken.
        """
        self._agent = await asyncio.to_thread(_prepare_agent, self._scenario)
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_GRACE_S)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise InfrastructureError(
                f"the simulator cannot listen at {self._host}:{self._port}: {error.strerror}",
                remedy="choose another port; 0 takes a free one",
            ) from error
        self._runner = runner
        port = runner.addresses[0][1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{port}{PATH}"

    async def aclose(self) -> None:
        """Close every session (1001, going away) and stop listening."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await asyncio.gather(
            *(
                each.close(code=WSCloseCode.GOING_AWAY, message=b"server is shutting down")
                for each in tuple(self._sockets)
            )
        )
        await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        key = _key_of(request)
        if key is None:
            raise web.HTTPUnauthorized(
                text="Missing bearer or basic authentication in header", content_type="text/plain"
            )
        connection = web.WebSocketResponse(
            protocols=("realtime",),
            compress=False,
            max_msg_size=_LARGEST_FRAME_BYTES,
            timeout=_CLOSE_GRACE_S,
        )
        await connection.prepare(request)
        self._sockets.add(connection)
        try:
            await self._hold(connection, request, key)
        finally:
            self._sockets.discard(connection)
        return connection

    async def _hold(
        self, connection: web.WebSocketResponse, request: web.Request, key: str
    ) -> None:
        wire = GaWire(request.query.get("model", ""), self._clock.wall_ns() // NS_PER_S)
        objection = self._objection(request, key)
        if objection is not None:
            error, code = objection
            for event in wire.encode(ErrorReported(error)):
                await connection.send_json(event)
            reason = f"{error.type}.{error.code}"
            await connection.close(code=code, message=reason.encode())
            return
        try:
            await self._converse(connection, wire)
        except* SlowClientError:
            _log.warning("simulator dropped a client that does not read")
            await connection.close(code=WSCloseCode.POLICY_VIOLATION, message=b"slow client")

    async def _converse(self, connection: web.WebSocketResponse, wire: GaWire) -> None:
        if self._agent is None:
            raise AssertionError("the server listens only once it has an agent")
        outbox = Outbox()
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(outbox.write_to(connection), name="simulator writer")
            session = Session(self._agent, wire, outbox, tasks)
            session.start()
            async for message in connection:
                if message.type is WSMsgType.TEXT:
                    session.receive(message.data)
                elif message.type is WSMsgType.BINARY:
                    session.receive_binary()
            session.stop()
            writer.cancel()

    def _objection(self, request: web.Request, key: str) -> tuple[ApiError, int] | None:
        """Return what the handshake lacks, and the code to close with."""
        model = request.query.get("model", "")
        if _wants_beta(request):
            what = "The Realtime Beta API is no longer supported. Please use the GA API."
            return refuse("beta_api_shape_disabled", what).error, _CLOSE_INVALID_REQUEST
        if not any(fnmatchcase(key, pattern) for pattern in self._keys):
            what = "Incorrect API key provided."
            return refuse("invalid_api_key", what).error, _CLOSE_INVALID_KEY
        if not model:
            what = "You must provide a model parameter."
            return refuse("missing_model", what).error, _CLOSE_INVALID_REQUEST
        if not fnmatchcase(model, _MODELS):
            what = f"The model '{model}' does not exist or you do not have access to it."
            return refuse("invalid_model", what).error, _CLOSE_INVALID_REQUEST
        return None


def _prepare_agent(scenario: Scenario) -> Agent:
    agent = Agent(scenario)
    agent.rehearse()
    return agent


def _key_of(request: web.Request) -> str | None:
    """Return the API key from the header, or from the subprotocols that browsers use."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key:
        return key.strip()
    offered = _subprotocols(request)
    return next(
        (each.removeprefix(_KEY_SUBPROTOCOL) for each in offered if _KEY_SUBPROTOCOL in each), None
    )


def _wants_beta(request: web.Request) -> bool:
    header = request.headers.get("OpenAI-Beta", "")
    return "realtime=v1" in header or "openai-beta.realtime-v1" in _subprotocols(request)


def _subprotocols(request: web.Request) -> list[str]:
    return [each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
