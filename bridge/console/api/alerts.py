"""`/api/v1/alerts`: lists alerts for supervisors, and takes their acknowledgements."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import ConsoleServices, Using
from bridge.store.alerts import Alert

router = APIRouter(prefix="/alerts", tags=["alerts"])

Json = dict[str, Any]  # Any: JSON of alerts


@router.get("")
async def list_alerts(
    principal: Annotated[Principal, Depends(Allowed(Permission.ALERTS_VIEW))],
    services: Using,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Json:
    """Return the latest alerts, the newest first, and how many of all are open.

    ``nodes`` has what is wrong with gateways that take calls all the same, by their names.
    """
    found = await _concerning(principal, services)
    live = set(await services.calls.active())
    shown = [_shown(each, live) for each in found[:limit]]
    return {
        "open": sum(each.acknowledged is None for each in found),
        "alerts": shown,
        "nodes": await services.calls.troubled_nodes(),
    }


@router.post("/{alert_id}/acknowledge")
async def acknowledge_alert(
    principal: Annotated[Principal, Depends(Allowed(Permission.ALERTS_ACKNOWLEDGE))],
    services: Using,
    alert_id: Annotated[str, Path(pattern=r"^\d{1,19}-\d{1,19}$")],
    note: Annotated[str, Body(embed=True, max_length=500)] = "",
) -> Json:
    """Say that one sees to it; the first one counts."""
    if all(each.alert_id != alert_id for each in await _concerning(principal, services)):
        raise HTTPException(404, "no such alert")
    taken = await services.auditor.act(
        principal,
        "acknowledge alert",
        lambda: services.alerts.acknowledge(alert_id, principal.user, note, services.now_ms),
        result_of=lambda taken: "done" if taken else "refused: seen to already",
        target=alert_id,
        params={"note": note},
    )
    if not taken:
        raise HTTPException(409, "somebody else sees to it already")
    return {"acknowledged": True}


async def _concerning(principal: Principal, services: ConsoleServices) -> list[Alert]:
    found = await services.alerts.latest()
    return [each for each in found if principal.may_see(each.fields.get("route", ""))]


def _shown(alert: Alert, live: set[str]) -> Json:
    mark = alert.acknowledged
    call_id = alert.fields.get("call_id", "")
    return {
        **alert.fields,
        "id": alert.alert_id,
        "at_ms": int(alert.alert_id.split("-", maxsplit=1)[0]),
        "acknowledged": None if mark is None else mark._asdict(),
        "call_live": call_id in live,
        "state": "open" if mark is None else "acknowledged" if call_id in live else "resolved",
    }
