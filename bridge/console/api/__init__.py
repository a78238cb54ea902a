"""The JSON API, a module a resource; the pages use nothing else."""

from bridge.console.api import (
    actions,
    alerts,
    audio,
    audit,
    calls,
    presence,
    queue,
    recordings,
    replays,
    rollouts,
    routes,
    session,
    sip,
    users,
    wrap_up,
)

ROUTERS = (
    session.router,
    calls.router,
    calls.history_router,
    actions.router,
    audio.router,
    recordings.router,
    recordings.relay_router,
    recordings.script_router,
    sip.router,
    sip.refusals_router,
    queue.router,
    wrap_up.router,
    presence.router,
    alerts.router,
    rollouts.router,
    replays.router,
    routes.router,
    users.router,
    audit.router,
)
"""All of them, under `/api/v1`."""
