"""Keeps what was said in INVITEs that became no call, in memory alone, within bounds.

They are grouped by trunk and answer, and where there is no more room the largest group loses its
oldest: a scanner, whatever it sends, pushes out its like, not the few refusals of a trunk.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from bridge.clock import NS_PER_S, Clock

KEPT_H = 24


class Exchange(Protocol):
    """The messages about one INVITE."""

    @property
    def kept_bytes(self) -> int:
        """Estimate of the memory that they take."""


T = TypeVar("T", bound=Exchange)


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """INVITEs of one trunk that had one answer.

    Attributes:
        trunk: its name, "" for whoever is of none.
        answer: status and reason phrase, as ``404 No Dialplan``.
        refused: since the start of the process, or since none was kept any more.
        kept: of these.
        first_at_ms, last_at_ms: when the oldest and the latest that are kept were refused, ms since
            the Unix epoch.
    """

    trunk: str
    answer: str
    refused: int
    kept: int
    first_at_ms: int
    last_at_ms: int


@dataclass(slots=True)
class _Refused(Generic[T]):
    exchange: T
    at_ns: int
    at_ms: int
    size_bytes: int


@dataclass(slots=True)
class _Group(Generic[T]):
    kept: OrderedDict[str, _Refused[T]] = field(default_factory=OrderedDict)
    size_bytes: int = 0
    refused: int = 0

    def pop(self, sip_call_id: str) -> _Refused[T]:
        refused = self.kept.pop(sip_call_id)
        self.size_bytes -= refused.size_bytes
        return refused


class RefusedInvites(Generic[T]):
    """The INVITEs that were refused within the last 24 hours, by their Call-IDs.

    Args:
        most_bytes: that all of them take.
        clock: says when they were refused.
    """

    def __init__(self, most_bytes: int, clock: Clock) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._groups: dict[tuple[str, str], _Group[T]] = {}
        self._group_of: dict[str, tuple[str, str]] = {}
        self.kept_bytes = 0

    def get(self, sip_call_id: str) -> T | None:
        """Return what is kept of an INVITE."""
        key = self._group_of.get(sip_call_id)
        return None if key is None else self._groups[key].kept[sip_call_id].exchange

    def put(self, sip_call_id: str, exchange: T, trunk: str, answer: str) -> None:
        """Take one that has just been refused, or refused otherwise than before."""
        known = self._group_of.get(sip_call_id) == (trunk, answer)
        self.pop(sip_call_id)
        group = self._groups.setdefault((trunk, answer), _Group())
        wall_ms = self._clock.wall_ns() * 1000 // NS_PER_S
        size_bytes = exchange.kept_bytes
        group.kept[sip_call_id] = _Refused(exchange, self._clock.now_ns(), wall_ms, size_bytes)
        group.refused += not known
        self._group_of[sip_call_id] = (trunk, answer)
        group.size_bytes += size_bytes
        self.kept_bytes += size_bytes
        self._make_room()

    def grown(self, sip_call_id: str) -> None:
        """Take that more was said about one that is kept."""
        group = self._groups[self._group_of[sip_call_id]]
        refused = group.kept[sip_call_id]
        more = refused.exchange.kept_bytes - refused.size_bytes
        refused.size_bytes += more
        group.size_bytes += more
        self.kept_bytes += more
        self._make_room()

    def pop(self, sip_call_id: str) -> T | None:
        """Return one, and forget it: it became a call after all."""
        key = self._group_of.pop(sip_call_id, None)
        if key is None:
            return None
        refused = self._groups[key].pop(sip_call_id)
        self.kept_bytes -= refused.size_bytes
        return refused.exchange

    def forget_old(self) -> None:
        """Forget those that were refused more than 24 hours ago, and groups without any."""
        before_ns = self._clock.now_ns() - KEPT_H * 3600 * NS_PER_S
        for key, group in list(self._groups.items()):
            while group.kept and next(iter(group.kept.values())).at_ns <= before_ns:
                self.pop(next(iter(group.kept)))
            if not group.kept:
                del self._groups[key]

    def groups(self) -> list[RefusedGroup]:
        """Return the groups, the latest refused one first."""
        found = []
        for (trunk, answer), group in self._groups.items():
            times = [refused.at_ms for refused in group.kept.values()]
            if times:
                kept = len(times), min(times), max(times)
                found.append(RefusedGroup(trunk, answer, group.refused, *kept))
        return sorted(found, key=lambda each: each.last_at_ms, reverse=True)

    def of(self, trunk: str, answer: str) -> Iterator[T]:
        """Yield those of a group, the latest first."""
        group = self._groups.get((trunk, answer))
        for refused in reversed(group.kept.values()) if group is not None else ():
            yield refused.exchange

    def _make_room(self) -> None:
        while self.kept_bytes > self._most_bytes:
            largest = max(self._groups.values(), key=lambda group: group.size_bytes)
            self.pop(next(iter(largest.kept)))
