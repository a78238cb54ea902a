"""This node's heartbeat, and the calls that dead nodes left behind.

`bridge:node:{node_id}` lives three beats long. A node whose heartbeat has run out and stays away
for two beats more is dead, and whichever node looks next ends its calls.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files

from bridge.clock import NS_PER_MS, Clock
from bridge.config.settings import RedisSettings
from bridge.store.client import Command, RedisLink, RedisStore
from bridge.store.keys import Keys
from bridge.store.replies import texts, words_of

BEATS_TO_LIVE = 3
_BEATS_MISSED = 2
"""A living node beats again within one beat and one timed-out attempt after Redis returns."""

_PAGE_CALLS = 100
"""Calls looked at in one round trip, so that reading the replies holds the loop for about 1 ms."""

_NODE_LOST = files("bridge.store").joinpath("node_lost.lua").read_text("utf-8")
_DEAD_NODES = files("bridge.store").joinpath("dead_nodes.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node says of itself.

    Attributes:
        capacity: calls that it can hold at once.
        active: calls that it holds.
        draining: it takes no new calls.
        http: where other nodes reach its HTTP port; empty while that is down.
        sip: host and port where phones reach it; empty where that is not known.
        troubles: what is wrong with it although it takes calls; empty for nothing.
    """

    capacity: int = 0
    active: int = 0
    draining: bool = False
    http: str = ""
    sip: str = ""
    troubles: str = ""


class NodeRegistry(RedisStore):
    """Writes one node's heartbeat and ends the calls of dead ones.

    Args:
        link: where to.
        keys: names.
        node_id: this node.
        clock: wall time of the records.
        settings: how often :meth:`beat` will be called, how long an ended call is kept.

    Attributes:
        emptied: how often Redis had lost, at a beat, what it held at the one before.
    """

    def __init__(
        self, link: RedisLink, keys: Keys, node_id: str, *, clock: Clock, settings: RedisSettings
    ) -> None:
        super().__init__(link, keys)
        self.emptied = 0
        self._born = ""
        self._node_id = node_id
        self._clock = clock
        self._settings = settings

    async def beat(self, report: NodeReport) -> None:
        """Write that this node lives.

        Raises:
            RedisUnavailableError: nobody heard.
        """
        key = self._keys.node(self._node_id)
        fields = {**asdict(report), "draining": int(report.draining), "updated_at": self._now_ms()}
        ttl_ms = self._settings.heartbeat_ms * BEATS_TO_LIVE
        *_, born = await self._link.ask_all(
            [
                ["HSET", key, *words_of(fields)],
                ["PEXPIRE", key, ttl_ms],
                ["ZADD", self._keys.nodes, 0, self._node_id],
                ["SETNX", self._keys.born, f"{self._node_id} {self._clock.wall_ns()}"],
                ["GET", self._keys.born],
            ]
        )
        self.emptied += self._born not in ("", born)
        self._born = str(born)

    async def leave(self) -> None:
        """Take the heartbeat away.

        Raises:
            RedisUnavailableError: it will run out by itself.
        """
        await self._link.ask_all(
            [
                ["ZREM", self._keys.nodes, self._node_id],
                ["DEL", self._keys.node(self._node_id)],
            ]
        )

    async def end_former_life(self, live: Callable[[], Collection[str]]) -> Sequence[str]:
        """End the calls of this very node as `node_lost`: before it takes its first.

        Args:
            live: gives the calls of its present life, where it could not be done before those.

        Returns:
            The calls that were ended.

        Raises:
            RedisUnavailableError: some may not have been; run it again.
        """
        return await self._end_calls(lambda node: node == self._node_id, "restarted", live)

    async def sweep(self) -> Sequence[str]:
        """End the active calls of dead nodes as `node_lost`, if no other node does so just now.

        A living node's calls are never touched: whether its heartbeat is there is asked again in
        the step that ends a call. Safe to repeat.

        Returns:
            The calls that were ended.

        Raises:
            RedisUnavailableError: some may not have been; run it again.
        """
        dead = await self._find_dead()
        if not dead:
            return ()
        # A call whose hash is gone has no node and is nobody's; it is only forgotten.
        swept = await self._end_calls(lambda node: node is None or node in dead, "heartbeat_lost")
        await self._link.ask(["ZREM", self._keys.nodes, *dead])
        return swept

    async def _find_dead(self) -> Collection[str]:
        keys = (self._keys.nodes, self._keys.sweep)
        beat_ms = self._settings.heartbeat_ms
        arguments = (self._keys.node(""), self._node_id, beat_ms, beat_ms * _BEATS_MISSED)
        return texts(await self._link.ask(("EVAL", _DEAD_NODES, len(keys), *keys, *arguments)))

    async def _end_calls(
        self,
        is_lost: Callable[[str | None], bool],
        reason: str,
        live: Callable[[], Collection[str]] = frozenset,
    ) -> Sequence[str]:
        lost = [
            (call_id, self._ending(call_id, node, reason))
            async for call_id, node in self._active_calls()
            if is_lost(node) and call_id not in live()
        ]
        ended: list[str] = []
        for first in range(0, len(lost), _PAGE_CALLS):
            page = lost[first : first + _PAGE_CALLS]
            replies = await self._link.ask_all([command for _, command in page])
            ended += [
                call_id for (call_id, _), reply in zip(page, replies, strict=True) if reply == 1
            ]
        return ended

    async def _active_calls(self) -> AsyncIterator[tuple[str, str | None]]:
        """Yield each active call and its node, None where Redis has lost the call's hash.

        From the newest back: calls that end meanwhile move others to where we have yet to look.
        """
        active = self._keys.active
        end = await self._link.ask(["ZCARD", active])
        assert isinstance(end, int)
        while end > 0:
            first = max(0, end - _PAGE_CALLS)
            calls = texts(await self._link.ask(["ZRANGE", active, first, end - 1]))
            end = first
            nodes = await self._link.ask_all(
                [["HGET", self._keys.call(call_id), "node"] for call_id in calls]
            )
            for call_id, node in zip(calls, nodes, strict=True):
                if node is None or isinstance(node, str):
                    yield call_id, node

    def _ending(self, call_id: str, node: str | None, reason: str) -> Command:
        known_lost = node is None or node == self._node_id
        names = self._keys
        call, events, beat = names.call(call_id), names.events(call_id), names.node(str(node))
        keys = (call, events, names.active, beat, names.ended)
        settings = self._settings
        limits = (settings.expire_after_end_s, settings.events_kept)
        event = ("reason", reason, "node", str(node), "swept_by", self._node_id)
        given = (call_id, int(known_lost), self._now_ms(), *limits, *event)
        return ("EVAL", _NODE_LOST, len(keys), *keys, *given)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // NS_PER_MS
