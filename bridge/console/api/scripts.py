"""`/api/v1/calls/{call_id}/script`: a call script of a recorded call, for QA to edit.

`bridge replay import` makes it, in a process of its own: it checks consent and retention, and takes
out what must not be published. What it refuses is refused here, in its words.
"""

import os
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.visible import visible_call
from bridge.console.services import Services, services_of
from bridge.errors import BridgeError
from bridge.processes.child import start_child

router = APIRouter(prefix="/calls", tags=["scripts"])

Json = dict[str, Any]  # Any: what the command prints
_WITHIN_S = 60.0


@router.post("/{call_id}/script")
async def make_script(
    call_id: str,
    principal: Annotated[Principal, Depends(Allowed(Permission.SCRIPTS_MAKE))],
    services: Annotated[Services, Depends(services_of)],
) -> Json:
    """Make a call script; returns where it is and what to look at in it."""
    call = await visible_call(call_id, principal, services)
    if call.live:
        raise HTTPException(409, "the call goes on")
    try:
        return await services.auditor.act(
            principal, "make script", lambda: _import(call_id, services), call_id=call_id
        )
    except BridgeError as error:
        raise HTTPException(409, str(error)) from error


async def _import(call_id: str, services: Services) -> Json:
    sources = services.sources
    sources.scripts_dir.mkdir(parents=True, exist_ok=True)
    out = sources.scripts_dir / f"{call_id}.yaml"
    where = ("--directory", str(sources.recordings_dir), "--out", str(out))
    child = await start_child(
        "the import", ["replay", "import", call_id, *where, "--json"], os.environ
    )
    async with child:
        return {"path": str(out), **await child.report(_WITHIN_S)}
