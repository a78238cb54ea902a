"""The JSON API, a module a resource; the pages use nothing else."""

from bridge.console.api import actions, audio, session, users

ROUTERS = (session.router, users.router, actions.router, audio.router)
"""All of them, under `/api/v1`."""
