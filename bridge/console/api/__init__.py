"""The JSON API, a module a resource; the pages use nothing else."""

from bridge.console.api import session, users

ROUTERS = (session.router, users.router)
"""All of them, under `/api/v1`."""
