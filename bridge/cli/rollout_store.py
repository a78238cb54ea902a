"""Finds the rollouts and the Redis that a command of `bridge rollout` is about."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bridge.cli.options import JSON, REDIS, config_option, together
from bridge.cli.running import run
from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import Settings
from bridge.errors import ConfigError
from bridge.store.client import RedisLink
from bridge.store.rollouts import RolloutStore

T = TypeVar("T")


reads_redis = together(config_option("YAML settings with the rollouts."), REDIS, JSON)
"""Adds the options that name the settings and the Redis."""


def with_store(
    settings: Settings, url: str | None, ask: Callable[[RolloutStore], Awaitable[T]]
) -> T:
    """Return the answer of a store that is open while it is asked.

    Raises:
        ConfigError: no Redis is named.
        RedisUnavailableError: Redis is away.
    """

    async def asked() -> T:
        link = RedisLink(address_of(settings, url), timeout_s=settings.redis.connect_timeout_s)
        try:
            return await ask(RolloutStore(link, settings.redis))
        finally:
            await asyncio.shield(link.aclose())

    return run(asked())


def address_of(settings: Settings, url: str | None) -> str:
    """Return the URL of the Redis, that of the settings unless another is given.

    Raises:
        ConfigError: neither names one.
    """
    address = url or settings.redis.url
    if address is None:
        raise ConfigError(
            "no Redis is named, and a gateway without one keeps its own",
            remedy="pass --redis, or set BRIDGE_REDIS_URL to the one that the gateways use",
        )
    return address


def plan_of(settings: Settings, flag: str) -> RolloutSettings:
    """Return the settings of a rollout.

    Raises:
        ConfigError: there is none of this name.
    """
    if flag not in settings.rollouts:
        known = ", ".join(sorted(settings.rollouts)) or "none"
        raise ConfigError(
            f"the settings have no rollout '{flag}' (known: {known})",
            remedy="name the settings with --config or BRIDGE_CONFIG",
        )
    return settings.rollouts[flag]
