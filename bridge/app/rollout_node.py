"""Everything of rollouts that one gateway runs: its flags and its connection to Redis."""

from bridge.app.rollout_files import RolloutFiles
from bridge.app.rollouts import Rollouts
from bridge.clock import Clock
from bridge.config.settings import Settings
from bridge.store.client import RedisLink
from bridge.store.rollouts import RolloutStore
from bridge.telemetry.metrics import Metrics


class RolloutNode:
    """One gateway's part in the rollouts.

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
    ) -> None:
        self._link = RedisLink(redis_url, timeout_s=settings.redis.connect_timeout_s)
        store = RolloutStore(self._link, settings.redis)
        files = RolloutFiles(settings.state_dir)
        self.flags = Rollouts(settings.rollouts, secret, store, files, node, clock, metrics)

    async def open(self) -> None:
        """Learn what is in force."""
        await self.flags.open()

    async def aclose(self) -> None:
        """Tell Redis what it does not know yet, and disconnect."""
        await self.flags.aclose()
        await self._link.aclose()
