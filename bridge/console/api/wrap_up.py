"""`/api/v1/calls/{call_id}/wrap-up`: takes the result of a call from the user who had its caller.

It stands in the call's hash at once, and in its record on the node that has or had the call.
"""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.visible import CallId, VisibleCall, visible_call
from bridge.console.services import ConsoleServices, Using
from bridge.redaction.turns import Redactor
from bridge.routing.models import Dialplan
from bridge.routing.supervisor_verbs import Note, WrapUpOrder, verb_of
from bridge.store.ended_calls import StoredWrapUp

router = APIRouter(prefix="/calls/{call_id}/wrap-up", tags=["queue"])

Worker = Annotated[Principal, Depends(Allowed(Permission.QUEUE_ACCEPT))]


class WrapUpWish(BaseModel):
    """A code of the route's, and a note."""

    model_config = ConfigDict(extra="forbid")

    code: str = ""
    note: Note = ""


class WrapUpCodes(BaseModel):
    """The codes of a call's route, as ``handoff.wrap_up`` has them."""

    codes: tuple[str, ...]


class WrappedUp(BaseModel):
    """The written wrap-up; ``recorded``: the call's node has it in the call's record, too."""

    code: str
    note: str
    recorded: bool


@router.get("")
async def get_wrap_up_codes(call_id: CallId, principal: Worker, services: Using) -> WrapUpCodes:
    """Return the codes that a call can be wrapped up with; for who has or had its caller."""
    call = await _own_call(call_id, principal, services)
    plan = _plan_of(call, services)
    return WrapUpCodes(codes=() if plan is None else plan.handoff.wrap_up)


@router.post("")
async def wrap_up(
    call_id: CallId, wish: WrapUpWish, principal: Worker, services: Using
) -> WrappedUp:
    """Write down what came of a call, during it or after its end; the last one counts.

    For who has or had its caller; others get 403. 422: the route has no such code.
    """
    call = await _own_call(call_id, principal, services)
    plan = _plan_of(call, services)
    codes = () if plan is None else plan.handoff.wrap_up
    if wish.code not in codes and (codes or wish.code):
        raise HTTPException(422, f"no code of this route: {wish.code!r}; it has {list(codes)}")
    redactor = Redactor() if plan is None else Redactor(frozenset(plan.recording.redact))
    order = WrapUpOrder(code=wish.code, note=redactor.redact(wish.note), at_ms=services.now_ms)
    made = StoredWrapUp(order.code, order.note, principal.user, order.at_ms)
    verb = verb_of(order)

    async def write() -> bool:
        await services.wrap_ups.write(call_id, made)
        answer = await services.control.send(
            call.fields.get("node", ""),
            call_id,
            verb.name,
            order.model_dump(),
            by=principal.user,
            command_id=secrets.token_hex(16),
        )
        return answer is not None and answer.accepted

    recorded = await services.auditor.act(
        principal,
        verb.name,
        write,
        result_of=lambda found: "done" if found else "done, not in the record",
        call_id=call_id,
        params={"code": made.code, "note": made.note},
    )
    return WrappedUp(code=made.code, note=made.note, recorded=recorded)


async def _own_call(call_id: str, principal: Principal, services: ConsoleServices) -> VisibleCall:
    """Return a call whose caller somebody has or had.

    Raises:
        HTTPException: 403: it was another's; 404: there is none, or Redis keeps it no more.
    """
    call = await visible_call(call_id, principal, services)
    if not call.fields:
        raise HTTPException(404, "the call is kept no more")
    if principal.user not in (call.fields.get("held_by"), call.fields.get("handled_by")):
        raise HTTPException(403, "another had the caller of this call")
    return call


def _plan_of(call: VisibleCall, services: ConsoleServices) -> Dialplan | None:
    name = call.fields.get("dialplan")
    return next((plan for plan in services.sources.dialplans() if plan.name == name), None)
