"""The JSON API, a module a resource; the pages use nothing else."""

from bridge.console.api import actions, audio, audit, session, unmask, users

ROUTERS = (
    session.router,
    users.router,
    audit.router,
    unmask.router,
    actions.router,
    audio.router,
)
"""All of them, under `/api/v1`."""
