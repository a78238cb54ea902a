"""A scripted Realtime server on a real WebSocket, and the bridge's side of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from bridge.clock import Clock, SystemClock
from bridge.config.settings import SessionSettings
from bridge.errors import ProtocolError, UpstreamError
from bridge.realtime.events import ServerEvent
from bridge.realtime.ga import GaDialect
from bridge.session.access import Access
from bridge.session.realtime import Endpoint, RealtimeSession
from tests.support.waiting import PATIENCE_S

Script = Callable[[ServerConnection], Awaitable[None]]

KEY = "sk-test-0123456789"
_numbers = count(1)
QUICK = SessionSettings(open_timeout_s=2.0, close_timeout_s=1.0)
SOON_S = PATIENCE_S
"""How long a test waits for what should come at once."""


def event(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, "event_id": f"event_{next(_numbers)}", **fields})


def session_event(kind: str, **session: object) -> str:
    known = {"id": "sess_1", "model": "gpt-realtime-2.1", "type": "realtime"}
    return event(kind, session=known | session)


def error_event(code: str, **fields: object) -> str:
    error = {"type": "invalid_request_error", "code": code, "message": f"no: {KEY}", "param": None}
    return event("error", error=error | fields)


async def receive(socket: ServerConnection) -> dict[str, Any]:  # Any: what a test looks at
    frame = await asyncio.wait_for(socket.recv(), SOON_S)
    assert isinstance(frame, str)
    value: dict[str, Any] = json.loads(frame)  # Any: as above
    return value


async def accept(
    socket: ServerConnection, **session: object
) -> dict[str, Any]:  # Any: as in receive()
    """Open a session as a server should; return the session.update."""
    await socket.send(session_event("session.created", **session))
    update = await receive(socket)
    await socket.send(session_event("session.updated", **session))
    return update


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a server whose every connection follows ``script``; give its URL.

    The first exception of a script fails the test at the end.
    """
    failures: list[BaseException] = []

    async def handle(socket: ServerConnection) -> None:
        try:
            await script(socket)
        except Exception as error:  # noqa: BLE001 - raised in the test below
            failures.append(error)

    async with serve(handle, "127.0.0.1", 0, close_timeout=1, ssl=tls) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{port}/v1/realtime"
    if failures:
        raise failures[0]


class Heard:
    """What the session told its owner."""

    def __init__(self) -> None:
        self.events: list[tuple[ServerEvent, int]] = []
        self.closed: list[UpstreamError | None] = []
        self.protocol_errors: list[ProtocolError] = []
        self.audio_sent: list[tuple[int, int]] = []
        self._changed = asyncio.Event()

    def on_event(self, event: ServerEvent, received_ns: int) -> None:
        self.events.append((event, received_ns))
        self._changed.set()

    def on_closed(self, error: UpstreamError | None) -> None:
        self.closed.append(error)
        self._changed.set()

    def on_protocol_error(self, error: ProtocolError) -> None:
        self.protocol_errors.append(error)
        self._changed.set()

    def on_audio_sent(self, sequence: int, sent_ns: int) -> None:
        self.audio_sent.append((sequence, sent_ns))
        self._changed.set()

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event, _ in self.events]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def make_session(
    url: str,
    heard: Heard,
    settings: SessionSettings = QUICK,
    *,
    clock: Clock | None = None,
    key: str | None = KEY,
    access: Access | None = None,
) -> RealtimeSession:
    return RealtimeSession(
        Endpoint(url, "gpt-realtime-2.1", access or Access(key)),
        GaDialect(),
        settings,
        clock=clock or SystemClock(),
        on_event=heard.on_event,
        on_closed=heard.on_closed,
        on_protocol_error=heard.on_protocol_error,
        on_audio_sent=heard.on_audio_sent,
    )
