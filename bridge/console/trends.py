"""How calls went by hour and route, from those that have ended. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.console.wallboard import is_contained

HOUR_MS = 3_600_000

Row = Mapping[str, Any]  # Any: of JSON rows


def trends(ended: Iterable[Row]) -> list[dict[str, object]]:
    """Return a row for each hour and route that had calls, the earliest hour first.

    Args:
        ended: rows of the history.

    Returns:
        ``hour_at`` (its begin, ms since the Unix epoch), ``route``, and of the calls that began in
        it: ``calls``; ``answered``; ``contained``: answered, and handled by the AI alone;
        ``with_person``: handed to a person or taken over by one; ``abandoned``: the caller left
        while they waited for one; ``broken``: with a fault that is not the caller's;
        ``average_duration_ms`` of the answered ones and ``average_response_ms`` over those that
        have one, null without any.
    """
    groups: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in ended:
        if "started_at" in row:
            hour_at = row["started_at"] // HOUR_MS * HOUR_MS
            groups[hour_at, str(row.get("dialplan", ""))].append(row)
    return [
        {"hour_at": hour_at, "route": route, **_figures(groups[hour_at, route])}
        for hour_at, route in sorted(groups)
    ]


def _figures(rows: Sequence[Row]) -> dict[str, object]:
    answered = [row for row in rows if row.get("answered_at")]
    return {
        "calls": len(rows),
        "answered": len(answered),
        "contained": sum(is_contained(row) for row in answered),
        "with_person": sum(_was_with_person(row) for row in answered),
        "abandoned": sum(row.get("handoff_result") == "caller_left" for row in answered),
        "broken": sum(row.get("fault", "none") not in ("none", "caller", "") for row in answered),
        "average_duration_ms": _mean(answered, "duration_ms"),
        "average_response_ms": _mean(answered, "average_response_ms"),
    }


def _was_with_person(row: Row) -> bool:
    served = row.get("handoff_result") in ("accepted", "completed")
    return served or bool(row.get("handled_by"))


def _mean(rows: Sequence[Row], name: str) -> int | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return round(sum(known) / len(known)) if known else None
