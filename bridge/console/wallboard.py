"""The figures of a wallboard, from live calls and those of the last hour. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.errors import Outcome
from bridge.telemetry.health import BAD_BELOW

SERVICE_LEVEL_MS = 20_000
"""A caller who is put through to a person within this counts as served in time (80/20)."""

TREND_HOURS = 8
"""A shift."""

_HOUR_MS = 3_600_000
_OF_AN_HOUR = ("service_level", "abandoned", "containment", "ended_last_hour")
"""Figures of calls that are over; the others are of this moment."""

_MEANT = frozenset({Outcome.COMPLETED.value, Outcome.MAX_DURATION.value})
"""Other outcomes are of calls that broke off (``node_lost``, ``session_lost``) or went on with a
person."""

_NOT_WITH_AI = frozenset({"ringing", "transferring", "human", "paused"})
"""States in which no agent talks with the caller."""

Row = Mapping[str, Any]  # Any: of JSON rows


def figures(live: Sequence[Row], ended: Sequence[Row], now_ms: int) -> dict[str, object]:
    """Return the figures; None where nothing was offered that a share could be of.

    Args:
        live: rows of the live list.
        ended: rows of the history, of the last hour.
        now_ms: wall time, ms since the Unix epoch.
    """
    waiting = [row for row in live if row.get("state") == "transferring"]
    human = [row for row in live if row.get("state") == "human"]
    offered = [row for row in [*live, *ended] if row.get("handoff_result") not in (None, "waiting")]
    served = [row for row in offered if row["handoff_result"] in ("accepted", "completed")]
    abandoned = [row for row in offered if row["handoff_result"] == "caller_left"]
    in_time = [row for row in served if row.get("handoff_wait_ms", 0) <= SERVICE_LEVEL_MS]
    waits = [row["handoff_wait_ms"] for row in served if "handoff_wait_ms" in row]
    answered = [row for row in ended if row.get("answered_at")]
    contained = [row for row in answered if is_contained(row)]
    return {
        "waiting": len(waiting),
        "oldest_wait_ms": max(
            (now_ms - row.get("waiting_since_at", now_ms) for row in waiting), default=0
        ),
        "active_ai": sum(row.get("state") not in _NOT_WITH_AI for row in live),
        "active_human": len(human),
        "failing": sum(row.get("health", 100) < BAD_BELOW for row in live),
        "abandoned": _share(abandoned, offered),
        "service_level": _share(in_time, offered),
        "service_level_ms": SERVICE_LEVEL_MS,
        "average_wait_ms": round(sum(waits) / len(waits)) if waits else None,
        "containment": _share(contained, answered),
        "ended_last_hour": len(ended),
        "offered_last_hour": len(offered),
    }


def by_hour(ended: Sequence[Row], now_ms: int) -> list[dict[str, object]]:
    """Return the figures of each of the last :data:`TREND_HOURS` hours, the oldest first.

    Args:
        ended: rows of the history; a call counts in the hour in which it began.
        now_ms: end of the last hour, ms since the Unix epoch.
    """
    hours: list[list[Row]] = [[] for _ in range(TREND_HOURS)]
    for row in ended:
        back = (now_ms - row["started_at"]) // _HOUR_MS
        if 0 <= back < TREND_HOURS:
            hours[-1 - back].append(row)
    found = [figures([], rows, now_ms) for rows in hours]
    return [{name: each[name] for name in _OF_AN_HOUR} for each in found]


def is_contained(row: Row) -> bool:
    """Return whether the AI alone handled a call to an end that was meant."""
    with_person = row.get("handoff_target") or row.get("handled_by")
    return not with_person and row.get("outcome") in _MEANT


def _share(part: Sequence[Row], whole: Sequence[Row]) -> float | None:
    return len(part) / len(whole) if whole else None
