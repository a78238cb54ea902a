"""The JSON API, a module a resource; the pages use nothing else."""

from bridge.console.api import (
    actions,
    alerts,
    audio,
    audit,
    calls,
    history,
    phones,
    queue,
    recordings,
    replays,
    rollouts,
    routes,
    scripts,
    session,
    unmask,
    users,
    wrap_up,
)

ROUTERS = (
    session.router,
    calls.router,
    actions.router,
    audio.router,
    phones.router,
    recordings.router,
    recordings.relay_router,
    scripts.router,
    unmask.router,
    history.router,
    queue.router,
    wrap_up.router,
    alerts.router,
    rollouts.router,
    replays.router,
    routes.router,
    users.router,
    audit.router,
)
"""All of them, under `/api/v1`."""
