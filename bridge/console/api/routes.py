"""`/api/v1/routes`: the dialplans in force, to read."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from bridge.clock import NS_PER_S
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import Services, services_of
from bridge.routing.models import Dialplan

router = APIRouter(prefix="/routes", tags=["routes"])

Json = dict[str, Any]  # Any: JSON of dialplans


@router.get("")
async def get_routes(
    principal: Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW))],
    services: Annotated[Services, Depends(services_of)],
) -> Json:
    """Return each route: whom it takes, its arm, its hours, its consent text, its fallback."""
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
