"""`/api/v1/calls/{call_id}/recording`, `/outline`, `/script`: a recorded call, and its script."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, HTTPException, Query
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from bridge.console.access.audit import AuditEntry
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.access.tokens import CallTokenKind, TokenRefused
from bridge.console.api.visible import CallId, visible_call
from bridge.console.call_files import peaks, read_markers
from bridge.console.other_nodes import SEALED
from bridge.console.services import ConsoleServices, Using
from bridge.errors import BridgeError, ConfigError
from bridge.processes.child import start_child
from bridge.recordings.files import CallFiles
from bridge.recordings.playback import OpenedRecording, open_encrypted, open_recording
from bridge.telemetry.redaction import mask_numbers

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/calls/{call_id}", tags=["recordings"])
script_router = APIRouter(prefix="/calls/{call_id}", tags=["scripts"])
relay_router = APIRouter(prefix="/relay/calls/{call_id}", include_in_schema=False)

_ONE_LISTENING_MS = 600_000
_IMPORT_WITHIN_S = 60.0
_FETCH_WITHIN_S = 120.0

Json = dict[str, Any]  # Any: JSON of markers and outlines
Player = Annotated[Principal, Depends(Allowed(Permission.RECORDING_PLAY))]
Width = Annotated[int, Query(ge=50, le=4000)]


async def _find(
    call_id: str, principal: Principal, services: ConsoleServices
) -> tuple[CallFiles | None, str]:
    """Return the files of a call, None where they are not kept here, and the node that took it."""
    call = await visible_call(call_id, principal, services)
    if call.live:
        raise HTTPException(409, "the call goes on: its recording is still being written")
    files = CallFiles(services.sources.recordings_dir, call_id)
    return files if files.has_audio else None, call.fields.get("node", "")


@router.get("/recording")
async def get_recording(
    call_id: str,
    principal: Player,
    services: Using,
    wanted: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:
    """Return the recording: stereo WAV, left the caller, right the agent; takes Range requests.

    One that another node has comes from there; 409 says which, where that node can't be asked, 423
    whose key opens it, where the node that has it can't.
    A player asks for many ranges: what one sign-in plays within ten minutes is one listening, and
    put down once, whichever range comes first.
    """
    files, node = await _find(call_id, principal, services)
    listening = f"{principal.session_id}:{call_id}"
    if not await services.once.was_used(listening):
        if files is None:  # what can't be had is not played
            with _opened_here(services):
                await services.nodes.check_recording(node, call_id, principal.user)
        await services.auditor.write(AuditEntry.by(principal, "play recording", call_id=call_id))
        await services.once.first_use(listening, _ONE_LISTENING_MS)
    if files is None:
        with _opened_here(services):
            return await services.nodes.recording(node, call_id, principal.user, wanted)
        return _SoundResponse(await _bring(node, call_id, principal, services), call_id)
    return await _sound(files, services)


@router.get("/outline")
async def get_outline(
    call_id: str, principal: Player, services: Using, width: Width = 1200
) -> Json:
    """Return the loudest sample of each of ``width`` stretches of both lanes, and the markers."""
    files, node = await _find(call_id, principal, services)
    if files is None:
        found = await _outline_elsewhere(node, call_id, principal, services, width)
    else:
        found = await _outline(files, services, width)
    if not principal.may(Permission.TRANSCRIPT_VIEW):
        shown = [
            {name: v for name, v in each.items() if name != "text"} for each in found["markers"]
        ]
        return {**found, "markers": shown}
    return found


@relay_router.api_route("/recording", methods=["GET", "HEAD"])
async def get_relayed_recording(call_id: CallId, services: Using, token: str = "") -> Response:
    """Serve another node, which has checked who asks, and audits it."""
    return await _sound(await _kept(call_id, token, services), services)


@relay_router.get("/sealed")
async def get_relayed_sealed(call_id: CallId, services: Using, token: str = "") -> Response:
    """Serve another node, which may have the key that this one lacks."""
    files = await _kept(call_id, token, services)
    if not files.encrypted.is_file():
        raise HTTPException(404, "no encrypted recording of this call is kept here")
    return FileResponse(files.encrypted, media_type="application/octet-stream")


@relay_router.get("/outline")
async def get_relayed_outline(
    call_id: CallId, services: Using, token: str = "", width: Width = 1200
) -> Json:
    """The same."""
    return await _outline(await _kept(call_id, token, services), services, width)


@script_router.post("/script")
async def make_script(
    call_id: str,
    principal: Annotated[Principal, Depends(Allowed(Permission.SCRIPTS_MAKE))],
    services: Using,
) -> Json:
    """Make a call script of a recorded call, for QA to edit; returns its path and notes on it.

    `bridge replay import` makes it, in a process of its own: it checks consent and retention, and
    takes out what must not be published. What it refuses is refused here, in its words.
    """
    call = await visible_call(call_id, principal, services)
    if call.live:
        raise HTTPException(409, "the call goes on")
    try:
        return await services.auditor.act(
            principal, "make script", lambda: _import(call_id, services), call_id=call_id
        )
    except BridgeError as error:
        raise HTTPException(409, str(error)) from error


async def redeem(call_id: str, token: str, services: ConsoleServices) -> None:
    """Use up the token with which another node asks for a call's files.

    Raises:
        HTTPException: 403: it is not good.
    """
    try:
        await services.tokens.redeem(token, call_id, CallTokenKind.RELAY_RECORDING)
    except TokenRefused as error:
        log.warning("relay_refused", kind="recording", reason=str(error))
        raise HTTPException(403, "the token is not good") from error


async def _kept(call_id: str, token: str, services: ConsoleServices) -> CallFiles:
    await redeem(call_id, token, services)
    files = CallFiles(services.sources.recordings_dir, call_id)
    if not files.has_audio:
        raise HTTPException(404, "no recording of this call is kept here")
    return files


class _SoundResponse(FileResponse):
    """A recording, which is closed whatever becomes of the browser; it takes Range requests."""

    def __init__(self, opened: OpenedRecording, call_id: str) -> None:
        super().__init__(opened.path, media_type="audio/wav", filename=f"{call_id}.wav")
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._opened.close()


async def _sound(files: CallFiles, services: ConsoleServices) -> Response:
    return _SoundResponse(await _open(files, services), files.call_id)


async def _open(files: CallFiles, services: ConsoleServices) -> OpenedRecording:
    """Open a recording, fetched and decrypted where that is needed and can be done here."""
    if files.is_remote:
        await _fetch(files, services)
    keys = services.sources.recordings.identities_file
    return await _in_thread(files.call_id, lambda: open_recording(files, keys))


async def _fetch(files: CallFiles, services: ConsoleServices) -> None:
    """Bring a shipped recording back to this disk, by a process of its own.

    Raises:
        HTTPException: 503: it can't be had now.
    """
    arguments = ("recordings", "fetch", files.call_id, "--directory", str(files.directory))
    environ = {**os.environ, "BRIDGE_CONFIG": "", **services.sources.recordings.environ}
    try:
        async with await start_child("the fetching", arguments, environ) as child:
            await child.report(_FETCH_WITHIN_S)
    except BridgeError as error:
        log.warning("recording_not_fetched", call_id=files.call_id, error=str(error))
        raise HTTPException(503, f"the recording can't be fetched: {error}") from error


async def _bring(
    node: str, call_id: str, principal: Principal, services: ConsoleServices
) -> OpenedRecording:
    """Fetch a recording that its own node can't open, and open it here."""
    content, written_s = await services.nodes.sealed(node, call_id, principal.user)
    keys = services.sources.recordings.identities_file

    def open_it() -> OpenedRecording:
        with open(os.memfd_create("encrypted"), "wb") as encrypted:
            encrypted.write(content)
            encrypted.flush()
            os.utime(encrypted.fileno(), (written_s, written_s))
            path = Path(f"/proc/self/fd/{encrypted.fileno()}")
            return open_encrypted(path, f"{call_id} is encrypted", keys)

    return await _in_thread(call_id, open_it)


async def _in_thread(call_id: str, open_it: Callable[[], OpenedRecording]) -> OpenedRecording:
    """Open a recording in a thread.

    Raises:
        HTTPException: 423: nothing here opens it; 404: it is damaged, or gone.
    """
    try:
        return await asyncio.to_thread(open_it)
    except ConfigError as error:
        log.warning("recording_not_opened", call_id=call_id, error=str(error))
        raise HTTPException(SEALED, str(error)) from error
    except (BridgeError, OSError) as error:
        raise HTTPException(404, f"the recording can't be read: {error}") from error


@contextmanager
def _opened_here(services: ConsoleServices) -> Iterator[None]:
    """Go on behind the block where another node can't open its recording, and this one may."""
    try:
        yield
    except HTTPException as error:
        if error.status_code != SEALED or services.sources.recordings.identities_file is None:
            raise


async def _outline_elsewhere(
    node: str, call_id: str, principal: Principal, services: ConsoleServices, width: int
) -> Json:
    with _opened_here(services):
        return await services.nodes.outline(node, call_id, principal.user, width)
    opened = await _bring(node, call_id, principal, services)
    return {**await _peaks(opened, width), "markers": []}


async def _outline(files: CallFiles, services: ConsoleServices, width: int) -> Json:
    found = await _peaks(await _open(files, services), width)
    markers = await asyncio.to_thread(read_markers, files.directory, files.call_id)
    shown = [
        {name: mask_numbers(v) if isinstance(v, str) else v for name, v in each.items()}
        for each in markers
    ]
    return {**found, "markers": shown}


async def _peaks(opened: OpenedRecording, width: int) -> Json:
    try:
        return await asyncio.to_thread(peaks, opened.path, width)
    except (BridgeError, OSError) as error:
        raise HTTPException(404, f"the recording can't be read: {error}") from error
    finally:
        opened.close()


async def _import(call_id: str, services: ConsoleServices) -> Json:
    sources = services.sources
    sources.scripts_dir.mkdir(parents=True, exist_ok=True)
    out = sources.scripts_dir / f"{call_id}.yaml"
    where = ("--directory", str(sources.recordings_dir), "--out", str(out))
    files = CallFiles(sources.recordings_dir, call_id)
    if files.is_remote:
        await _fetch(files, services)
    environ = {**os.environ, **sources.recordings.environ}
    child = await start_child(
        "the import", ["replay", "import", call_id, *where, "--json"], environ
    )
    async with child:
        return {"path": str(out), **await child.report(_IMPORT_WITHIN_S)}
