"""`/api/v1/calls/{call_id}/sip` and `/api/v1/refusals`: SIP messages in short, of a call, and of
INVITEs that became none.

Whole messages, which name numbers, are not to be had here: `bridge calls show --sip --raw`.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.visible import visible_call
from bridge.console.masking import mask_within
from bridge.console.services import Using
from bridge.recordings.files import CallFiles
from bridge.sip.ladder import ladder
from bridge.sip.trace import CallTrace, decode_trace
from bridge.store.sip_messages import NoSipMessagesError, ask_call_sip, ask_refused

router = APIRouter(prefix="/calls/{call_id}", tags=["calls"])
refusals_router = APIRouter(prefix="/refusals", tags=["calls"])

Json = dict[str, Any]  # Any: JSON of the rows
Anybody = Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW, Permission.HISTORY_VIEW))]
SeesRefusals = Annotated[Principal, Depends(Allowed(Permission.REFUSALS_VIEW))]

_LATEST = 3
"""INVITEs of a group whose messages are shown."""


@router.get("/sip")
async def get_sip(call_id: str, principal: Anybody, services: Using) -> Json:
    """Return the SIP messages of a call, in short: so far, where it goes on. They come from the
    node that has them; where none are to be had, ``missing`` says why.
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
    return {"messages": await asyncio.to_thread(_in_short, trace)}


@refusals_router.get("")
async def list_refusals(principal: SeesRefusals, services: Using) -> Json:
    """Return the INVITEs of the last 24 hours that became no call, of every node: by trunk and
    answer, the latest first. They are of no route, so whoever may see any sees all.

    ``mute`` has the nodes that gave no answer.
    """
    found, mute = await ask_refused(services.control, services.calls, principal.user, {"most": 0})
    groups = [{"node": each.node, **group} for each in found for group in each.groups]
    groups.sort(key=lambda group: int(group["last_at_ms"]), reverse=True)
    return {"at_ms": services.now_ms, "groups": groups, "mute": mute}


@refusals_router.get("/messages")
async def get_refusals(
    principal: SeesRefusals,
    services: Using,
    trunk: Annotated[str, Query(max_length=200)] = "",
    answer: Annotated[str, Query(max_length=200)] = "",
) -> Json:
    """Return the SIP messages, in short, of the latest INVITEs of a trunk ("" for whoever is of
    none) that had an answer beginning so.
    """
    wanted = {"trunk": trunk, "answer": answer, "most": _LATEST}
    found, mute = await ask_refused(services.control, services.calls, principal.user, wanted)
    traces = [(each.node, trace) for each in found for trace in each.traces]
    shown = [
        {"node": node, "messages": await asyncio.to_thread(_in_short, trace)}
        for node, trace in traces
    ]
    return {"refusals": shown, "mute": mute}


def _in_short(trace: CallTrace) -> object:
    return mask_within([row.as_json() for row in ladder(trace.messages)])


def _read(files: CallFiles) -> CallTrace | None:
    try:
        return decode_trace(files.sip.read_bytes())
    except (OSError, ValueError):
        return None
