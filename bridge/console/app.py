"""The web app: probes always, the console where it is enabled."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from bridge.console.access.door import Allowed, still_allowed
from bridge.console.access.principal import Principal
from bridge.console.api import ROUTERS
from bridge.console.faults import add_handlers
from bridge.console.headers import SecureHeaders, TransportGuard
from bridge.console.pages import router as pages
from bridge.console.services import ConsoleServices
from bridge.console.streams import Streams, StreamsMiddleware
from bridge.telemetry.metrics import Format, Metrics

MAX_BODY_BYTES = 64 * 1024
STATIC = Path(__file__).parent / "static"


NotReady = Callable[[], Sequence[str]]
"""Returns why this process should get no calls; empty means that it should."""

InTrouble = Callable[[], Sequence[str]]
"""Returns what is wrong with this process although it takes calls."""


def make_app(
    services: ConsoleServices | None,
    metrics: Metrics,
    ready: NotReady,
    troubles: InTrouble = tuple,
    *,
    shows_metrics: bool = True,
) -> FastAPI:
    """Return the app, for :class:`bridge.console.server.HttpServer`.

    Args:
        services: what the console works with; None for probes alone.
        metrics: for `/metrics`.
        ready, troubles: for `/readyz`.
        shows_metrics: False where `/metrics` has a port of its own.
    """
    probes = make_probes(metrics, ready, troubles, shows_metrics=shows_metrics)
    return make_site_app(services, probes)


def make_site_app(services: ConsoleServices | None, probes: APIRouter) -> FastAPI:
    """Return the app with other probes than those of one process.

    Args:
        services: what the console works with; None for probes alone.
        probes: the routes for machines.
    """
    app = FastAPI(
        title="Telephony bridge",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY_BYTES,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    app.state.streams = Streams(still_allowed)
    app.include_router(probes)
    if services is not None:
        _add_console(app, services)
    return app


def _add_console(app: FastAPI, services: ConsoleServices) -> None:
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1")
    app.include_router(pages)
    app.add_api_route("/api/openapi.json", get_openapi, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    add_handlers(app)
    # The last one added is the first to see a request.
    app.add_middleware(StreamsMiddleware, streams=app.state.streams)
    app.add_middleware(TransportGuard, settings=services.settings)
    app.add_middleware(SecureHeaders)


def make_probes(
    metrics: Metrics, ready: NotReady, troubles: InTrouble = tuple, *, shows_metrics: bool = True
) -> APIRouter:
    """Return the routes for machines, which need no sign-in: `/metrics`, `/healthz`, `/readyz`.

    Args:
        metrics: what `/metrics` shows.
        ready: asked at each `/readyz`; its reasons are shown to whoever asks, so they name no one.
        troubles: shown there, too; they change nothing about the status.
        shows_metrics: False leaves `/metrics` out.
    """
    router = APIRouter(include_in_schema=False)
    _add_health(router, ready, troubles)
    if shows_metrics:
        _add_metrics(router, metrics)
    return router


def _add_metrics(router: APIRouter, metrics: Metrics) -> None:
    @router.get("/metrics")
    async def get_metrics(request: Request) -> Response:
        form = Format.wanted(request.headers.get("Accept", ""))
        parts = []
        for part in metrics.render_parts(form):
            parts.append(part)
            # Let the tick run in between.
            await asyncio.sleep(0)
        return Response(b"".join(parts), headers={"Content-Type": form.value})


def _add_health(router: APIRouter, ready: NotReady, troubles: InTrouble) -> None:
    @router.get("/healthz")
    async def get_health() -> Response:
        # That this answer comes says it all: the loop runs.
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def get_ready() -> Response:
        reasons = list(ready())
        return JSONResponse(
            {"ready": not reasons, "reasons": reasons, "troubles": list(troubles())},
            status_code=503 if reasons else 200,
        )


async def get_openapi(
    request: Request, _: Annotated[Principal, Depends(Allowed(None))]
) -> JSONResponse:
    """Return the API's own description, OpenAPI 3.1, for signed-in users."""
    return JSONResponse(request.app.openapi())
