"""The web app: probes always, the console where it is enabled."""

from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from bridge.console.access.door import SignInNeeded, still_allowed
from bridge.console.api import ROUTERS, openapi
from bridge.console.headers import SecureHeaders, TransportGuard
from bridge.console.pages import router as pages
from bridge.console.probes import NotReady, make_probes
from bridge.console.services import Services
from bridge.console.streams import Streams, StreamsMiddleware
from bridge.errors import InfrastructureError
from bridge.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024
STATIC = Path(__file__).parent / "static"


def make_app(services: Services | None, metrics: Metrics, ready: NotReady) -> FastAPI:
    """Return the app, for :class:`bridge.console.server.HttpServer`.

    Args:
        services: what the console works with; None for probes alone.
        metrics: for `/metrics`.
        ready: for `/readyz`.
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
    app.include_router(make_probes(metrics, ready))
    if services is not None:
        _add_console(app, services)
    return app


def _add_console(app: FastAPI, services: Services) -> None:
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1")
    app.include_router(openapi.router)
    app.include_router(pages)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(SignInNeeded, _to_login)
    app.add_exception_handler(InfrastructureError, _unavailable)
    app.add_exception_handler(RequestValidationError, _bad_request)
    # The last one added is the first to see a request.
    app.add_middleware(StreamsMiddleware, streams=app.state.streams)
    app.add_middleware(TransportGuard, settings=services.settings)
    app.add_middleware(SecureHeaders)


async def _to_login(request: Request, _error: Exception) -> Response:
    wanted = request.url.path
    query = "" if wanted == "/" else f"?next={wanted}"
    return RedirectResponse(f"/login{query}", status_code=303)


async def _unavailable(_request: Request, error: Exception) -> Response:
    log.warning("console_unavailable", error=str(error))
    return JSONResponse(
        {"detail": "the bridge's memory (Redis) is away: try again"},
        status_code=503,
        headers={"Retry-After": "2"},
    )


async def _bad_request(_request: Request, error: Exception) -> Response:
    # Without what was sent: FastAPI's own answer repeats it, passwords included.
    assert isinstance(error, RequestValidationError)
    said = [{"where": [str(each) for each in e["loc"]], "what": e["msg"]} for e in error.errors()]
    return JSONResponse({"detail": said}, status_code=422)
