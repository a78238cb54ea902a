"""The JSON API, a module a resource; the pages use nothing else."""

from bridge.console.api import (
    alerts,
    calls,
    history,
    queue,
    recordings,
    replays,
    rollouts,
    routes,
    session,
)

ROUTERS = (
    session.router,
    calls.router,
    recordings.router,
    history.router,
    queue.router,
    alerts.router,
    rollouts.router,
    replays.router,
    routes.router,
)
"""All of them, under `/api/v1`."""
