"""`/api/v1/calls/{call_id}/phone-ticket`: a number that lets a supervisor's phone hear a call."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict

from bridge.console.access.door import Allowed, require_private
from bridge.console.access.phone_tickets import Ticket
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.live_call import CallId, find_live_call
from bridge.console.services import Services, services_of

router = APIRouter(prefix="/calls", tags=["actions"])


class PhoneWish(BaseModel):
    """What the phone is for.

    Attributes:
        may_take_over: with the permission ``barge`` alone.
        private: no other supervisor sees it; with the permission ``monitor.private`` alone.
    """

    model_config = ConfigDict(extra="forbid")

    may_take_over: bool = False
    private: bool = False


class PhoneNumber(BaseModel):
    """What the phone has to dial, once; ``expires_at`` in ms since the Unix epoch."""

    uri: str
    expires_at: int


@router.post("/{call_id}/phone-ticket")
async def make_phone_ticket(
    call_id: CallId,
    principal: Annotated[Principal, Depends(Allowed(Permission.MONITOR))],
    services: Annotated[Services, Depends(services_of)],
    wish: PhoneWish | None = None,
) -> PhoneNumber:
    """Return the address that a desk phone calls to hear a call: good once, for 60 s.

    The call goes to the node that has the caller. The audit has it when the phone is there.
    """
    wish = wish or PhoneWish()
    require_private(principal, wanted=wish.private)
    call = await find_live_call(services, principal, call_id)
    node = await services.calls.node(call.get("node", "")) or {}
    if not node.get("sip"):
        name = call.get("node", "")
        raise HTTPException(
            409, f"node {name} does not say where SIP reaches it: set sip.public_address there"
        )
    barges = wish.may_take_over and principal.may(Permission.BARGE)
    ticket = Ticket(principal.user, call_id, barges, wish.private)
    secret, expires_ms = await services.phone_tickets.issue(ticket)
    return PhoneNumber(uri=f"sip:listen-{call_id}-{secret}@{node['sip']}", expires_at=expires_ms)
