"""`/api/v1/calls/{call_id}/recording`: a call's sound, outline and markers."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.responses import FileResponse

from bridge.console.access.audit import Entry
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.visible import visible_call
from bridge.console.call_files import peaks, read_markers
from bridge.console.services import Services, services_of
from bridge.errors import BridgeError
from bridge.recordings.files import CallFiles
from bridge.telemetry.redaction import mask_numbers

router = APIRouter(prefix="/calls/{call_id}", tags=["recordings"])

_ONE_LISTENING_MS = 600_000

Json = dict[str, Any]  # Any: JSON of markers and outlines
Player = Annotated[Principal, Depends(Allowed(Permission.RECORDING_PLAY))]
Here = Annotated[Services, Depends(services_of)]


async def _files(call_id: str, principal: Principal, services: Services) -> CallFiles:
    call = await visible_call(call_id, principal, services)
    files = CallFiles(services.sources.recordings_dir, call_id)
    if call.live:
        raise HTTPException(409, "the call goes on: its recording is still being written")
    if not files.audio.is_file():
        node = call.fields.get("node")
        where = f"; node {node} took it" if node else ""
        raise HTTPException(404, f"no recording of this call is kept here{where}")
    return files


@router.get("/recording")
async def get_recording(
    call_id: str,
    principal: Player,
    services: Here,
) -> FileResponse:
    """Return the recording: stereo WAV, left the caller, right the agent; takes Range requests.

    A player asks for many ranges: what one sign-in plays within ten minutes is one listening, and
    put down once, whichever range comes first.
    """
    files = await _files(call_id, principal, services)
    listening = f"{principal.session_id}:{call_id}"
    if not await services.once.was_used(listening):
        await services.auditor.write(Entry.by(principal, "play recording", call_id=call_id))
        await services.once.first_use(listening, _ONE_LISTENING_MS)
    return FileResponse(files.audio, media_type="audio/wav", filename=f"{call_id}.wav")


@router.get("/outline")
async def get_outline(
    call_id: str,
    principal: Player,
    services: Here,
    width: Annotated[int, Query(ge=50, le=4000)] = 1200,
) -> Json:
    """Return the loudest sample of each of ``width`` stretches of both lanes, and the markers."""
    files = await _files(call_id, principal, services)
    try:
        found = await asyncio.to_thread(peaks, files.audio, width)
    except (BridgeError, OSError) as error:
        raise HTTPException(404, f"the recording can't be read: {error}") from error
    markers = await asyncio.to_thread(read_markers, files.directory, call_id)
    shown = [
        {name: mask_numbers(v) if isinstance(v, str) else v for name, v in each.items()}
        for each in markers
    ]
    if not principal.may(Permission.TRANSCRIPT_VIEW):
        shown = [{name: v for name, v in each.items() if name != "text"} for each in shown]
    return {**found, "markers": shown}
