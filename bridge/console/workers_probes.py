"""The probes of a machine with several workers: `/metrics` of all, one `/readyz`."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from bridge.telemetry.metrics import Format

Workers = Callable[[], Mapping[str, str]]
"""Returns the state of each worker by its name; one that is `serving` takes calls."""


def make_workers_probes(workers: Workers, metrics: Callable[[], Awaitable[str]]) -> APIRouter:
    """Return the routes for machines, which need no sign-in: `/metrics`, `/healthz`, `/readyz`.

    Args:
        workers: asked at each `/readyz`, whose body lists them; it is 503 while none serves.
        metrics: gives those of all in Prometheus' text format.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def get_metrics() -> Response:
        return Response(await metrics(), headers={"Content-Type": Format.TEXT.value})

    @router.get("/healthz")
    async def get_health() -> Response:
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    async def get_ready() -> Response:
        found = dict(workers())
        ready = "serving" in found.values()
        reasons = [] if ready else ["no worker takes calls"]
        return JSONResponse(
            {"ready": ready, "reasons": reasons, "workers": found},
            status_code=200 if ready else 503,
        )

    return router
