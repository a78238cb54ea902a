"""`/api/v1/replays`: results of `bridge replay`."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.replays import list_replays, read_replay
from bridge.console.services import Services, services_of

router = APIRouter(prefix="/replays", tags=["replays"])

Json = dict[str, Any]  # Any: JSON of results
Viewer = Annotated[Principal, Depends(Allowed(Permission.REPLAYS_VIEW))]
Here = Annotated[Services, Depends(services_of)]


@router.get("")
async def get_replays(_: Viewer, services: Here) -> Json:
    """Return what each run of the command found, the latest first."""
    return {"replays": await asyncio.to_thread(list_replays, services.sources.replays_dir)}


@router.get("/{name}")
async def get_replay(name: str, _: Viewer, services: Here) -> Json:
    """Return one run of the command: its table, and what its failed runs broke."""
    found = await asyncio.to_thread(read_replay, services.sources.replays_dir, name)
    if found is None:
        raise HTTPException(404, "no such results")
    return found
