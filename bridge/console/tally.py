"""Counts calls by result, with one set of definitions for the wallboard and the trends. Pure."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bridge.errors import Outcome

HOUR_MS = 3_600_000
SERVICE_LEVEL_MS = 20_000
"""A caller who is put through to a person within this counts as served in time (80/20)."""

_MEANT = frozenset({Outcome.COMPLETED.value, Outcome.MAX_DURATION.value})
"""Other outcomes are of calls that broke off (``node_lost``, ``session_lost``) or went on with a
person."""

_SERVED = ("accepted", "completed")
_NO_FAULT = ("none", "caller", "")

Row = Mapping[str, Any]  # Any: of JSON rows
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Tally:
    """What some calls came to; means are None where no call has the figure.

    Attributes:
        calls: all of them.
        answered: whose conversation has begun.
        contained: answered, and handled by the AI alone to an end that was meant.
        with_person: handed to a person, or taken over by one.
        offered: for whom a person was asked, and the wait is over.
        in_time: of those, put through within :data:`SERVICE_LEVEL_MS`.
        abandoned: of those, who left while they waited.
        broken: with a fault that is not the caller's, answered or not.
        average_wait_ms: of those who were put through.
        average_duration_ms, average_response_ms: of answered calls.
    """

    calls: int
    answered: int
    contained: int
    with_person: int
    offered: int
    in_time: int
    abandoned: int
    broken: int
    average_wait_ms: int | None
    average_duration_ms: int | None
    average_response_ms: int | None

    @property
    def containment(self) -> float | None:
        """The share of answered calls that the AI handled alone; None without any."""
        return _share(self.contained, self.answered)

    @property
    def service_level(self) -> float | None:
        """The share of those offered a person who were put through in time; None without any."""
        return _share(self.in_time, self.offered)

    @property
    def abandonment(self) -> float | None:
        """The share of those offered a person who left before; None without any."""
        return _share(self.abandoned, self.offered)


def tally(rows: Sequence[Row]) -> Tally:
    """Count rows of the history, or of the live list."""
    answered = [row for row in rows if row.get("answered_at")]
    offered = [row for row in rows if row.get("handoff_result") not in (None, "waiting")]
    served = [row for row in offered if row["handoff_result"] in _SERVED]
    return Tally(
        calls=len(rows),
        answered=len(answered),
        contained=sum(_is_contained(row) for row in answered),
        with_person=sum(_was_with_person(row) for row in answered),
        offered=len(offered),
        in_time=sum(row.get("handoff_wait_ms", 0) <= SERVICE_LEVEL_MS for row in served),
        abandoned=sum(row["handoff_result"] == "caller_left" for row in offered),
        broken=sum(row.get("fault", "none") not in _NO_FAULT for row in rows),
        average_wait_ms=_mean(served, "handoff_wait_ms"),
        average_duration_ms=_mean(answered, "duration_ms"),
        average_response_ms=_mean(answered, "average_response_ms"),
    )


def tallies(rows: Iterable[Row], group_of: Callable[[Row], Group | None]) -> Mapping[Group, Tally]:
    """Count rows group by group; rows whose group is None are left out."""
    groups: dict[Group, list[Row]] = defaultdict(list)
    for row in rows:
        group = group_of(row)
        if group is not None:
            groups[group].append(row)
    return {group: tally(found) for group, found in groups.items()}


def _is_contained(row: Row) -> bool:
    with_person = row.get("handoff_target") or row.get("handled_by")
    return not with_person and row.get("outcome") in _MEANT


def _was_with_person(row: Row) -> bool:
    return row.get("handoff_result") in _SERVED or bool(row.get("handled_by"))


def _mean(rows: Sequence[Row], name: str) -> int | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return round(sum(known) / len(known)) if known else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
