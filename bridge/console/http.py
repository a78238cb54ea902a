"""The HTTP port: metrics, liveness and readiness, in the loop's thread."""

import asyncio
import errno
from collections.abc import Callable, Sequence

from aiohttp import web

from bridge.config.settings import HttpSettings
from bridge.errors import InfrastructureError
from bridge.telemetry.metrics import Format, Metrics

NotReady = Callable[[], Sequence[str]]
"""Returns why this process should get no calls; empty means that it should."""

_CLOSE_TIMEOUT_S = 1.0
"""No answer here takes long; aiohttp's own default would let a stop hang for 60 s."""


class HttpServer:
    """Serves `/metrics`, `/healthz` and `/readyz`; 404 for anything else.

    Args:
        settings: where to listen.
        metrics: what `/metrics` shows.
        ready: asked at each `/readyz`; its reasons are shown to whoever asks, so they name no one.
    """

    def __init__(self, settings: HttpSettings, metrics: Metrics, ready: NotReady) -> None:
        self._settings = settings
        self._metrics = metrics
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen.

        Returns:
            the port, chosen by the system where the settings say 0.

        Raises:
            InfrastructureError: the port is taken, or the address is not ours.
        """
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._get_metrics),
                web.get("/healthz", self._get_health),
                web.get("/readyz", self._get_ready),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT_S)
        await runner.setup()
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise _explain(error, host, port) from error
        self._runner = runner
        return int(runner.addresses[0][1])

    async def aclose(self) -> None:
        """Stop listening and close what is open; may be called twice or before :meth:`start`."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _get_metrics(self, request: web.Request) -> web.Response:
        form = Format.wanted(request.headers.get("Accept", ""))
        parts = []
        for part in self._metrics.render_parts(form):
            parts.append(part)
            # Let the tick run in between.
            await asyncio.sleep(0)
        return web.Response(body=b"".join(parts), headers={"Content-Type": form.value})

    async def _get_health(self, _request: web.Request) -> web.Response:
        # That this answer comes says it all: the loop runs.
        return web.json_response({"status": "ok"})

    async def _get_ready(self, _request: web.Request) -> web.Response:
        reasons = list(self._ready())
        return web.json_response(
            {"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200
        )


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
