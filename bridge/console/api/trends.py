"""`/api/v1/trends`: figures of calls by hour and route."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import Services, services_of
from bridge.console.tally import HOUR_MS
from bridge.console.trends import by_hour, by_route

router = APIRouter(tags=["queue"])


@router.get("/trends")
async def get_trends(
    principal: Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW))],
    services: Annotated[Services, Depends(services_of)],
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
    route: Annotated[str, Query(max_length=100)] = "",
) -> dict[str, Any]:  # Any: JSON of figures
    """Return figures of the last hours, now among them: ``hours``, and by route ``rows``.

    They are of the calls that Redis still keeps, a thousand at most: ``since_at`` is the begin of
    the first hour that is asked for, ``known_since_at`` that of the earliest call that is known,
    null without any. ``route`` leaves the other routes out; ``routes`` has the names of all.
    """
    now_ms = services.now_ms
    since_ms = (now_ms // HOUR_MS - hours + 1) * HOUR_MS
    ended = await services.history.ended_since(since_ms, principal.may_see)
    chosen = [row for row in ended if not route or row.get("dialplan") == route]
    return {
        "at_ms": now_ms,
        "since_at": since_ms,
        "known_since_at": min((row["started_at"] for row in ended), default=None),
        "routes": sorted({str(row.get("dialplan", "")) for row in ended}),
        "hours": by_hour(chosen),
        "rows": by_route(chosen),
    }
