"""The figures of a wallboard, from live calls and those of the last hour. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.console.tally import HOUR_MS, SERVICE_LEVEL_MS, Tally, tallies, tally
from bridge.telemetry.health import BAD_BELOW

TREND_HOURS = 8
"""A shift."""

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


def by_hour(ended: Sequence[Row], now_ms: int) -> list[dict[str, object]]:
    """Return the figures of each of the last :data:`TREND_HOURS` hours, the oldest first.

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
