"""The names of redis-py that the store uses, without what redis-py loads for metrics of its own.

Wherever OpenTelemetry's SDK is installed, redis-py imports it, used or not, and no option or
variable says otherwise (redis 8.1, `redis/observability/providers.py`): 23 ms of CPU time and 2 MB
of each process with calls. It goes on without. So all of the store imports redis-py from here.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _as_if_not_installed(*modules: str) -> Iterator[None]:
    """Make imports of modules fail; one that is loaded already stays."""
    hidden = [name for name in modules if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's mark for it
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _as_if_not_installed("opentelemetry.metrics", "opentelemetry.sdk.metrics"):
    from redis import exceptions as redis_errors
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
    from redis.backoff import NoBackoff
    from redis.credentials import CredentialProvider

__all__ = [
    "ConnectionPool",
    "CredentialProvider",
    "MasterNotFoundError",
    "NoBackoff",
    "Redis",
    "Retry",
    "Sentinel",
    "redis_errors",
]
