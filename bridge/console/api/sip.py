"""`/api/v1/calls/{call_id}/sip`: the SIP messages of a call, in short."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.visible import visible_call
from bridge.console.masking import mask_within
from bridge.console.services import Using
from bridge.recordings.files import CallFiles
from bridge.sip.ladder import ladder
from bridge.sip.trace import CallTrace, decode_trace
from bridge.store.sip_messages import NoSipMessagesError, ask_call_sip

router = APIRouter(prefix="/calls/{call_id}", tags=["calls"])

Json = dict[str, Any]  # Any: JSON of the rows
Anybody = Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW, Permission.HISTORY_VIEW))]


@router.get("/sip")
async def get_sip(call_id: str, principal: Anybody, services: Using) -> Json:
    """Return the SIP messages of a call, in short: so far, where it goes on. They come from the
    node that has them; where none are to be had, ``missing`` says why.

    Whole messages, which name numbers, are not to be had here: `bridge calls show --sip --raw`.
    """
    call = await visible_call(call_id, principal, services)
    files = CallFiles(services.sources.recordings_dir, call_id)
    trace = None if call.live else await asyncio.to_thread(_read, files)
    if trace is None:
        node = call.fields.get("node", "")
        try:
            trace = await ask_call_sip(
                services.control, services.calls, node, call_id, principal.user
            )
        except NoSipMessagesError as error:  # a call without them is no error of the asker's
            return {"messages": [], "missing": str(error)}
    rows = await asyncio.to_thread(lambda: [row.as_json() for row in ladder(trace.messages)])
    return {"messages": mask_within(rows)}


def _read(files: CallFiles) -> CallTrace | None:
    try:
        return decode_trace(files.sip.read_bytes())
    except (OSError, ValueError):
        return None
