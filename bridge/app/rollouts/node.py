"""Everything of rollouts that one gateway runs: flags, controller, the connection to Redis."""

import asyncio
from collections.abc import Callable, Mapping

from bridge.app.rollouts.controller import RolloutController
from bridge.app.rollouts.files import RolloutFiles
from bridge.app.rollouts.in_force import Rollouts
from bridge.clock import Clock
from bridge.config.settings import Settings
from bridge.console.access.audit import AuditFile
from bridge.console.access.audit_head import HeadFile
from bridge.store.audit_log import AuditLog
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.rollouts import RolloutStore
from bridge.telemetry.metrics import Metrics


class RolloutNode:
    """The part of one gateway in the rollouts: draws its calls' arms and counts their evidence.

    Args:
        active: gives the calls of each arm on this gateway.

    Attributes:
        flags: decides about calls.
    """

    def __init__(
        self,
        settings: Settings,
        redis_url: str,
        secret: bytes,
        node: str,
        clock: Clock,
        metrics: Metrics,
        active: Callable[[], Mapping[str, int]],
    ) -> None:
        self._link = RedisLink(redis_url, timeout_s=settings.redis.connect_timeout_s)
        head = HeadFile(settings.state_dir)
        copy = AuditFile(settings.console.audit_file, head, metrics.store.audit_failed).copy
        audit = AuditLog(self._link, Keys(settings.redis.prefix), copy)
        store = RolloutStore(self._link, settings.redis, audit)
        files = RolloutFiles(settings.state_dir)
        sip_arms = frozenset(settings.sip_arms)
        self.flags = Rollouts(
            *(settings.rollouts, secret, store, files, node, clock, metrics, active), sip_arms
        )
        digests = {name: arm.digest for name, arm in settings.arms.items()}
        self._controller = RolloutController(
            settings.rollouts, digests, store, node, clock, metrics, sip_arms
        )
        self._deciding: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read the states in force."""
        await self.flags.open()
        self._deciding = asyncio.create_task(self._controller.run(), name="rollout-controller")

    async def aclose(self) -> None:
        """Write to Redis all that it lacks, and disconnect."""
        deciding, self._deciding = self._deciding, None
        if deciding is not None:
            deciding.cancel()
            await asyncio.gather(deciding, return_exceptions=True)
            await self._controller.resign()
        await self.flags.aclose()
        await self._link.aclose()
