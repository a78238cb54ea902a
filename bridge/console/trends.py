"""Figures of ended calls by hour and route. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from bridge.console.tally import HOUR_MS, Tally, tallies

Row = Mapping[str, Any]  # Any: of JSON rows


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
