"""Answers that don't end by themselves: Server-Sent Events and WebSockets.

A user has a share of them, so that one page gone wild, or one viewer's password in wrong hands,
leaves connections to everybody else. They end when the server closes, and with the sign-in they
were opened with, or the role that allowed them: at once where that was changed at this node, else
within :data:`CHECK_S`. A page that holds a stream uses its session.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.console.access.principal import Principal
from bridge.errors import InfrastructureError

log = structlog.get_logger(__name__)

CHECK_S = 2.0
SIGNED_OUT_CODE = 4401
"""WebSocket close code: the session is over (4000-4999 are for applications, RFC 6455 7.4.2)."""

GOING_AWAY_CODE = 1001

MOST_OF_ONE_USER = 32
"""A page holds two or three; nobody works with ten pages."""

_RETRY_S = b"10"

StillAllowed = Callable[[Scope], Awaitable[bool]]
"""Returns whether the request of this scope would be let in now."""


@dataclass(slots=True, eq=False)
class _Stream:
    scope: Scope
    task: asyncio.Task[object]
    close_code: int | None = None

    def cut(self, close_code: int) -> None:
        if self.close_code is None:
            self.close_code = close_code
            self.task.cancel()


class _TooManyError(Exception):
    """A user has as many streams as one may have."""


class Streams:
    """All streams of one server.

    Args:
        still_allowed: asked about each of them from time to time.
    """

    def __init__(self, still_allowed: StillAllowed) -> None:
        self._still_allowed = still_allowed
        self._streams: set[_Stream] = set()
        self._checking: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._streams)

    def open(self) -> None:
        """Begin to look after them."""
        self._checking = asyncio.create_task(self._keep_checking(), name="streams")

    async def aclose(self) -> None:
        """End them all; safe to call twice, or before :meth:`open`."""
        self._closed = True
        checking, self._checking = self._checking, None
        if checking is not None:
            checking.cancel()
            await asyncio.gather(checking, return_exceptions=True)
        for stream in list(self._streams):
            stream.cut(GOING_AWAY_CODE)

    async def check(self) -> None:
        """End those that are not allowed any more."""
        for stream in list(self._streams):
            try:
                allowed = await self._still_allowed(stream.scope)
            except InfrastructureError:
                return  # Redis is away: nobody can say, so what goes on goes on
            if not allowed:
                stream.cut(SIGNED_OUT_CODE)

    def _has_too_many(self, scope: Scope) -> bool:
        user = _user_of(scope)
        own = sum(_user_of(each.scope) == user for each in self._streams)
        return bool(user) and own >= MOST_OF_ONE_USER

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                await self.check()
            except Exception:
                log.exception("streams_not_checked")

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request, and keep it in mind from the moment that it streams."""
        task = asyncio.current_task()
        assert task is not None  # a request is a task of uvicorn's
        stream = _Stream(scope, task)

        async def note(message: Message) -> None:
            opens = _opens_stream(message)
            if opens and self._has_too_many(scope):
                await _refuse(scope, send)
                raise _TooManyError
            await send(message)
            if opens:
                self._streams.add(stream)
                if self._closed:
                    stream.cut(GOING_AWAY_CODE)

        try:
            await app(scope, receive, note)
        except _TooManyError:
            log.warning("stream_refused", reason="too many of one user", most=MOST_OF_ONE_USER)
        except asyncio.CancelledError:
            if stream.close_code is None:
                raise
            task.uncancel()
            await _say_the_end(scope, send, stream.close_code)
        finally:
            self._streams.discard(stream)


async def check_streams(connection: HTTPConnection) -> AsyncIterator[None]:
    """Look at all streams after a request that changes what somebody may (a FastAPI dependency)."""
    yield
    streams: Streams = connection.app.state.streams
    await streams.check()


class StreamsMiddleware:
    """Lets :class:`Streams` know of every request."""

    def __init__(self, app: ASGIApp, streams: Streams) -> None:
        self._app = app
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._streams.run(self._app, scope, receive, send)


def _opens_stream(message: Message) -> bool:
    if message["type"] == "websocket.accept":
        return True
    return message["type"] == "http.response.start" and any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message["headers"]
    )


def _user_of(scope: Scope) -> str:
    """Return whose request it is, "" for nobody's."""
    _, principal = scope.get("bridge.allowed", (None, None))
    return principal.user if isinstance(principal, Principal) else ""


async def _refuse(scope: Scope, send: Send) -> None:
    """Answer 429 in the place of a stream; a WebSocket's handshake gets 403, as ASGI has it."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": GOING_AWAY_CODE})
        return
    body = b'{"detail": "you have too many pages open: close some"}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", _RETRY_S),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _say_the_end(scope: Scope, send: Send, close_code: int) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": close_code})
    else:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
