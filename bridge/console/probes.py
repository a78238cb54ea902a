"""`/metrics`, `/healthz` and `/readyz`: for machines, without sign-in."""

import asyncio
from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from bridge.telemetry.metrics import Format, Metrics

NotReady = Callable[[], Sequence[str]]
"""Returns why this process should get no calls; empty means that it should."""

InTrouble = Callable[[], Sequence[str]]
"""Returns what is wrong with this process although it takes calls."""


def make_probes(
    metrics: Metrics, ready: NotReady, troubles: InTrouble = tuple, *, shows_metrics: bool = True
) -> APIRouter:
    """Return the routes.

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
