"""`/api/v1/calls/{call_id}/audio`: a supervisor hears a live call, or is heard in it.

    POST audio-token {kind}   -> a token: 30 s, one use, for this user, call and kind
    WebSocket audio?kind&token   binary frames (:mod:`bridge.audio.supervisor_frames`)

Where the call is on another node the WebSocket is passed on to that node
(:mod:`bridge.console.other_nodes`).
"""

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Depends, HTTPException, WebSocket
from pydantic import BaseModel
from starlette.requests import HTTPConnection, Request

from bridge.console.access.door import Allowed, AllowedOrHolding
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.access.tokens import CallTokenKind, TokenRefused
from bridge.console.api.visible import CallId, find_live_call
from bridge.console.call_audio import CALL_OVER_CODE, SupervisorAudio, serve_listener, serve_talker
from bridge.console.other_nodes import UNREACHABLE_CODE, relay
from bridge.console.services import ConsoleServices, Using

log = structlog.get_logger(__name__)

router = APIRouter(tags=["audio"])

REFUSED_CODE = 4403
"""WebSocket close code: the token is not good, or the call is none of the asker's."""


_HOLD_KNOWN_S = (0.02, 0.08, 0.2, 0.7)
"""Who has a caller is in Redis a moment after the node has said so."""


class AudioKind(enum.StrEnum):
    """The ways in which a supervisor takes part in a call's audio."""

    LISTEN = "listen"
    LISTEN_PRIVATE = "listen_private"
    """No other supervisor sees it."""
    TALK = "talk"


PERMISSIONS: Mapping[AudioKind, Permission] = MappingProxyType(
    {
        AudioKind.LISTEN: Permission.MONITOR,
        AudioKind.LISTEN_PRIVATE: Permission.MONITOR_PRIVATE,
        AudioKind.TALK: Permission.BARGE,
    }
)
_RELAYED: Mapping[AudioKind, CallTokenKind] = MappingProxyType(
    {
        AudioKind.LISTEN: CallTokenKind.RELAY_LISTEN,
        AudioKind.LISTEN_PRIVATE: CallTokenKind.RELAY_LISTEN_PRIVATE,
        AudioKind.TALK: CallTokenKind.RELAY_TALK,
    }
)


class TokenWish(BaseModel):
    """The kind of audio that a token is wanted for."""

    kind: AudioKind


class AudioToken(BaseModel):
    """A token, and the WebSocket's address with it; ``expires_at`` in ms since the Unix epoch."""

    token: str
    url: str
    expires_at: int


def door_of(kind: AudioKind, waits_s: Sequence[float] = ()) -> Allowed:
    """Return who may do that; to have a caller is no reason to hide from others."""
    if kind is AudioKind.LISTEN_PRIVATE:
        return Allowed(PERMISSIONS[kind])
    return AllowedOrHolding(PERMISSIONS[kind], waits_s)


async def allowed_kind(connection: HTTPConnection, kind: AudioKind) -> Principal:
    """Return who asks, if he may do that (a FastAPI dependency).

    Raises:
        HTTPException: 401 or 403.
    """
    return await door_of(kind)(connection)


@router.post("/calls/{call_id}/audio-token")
async def make_audio_token(
    call_id: CallId,
    wish: TokenWish,
    request: Request,
    principal: Annotated[Principal, Depends(Allowed(None))],
    services: Using,
) -> AudioToken:
    """Make a token for the WebSocket: it is good once, for 30 s.

    Who has accepted a caller out of the queue needs no right to listen to others: for as long as
    they have this caller they hear them, and are heard. ``listen_private`` is ``listen`` of which
    other supervisors see neither name nor number; the audit has it.
    """
    if not await door_of(wish.kind, _HOLD_KNOWN_S).allows(principal, request):
        needed = PERMISSIONS[wish.kind]
        raise HTTPException(403, f"your roles don't allow this: it needs {needed}")
    await find_live_call(services, principal, call_id)
    token, claims = await services.tokens.issue(principal.user, call_id, wish.kind.value)
    query = urlencode({"kind": wish.kind.value, "token": token})
    url = f"/api/v1/calls/{call_id}/audio?{query}"
    return AudioToken(token=token, url=url, expires_at=claims.expires_ms)


@router.websocket("/calls/{call_id}/audio")
async def open_audio(
    socket: WebSocket,
    call_id: CallId,
    kind: AudioKind,
    token: str,
    principal: Annotated[Principal, Depends(allowed_kind)],
    services: Using,
) -> None:
    """Hear a call, or be heard in it, until one side goes; both are audited."""
    try:
        await services.tokens.redeem(token, call_id, kind.value, user=principal.user)
        call = await find_live_call(services, principal, call_id)
    except (TokenRefused, HTTPException) as error:
        log.warning("audio_refused", kind=kind.value, reason=str(error))
        await socket.close(REFUSED_CODE)
        return
    private = kind is AudioKind.LISTEN_PRIVATE
    await services.auditor.act(
        principal,
        AudioKind.LISTEN.value if private else kind.value,
        lambda: _serve(services, socket, call, call_id, kind, principal.user),
        result_of=lambda frames: f"over, {frames} frames",
        call_id=call_id,
        params={"private": True} if private else {},
    )


@router.websocket("/relay/calls/{call_id}/audio")
async def open_relayed_audio(
    socket: WebSocket,
    call_id: CallId,
    kind: AudioKind,
    token: str,
    services: Using,
) -> None:
    """Serve another node, which has checked who asks, and audits it."""
    try:
        claims = await services.tokens.redeem(token, call_id, _RELAYED[kind])
    except TokenRefused as error:
        log.warning("relay_refused", kind=kind.value, reason=str(error))
        await socket.close(REFUSED_CODE)
        return
    audio = services.local.audio_of(call_id)
    await socket.accept()
    await _serve_here(socket, audio, kind, claims.user)


async def _serve(
    services: ConsoleServices,
    socket: WebSocket,
    call: Mapping[str, str],
    call_id: str,
    kind: AudioKind,
    user: str,
) -> int:
    audio = services.local.audio_of(call_id)
    await socket.accept()
    if audio is not None:
        return await _serve_here(socket, audio, kind, user)
    node = await services.calls.node(call.get("node", "")) or {}
    if not node.get("http"):
        await socket.close(UNREACHABLE_CODE)
        return 0
    token, _ = await services.tokens.issue(user, call_id, _RELAYED[kind])
    return await relay(socket, node["http"], call_id, kind.value, token, services.nodes.trust)


async def _serve_here(
    socket: WebSocket, audio: SupervisorAudio | None, kind: AudioKind, user: str
) -> int:
    if audio is None:
        await socket.close(CALL_OVER_CODE)
        return 0
    serve: Mapping[AudioKind, Callable[[], Awaitable[int]]] = {
        AudioKind.LISTEN: lambda: serve_listener(socket, audio, user),
        AudioKind.LISTEN_PRIVATE: lambda: serve_listener(socket, audio, user, private=True),
        AudioKind.TALK: lambda: serve_talker(socket, audio, user),
    }
    return await serve[kind]()
