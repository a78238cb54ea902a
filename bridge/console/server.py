"""The HTTP port: uvicorn in the loop's thread, without signal handlers of its own."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator

import structlog
import uvicorn
from fastapi import FastAPI
from websockets.exceptions import InvalidState

from bridge.config.console import ConsoleSettings
from bridge.config.settings import HttpSettings
from bridge.console.patience import ImpatientProtocol
from bridge.console.streams import Streams
from bridge.errors import ConfigError, InfrastructureError

log = structlog.get_logger(__name__)

_CLOSE_TIMEOUT_S = 1
"""No answer here takes long; streams are ended."""

_MAX_HEADER_BYTES = 32 * 1024
_MAX_MESSAGE_BYTES = 64 * 1024
"""Of a WebSocket: a frame of a microphone's audio has 968 bytes."""


class HttpServer:
    """Serves an app until it is closed.

    Args:
        http: where to listen.
        console: TLS, and the proxies that are believed.
        app: what answers (:func:`bridge.console.app.make_app`); its streams end with the server.
    """

    def __init__(self, http: HttpSettings, console: ConsoleSettings, app: FastAPI) -> None:
        self._http = http
        self._console = console
        self._app = app
        self._streams: Streams = app.state.streams
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen.

        Returns:
            the port, chosen by the system where the settings say 0.

        Raises:
            ConfigError: the certificate or its key can't be used.
            InfrastructureError: the port is taken, or the address is not ours.
        """
        config = self._configure()
        listening = _listen(self._http.host, self._http.port)
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listening]), name="http")
        self._server, self._serving = server, serving
        up = asyncio.create_task(server.up.wait(), name="http-up")
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if serving.done():
            listening.close()
            await serving
        self._streams.open()
        return int(listening.getsockname()[1])

    async def aclose(self) -> None:
        """Stop listening and close what is open; may be called twice or before :meth:`start`."""
        server, serving = self._server, self._serving
        self._server = self._serving = None
        if server is None or serving is None:
            return
        server.should_exit = True
        await self._streams.aclose()
        try:
            await serving
        except InvalidState as error:
            # uvicorn says goodbye to a WebSocket that is closing already; our end goes on.
            log.warning("http_not_closed_in_order", error=str(error))

    def _configure(self) -> uvicorn.Config:
        console = self._console
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            http=ImpatientProtocol,
            ws="websockets-sansio",
            ws_max_size=_MAX_MESSAGE_BYTES,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(console.trusted_proxies),
            forwarded_allow_ips=[str(each) for each in console.trusted_proxies],
            timeout_graceful_shutdown=_CLOSE_TIMEOUT_S,
            ssl_certfile=console.tls_cert_file,
            ssl_keyfile=console.tls_key_file,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the console's certificate or key can't be used: {error.strerror or error}",
                path=str(console.tls_cert_file),
                remedy="console.tls_cert_file and tls_key_file are PEM files that belong together",
            ) from error
        return config


class _Server(uvicorn.Server):
    """uvicorn's, which leaves signals alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise _explain(error, host, port) from error


def _explain(error: OSError, host: str, port: int) -> InfrastructureError:
    what = f"HTTP port {port} on {host}"
    if error.errno == errno.EADDRINUSE:
        return InfrastructureError(
            f"{what} is in use",
            remedy="stop what listens there, or set BRIDGE_HTTP_PORT (http.port); 0 takes a free"
            " port",
        )
    if error.errno == errno.EACCES:
        return InfrastructureError(
            f"{what} needs more rights than we have",
            remedy="set BRIDGE_HTTP_PORT (http.port) to a port above 1023",
        )
    return InfrastructureError(
        f"{what} cannot be listened on: {error.strerror or error}",
        remedy="set BRIDGE_HTTP_HOST (http.host) to an address of this machine",
    )
