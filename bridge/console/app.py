"""The web app: probes always, the console where it is enabled."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
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

WorkerStates = Callable[[], Mapping[str, str]]
"""Returns the state of each worker by its name; one that is `serving` takes calls."""

_Readiness = Callable[[], Mapping[str, object]]
"""Returns the body of `/readyz`; `ready` in it decides the status."""

_Exposition = Callable[[str], Awaitable[tuple[bytes, Format]]]
"""Returns the body of `/metrics` and its format, for an `Accept` header."""


def make_app(
    services: ConsoleServices | None,
    metrics: Metrics,
    ready: NotReady,
    troubles: InTrouble = tuple,
    *,
    shows_metrics: bool = True,
) -> FastAPI:
    """Return a gateway's app, for :class:`bridge.console.server.HttpServer`.

    Args:
        services: what the console works with; None for probes alone.
        metrics: for `/metrics`.
        ready: asked at each `/readyz`; its reasons are shown to whoever asks, so they name no one.
        troubles: shown there, too; they change nothing about the status.
        shows_metrics: False where `/metrics` has a port of its own.
    """

    def readiness() -> Mapping[str, object]:
        reasons = list(ready())
        return {"ready": not reasons, "reasons": reasons, "troubles": list(troubles())}

    async def exposition(accept: str) -> tuple[bytes, Format]:
        form = Format.wanted(accept)
        parts = []
        for part in metrics.render_parts(form):
            parts.append(part)
            # Let the tick run in between.
            await asyncio.sleep(0)
        return b"".join(parts), form

    return _assemble(services, readiness, exposition if shows_metrics else None)


def make_site_app(
    services: ConsoleServices | None,
    workers: WorkerStates,
    metrics: Callable[[], Awaitable[str]],
    *,
    shows_metrics: bool = True,
) -> FastAPI:
    """Return the app of a machine with several workers: `/metrics` of all, one `/readyz`.

    Args:
        services: what the console works with; None for probes alone.
        workers: asked at each `/readyz`, whose body lists them; it is 503 while none serves.
        metrics: gives those of all in Prometheus' text format.
        shows_metrics: False where `/metrics` has a port of its own.
    """

    def readiness() -> Mapping[str, object]:
        found = dict(workers())
        ready = "serving" in found.values()
        reasons = [] if ready else ["no worker takes calls"]
        return {"ready": ready, "reasons": reasons, "workers": found}

    async def exposition(_accept: str) -> tuple[bytes, Format]:
        return (await metrics()).encode(), Format.TEXT

    return _assemble(services, readiness, exposition if shows_metrics else None)


def _assemble(
    services: ConsoleServices | None, readiness: _Readiness, exposition: _Exposition | None
) -> FastAPI:
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
    app.include_router(_make_probes(readiness, exposition))
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


def _make_probes(readiness: _Readiness, exposition: _Exposition | None) -> APIRouter:
    """Return the routes for machines, which need no sign-in: `/metrics`, `/healthz`, `/readyz`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def get_health() -> Response:
        # That this answer comes says it all: the loop runs.
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def get_ready() -> Response:
        found = readiness()
        return JSONResponse(found, status_code=200 if found["ready"] else 503)

    if exposition is not None:

        @router.get("/metrics")
        async def get_metrics(request: Request) -> Response:
            body, form = await exposition(request.headers.get("Accept", ""))
            return Response(body, headers={"Content-Type": form.value})

    return router


async def get_openapi(
    request: Request, _: Annotated[Principal, Depends(Allowed(None))]
) -> JSONResponse:
    """Return the API's own description, OpenAPI 3.1, for signed-in users."""
    return JSONResponse(request.app.openapi())
