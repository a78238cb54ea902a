"""`/api/v1/calls/{call_id}/sip`: the SIP messages of a call that is over, in short."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.recordings import redeem
from bridge.console.api.visible import CallId, visible_call
from bridge.console.masking import mask_within
from bridge.console.services import Using
from bridge.recordings.files import CallFiles
from bridge.sip.ladder import ladder
from bridge.sip.trace import decode_trace

router = APIRouter(prefix="/calls/{call_id}", tags=["calls"])
relay_router = APIRouter(prefix="/relay/calls/{call_id}", include_in_schema=False)

Json = dict[str, Any]  # Any: JSON of the rows
Anybody = Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW, Permission.HISTORY_VIEW))]


@router.get("/sip")
async def get_sip(call_id: str, principal: Anybody, services: Using) -> Json:
    """Return the SIP messages of a call that is over, in short; they come from the node that has
    them; where none are to be had, ``missing`` says why.

    Whole messages, which name numbers, are not to be had here: `bridge calls show --sip --raw`.
    """
    call = await visible_call(call_id, principal, services)
    if call.live:
        raise HTTPException(409, "the call goes on: its SIP messages are written at its end")
    files = CallFiles(services.sources.recordings_dir, call_id)
    found = await asyncio.to_thread(_rows, files)
    if found is None:
        node = call.fields.get("node", "")
        try:
            found = await services.nodes.sip(node, call_id, principal.user)
        except HTTPException as error:  # a call without them is no error of who asks
            return {"messages": [], "missing": error.detail}
    return {"messages": mask_within(found)}


@relay_router.get("/sip")
async def get_relayed_sip(call_id: CallId, services: Using, token: str = "") -> Json:
    """Serve another node, which has checked who asks."""
    await redeem(call_id, token, services)
    found = await asyncio.to_thread(_rows, CallFiles(services.sources.recordings_dir, call_id))
    if found is None:
        raise HTTPException(404, "no SIP messages of this call are kept here")
    return {"messages": found}


def _rows(files: CallFiles) -> list[dict[str, object]] | None:
    try:
        trace = decode_trace(files.sip.read_bytes())
    except (OSError, ValueError):
        return None
    return [row.as_json() for row in ladder(trace.messages)]
