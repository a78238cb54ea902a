"""The web app: probes always, the console where it is enabled."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from bridge.console.access.door import still_allowed
from bridge.console.access_pages import router as access_pages
from bridge.console.api import ROUTERS, openapi
from bridge.console.faults import add_handlers
from bridge.console.headers import SecureHeaders, TransportGuard
from bridge.console.oidc_pages import router as oidc_pages
from bridge.console.pages import router as pages
from bridge.console.probes import InTrouble, NotReady, make_probes
from bridge.console.services import Services
from bridge.console.streams import Streams, StreamsMiddleware
from bridge.telemetry.metrics import Metrics

MAX_BODY_BYTES = 64 * 1024
STATIC = Path(__file__).parent / "static"


def make_app(
    services: Services | None,
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
    app.include_router(make_probes(metrics, ready, troubles, shows_metrics=shows_metrics))
    if services is not None:
        _add_console(app, services)
    return app


def _add_console(app: FastAPI, services: Services) -> None:
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1")
    app.include_router(openapi.router)
    app.include_router(access_pages)
    app.include_router(oidc_pages)
    app.include_router(pages)
    app.mount("/static", StaticFiles(directory=STATIC))
    add_handlers(app)
    # The last one added is the first to see a request.
    app.add_middleware(StreamsMiddleware, streams=app.state.streams)
    app.add_middleware(TransportGuard, settings=services.settings)
    app.add_middleware(SecureHeaders)
