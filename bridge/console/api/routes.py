"""`/api/v1/routes`: the dialplans in force, to read."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from bridge.clock import NS_PER_S
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import Using
from bridge.routing.models import Dialplan

router = APIRouter(prefix="/routes", tags=["routes"])

_HOLIDAYS_AHEAD_DAYS = 120

Json = dict[str, Any]  # Any: JSON of dialplans


@router.get("")
async def get_routes(
    principal: Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW))],
    services: Using,
) -> Json:
    """Return each route: whom it takes, its arm, its hours, its consent text, its fallback.

    ``week`` is what is open on each day, Monday first, as pairs of minutes of the day on the
    route's own clock; ``holidays`` are those of the next 120 days.
    """
    at = datetime.fromtimestamp(services.clock.wall_ns() / NS_PER_S, UTC)
    plans = [each for each in services.sources.dialplans() if principal.may_see(each.name)]
    return {"routes": [_shown(plan, at) for plan in plans]}


def _shown(plan: Dialplan, at: datetime) -> Json:
    whole = plan.model_dump(mode="json", by_alias=True, exclude_none=True)
    agent = whole.get("agent", {})
    disclosure = plan.consent.disclosure
    return {
        "name": plan.name,
        "arm": plan.arm,
        "rollout": plan.rollout,
        "match": whole.get("match"),
        "language": agent.get("language"),
        "greeting": agent.get("greeting"),
        "tools": [tool.get("name") for tool in agent.get("tools", [])],
        "hours": whole.get("hours"),
        "week": None if plan.hours is None else plan.hours.week(),
        "holidays": []
        if plan.hours is None
        else [
            {"day": day.isoformat(), "name": name}
            for day, name in plan.hours.holidays_from(at, _HOLIDAYS_AHEAD_DAYS)
        ],
        "now": "open" if plan.hours is None else plan.hours.moment(at).state,
        "handoff": whole.get("handoff"),
        "fallback": whole.get("fallback"),
        "limits": whole.get("limits"),
        "recording": whole.get("recording"),
        "consent": whole.get("consent"),
        "consent_version": None
        if disclosure is None
        else plan.consent.text_version(plan.agent.language),
    }
