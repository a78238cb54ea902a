"""This node's heartbeat, and the calls that dead nodes left behind.

`bridge:node:{node_id}` lives three beats long: a node that misses them counts as dead.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files

from bridge.clock import NS_PER_MS, Clock
from bridge.store.client import RedisLink
from bridge.store.keys import Keys

HEARTBEAT_MS = 5_000
BEATS_TO_LIVE = 3

_NODE_LOST = files("bridge.store").joinpath("node_lost.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node says of itself.

    Attributes:
        capacity: calls that it can hold at once.
        active: calls that it holds.
        draining: it takes no new calls.
    """

    capacity: int = 0
    active: int = 0
    draining: bool = False


class NodeRegistry:
    """Writes one node's heartbeat and ends the calls of dead ones.

    Args:
        link: where to.
        keys: names.
        node_id: this node.
        clock: wall time of the records.
        expire_s: how long an ended call is kept.
        heartbeat_ms: how often :meth:`beat` will be called.
    """

    def __init__(
        self,
        link: RedisLink,
        keys: Keys,
        node_id: str,
        *,
        clock: Clock,
        expire_s: int,
        heartbeat_ms: int,
    ) -> None:
        self._link = link
        self._keys = keys
        self._node_id = node_id
        self._clock = clock
        self._expire_s = expire_s
        self._ttl_ms = heartbeat_ms * BEATS_TO_LIVE

    async def beat(self, report: NodeReport) -> None:
        """Say that this node lives.

        Raises:
            RedisUnavailableError: nobody heard.
        """
        key = self._keys.node(self._node_id)
        fields = {**asdict(report), "updated_at": self._now_ms()}
        pairs = [word for name, value in fields.items() for word in (name, int(value))]
        await self._link.ask_all([["HSET", key, *pairs], ["PEXPIRE", key, self._ttl_ms]])

    async def leave(self) -> None:
        """Take the heartbeat away.

        Raises:
            RedisUnavailableError: it will run out by itself.
        """
        await self._link.ask(["DEL", self._keys.node(self._node_id)])

    async def sweep(self, ours: Callable[[str], bool]) -> int:
        """End the active calls of dead nodes as `node_lost`.

        A call of this very node that is not among ``ours`` is one of its former life.

        Args:
            ours: whether this process holds a call.

        Returns:
            How many calls were ended.

        Raises:
            RedisUnavailableError: some may not have been; run it again.
        """
        active = await self._link.ask(["ZRANGE", self._keys.active, 0, -1])
        swept = 0
        for call_id in active if isinstance(active, list) else []:
            if isinstance(call_id, str) and not ours(call_id):
                swept += await self._end_if_lost(call_id)
        return swept

    async def _end_if_lost(self, call_id: str) -> int:
        call = self._keys.call(call_id)
        node = await self._link.ask(["HGET", call, "node"])
        known_lost = node is None or node == self._node_id
        keys = [
            call,
            self._keys.events(call_id),
            self._keys.active,
            self._keys.node(str(node)),
            self._keys.ended,
        ]
        arguments = (call_id, int(known_lost), self._now_ms(), self._expire_s)
        ended = await self._link.ask(("EVAL", _NODE_LOST, len(keys), *keys, *arguments))
        return int(ended == 1)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS
