"""Counts calls by result, with one set of definitions for the wallboard and the trends. Pure."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from bridge.errors import Outcome
from bridge.telemetry.health import BAD_BELOW

HOUR_MS = 3_600_000
SERVICE_LEVEL_MS = 20_000
"""A caller who is put through to a person within this counts as served in time (80/20)."""

TREND_HOURS = 8
"""Of the wallboard: a shift."""

_NOT_WITH_AI = frozenset({"ringing", "transferring", "human", "paused"})
"""States in which no agent talks with the caller."""

_MEANT = frozenset({Outcome.COMPLETED.value, Outcome.MAX_DURATION.value})
"""Other outcomes are of calls that broke off (``node_lost``, ``session_lost``) or went on with a
person."""

_SERVED = ("accepted", "completed")
_NO_FAULT = ("none", "caller", "")

Row = Mapping[str, Any]  # Any: of JSON rows
Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts and means of some calls; means are None where no call has the figure.

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


def by_route(ended: Iterable[Row]) -> list[dict[str, object]]:
    """Return a row for each hour and route that had calls, the earliest hour first.

    Args:
        ended: rows of the history.

    Returns:
        ``hour_at`` (its begin, ms since the Unix epoch), ``route``, the counts and means of
        :class:`bridge.console.tally.Tally`, and its shares (0 to 1, None where nothing was offered
        that a share could be of): ``containment``, ``service_level``, ``abandonment``.
    """
    found = tallies(ended, _hour_and_route)
    return [
        {"hour_at": hour_at, "route": route, **_figures(found[hour_at, route])}
        for hour_at, route in sorted(found)
    ]


def by_hour(ended: Iterable[Row]) -> list[dict[str, object]]:
    """Return a row as :func:`by_route` does for each hour, of all routes together."""
    found = tallies(ended, _hour_at)
    return [{"hour_at": hour_at, **_figures(found[hour_at])} for hour_at in sorted(found)]


def _hour_at(row: Row) -> int | None:
    began_ms: int | None = row.get("started_at")
    return None if began_ms is None else began_ms // HOUR_MS * HOUR_MS


def _hour_and_route(row: Row) -> tuple[int, str] | None:
    hour_at = _hour_at(row)
    return None if hour_at is None else (hour_at, str(row.get("dialplan", "")))


def _figures(found: Tally) -> dict[str, object]:
    return {
        **asdict(found),
        "containment": found.containment,
        "service_level": found.service_level,
        "abandonment": found.abandonment,
    }


def wallboard_figures(live: Sequence[Row], ended: Sequence[Row], now_ms: int) -> dict[str, object]:
    """Return the figures of the wallboard; None where nothing was offered that a share could be of.

    Args:
        live: rows of the live list.
        ended: rows of the history, of the last hour.
        now_ms: wall time, ms since the Unix epoch.
    """
    waiting = [row for row in live if row.get("state") == "transferring"]
    asked = tally([*live, *ended])
    return {
        "waiting": len(waiting),
        "oldest_wait_ms": max(
            (now_ms - row.get("waiting_since_at", now_ms) for row in waiting), default=0
        ),
        "active_ai": sum(row.get("state") not in _NOT_WITH_AI for row in live),
        "active_human": sum(row.get("state") == "human" for row in live),
        "failing": sum(row.get("health", 100) < BAD_BELOW for row in live),
        "service_level_ms": SERVICE_LEVEL_MS,
        "average_wait_ms": asked.average_wait_ms,
        "offered_last_hour": asked.offered,
        **_of_an_hour(tally(ended)),
        "abandoned": asked.abandonment,
        "service_level": asked.service_level,
    }


def shift_hours(ended: Sequence[Row], now_ms: int) -> list[dict[str, object]]:
    """Return the wallboard's figures of each of the last :data:`TREND_HOURS` hours, oldest first.

    Args:
        ended: rows of the history; a call counts in the hour in which it began.
        now_ms: end of the last hour, ms since the Unix epoch.
    """
    found = tallies(ended, lambda row: (now_ms - row["started_at"]) // HOUR_MS)
    return [_of_an_hour(found.get(back, tally(()))) for back in reversed(range(TREND_HOURS))]


def _of_an_hour(found: Tally) -> dict[str, object]:
    """Return the figures of calls that are over; the others are of this moment."""
    return {
        "service_level": found.service_level,
        "abandoned": found.abandonment,
        "containment": found.containment,
        "ended_last_hour": found.calls,
    }


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
