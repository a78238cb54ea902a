"""The JSON API, a module a resource; the pages use nothing else."""

from bridge.console.api import audit, session, unmask, users

ROUTERS = (session.router, users.router, audit.router, unmask.router)
"""All of them, under `/api/v1`."""
