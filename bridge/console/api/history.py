"""`/api/v1/history`: calls that are over."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.history import WantedCalls
from bridge.console.services import Services, services_of

router = APIRouter(prefix="/history", tags=["history"])

Json = dict[str, Any]  # Any: JSON of rows
_Word = Annotated[str, Query(max_length=120)]


@router.get("")
async def find_calls(
    principal: Annotated[Principal, Depends(Allowed(Permission.HISTORY_VIEW))],
    services: Annotated[Services, Depends(services_of)],
    text: _Word = "",
    dialplan: _Word = "",
    arm: _Word = "",
    outcome: _Word = "",
    fault: _Word = "",
    since_ms: Annotated[int | None, Query(ge=0)] = None,
    before_ms: Annotated[int | None, Query(ge=0)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Json:
    """Return the latest calls that are over, and where the next page begins (``before_ms``)."""
    wanted = WantedCalls(text, dialplan, arm, outcome, fault, since_ms, before_ms)
    words = principal.may(Permission.TRANSCRIPT_VIEW)
    found = await services.history.find(wanted, limit + 1, principal.may_see, words=words)
    more = found[limit - 1].get("started_at") if len(found) > limit else None
    return {"calls": found[:limit], "more_before_ms": more}
