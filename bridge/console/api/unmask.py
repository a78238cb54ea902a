"""`/api/v1/calls/{call_id}/unmask`: a caller's whole number, for a reason that is audited."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field

from bridge.console.access.audit import Entry
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import Services, services_of
from bridge.routing.numbers import normalise_called, shown_number

router = APIRouter(prefix="/calls", tags=["calls"])

Unmasking = Annotated[Principal, Depends(Allowed(Permission.UNMASK))]
Using = Annotated[Services, Depends(services_of)]


class Reason(BaseModel):
    """Why somebody has to know."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Numbers(BaseModel):
    """A call's whole numbers; empty where the caller withheld his, or nobody told."""

    caller: str
    called: str
    asserted: str


@router.post("/{call_id}/unmask")
async def unmask(call_id: str, principal: Unmasking, given: Reason, services: Using) -> Numbers:
    """Return a call's whole numbers. Everywhere else they are masked."""
    fields = await services.calls.call(call_id) or {}
    if "dialplan" not in fields or not principal.may_see(fields["dialplan"]):
        raise HTTPException(404, "no such call")
    entry = Entry.by(principal, "unmask", call_id=call_id, params={"reason": given.reason})
    await services.auditor.write(entry)
    return Numbers(
        caller=shown_number(fields.get("from", "")),
        called=normalise_called(fields.get("to", "")),
        asserted=shown_number(fields.get("asserted", "")),
    )
