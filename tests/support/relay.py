"""A WebSocket relay in front of a Realtime server: sees what is said, and can cut it off."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_LARGEST_FRAME_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Appended:
    """Caller audio that the gateway sent: 24 kHz PCM, and when it came (monotonic ns)."""

    arrived_ns: int
    audio: bytes

    @property
    def loud(self) -> bool:
        """Whether it holds more than the noise of a codec."""
        return int(np.abs(np.frombuffer(self.audio, dtype="<i2")).max()) > 500


class Relay:
    """Passes frames both ways.

    Attributes:
        close_codes: how the gateway ended each session that is over (RFC 6455 section 7.4).
        bearers: what the gateway authenticated with.
        sent: the gateway's events, as JSON, but for its audio; ``received``: the server's.
        appended: the gateway's audio.
    """

    def __init__(self, target: str) -> None:
        self.close_codes: list[int | None] = []
        self.sessions: set[ServerConnection] = set()
        self.bearers: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.appended: list[Appended] = []
        self._target = target.removesuffix("/v1/realtime")

    def cut(self) -> None:
        """Break every connection without a word, as a network does."""
        for session in self.sessions:
            session.transport.abort()

    def freeze(self) -> None:
        """Take nothing any more, not even a close: an endpoint that hangs."""
        for session in self.sessions:
            session.transport.pause_reading()

    async def serve(self, session: ServerConnection) -> None:
        """Relay one session to its end."""
        request = session.request
        assert request is not None
        headers = {
            name: request.headers[name]
            for name in ("Authorization", "OpenAI-Beta")
            if name in request.headers
        }
        self.bearers.append(headers["Authorization"].removeprefix("Bearer "))
        self.sessions.add(session)
        async with connect(
            self._target + request.path, additional_headers=headers, max_size=_LARGEST_FRAME_BYTES
        ) as upstream:
            down = asyncio.create_task(
                _pass_on(upstream, session, self.received.append), name="relay down"
            )
            await _pass_on(session, upstream, self._see_sent)
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)
        self.sessions.discard(session)
        self.close_codes.append(session.close_code)

    def _see_sent(self, event: dict[str, Any]) -> None:
        if event["type"] == "input_audio_buffer.append":
            audio = base64.b64decode(event["audio"])
            self.appended.append(Appended(time.monotonic_ns(), audio))
        else:
            self.sent.append(event)


async def _pass_on(
    source: ServerConnection | ClientConnection,
    sink: ServerConnection | ClientConnection,
    see: Callable[[dict[str, Any]], None],
) -> None:
    try:
        async for frame in source:
            await sink.send(frame)
            event = json.loads(frame)
            if not event["type"].endswith("audio.delta"):
                see(event)
    except ConnectionClosed:
        return


@asynccontextmanager
async def relaying(target: str, port: int = 0) -> AsyncIterator[tuple[Relay, str]]:
    """Serve a relay, at a free port unless told which; give it and its URL."""
    relay = Relay(target)
    async with serve(
        relay.serve, "127.0.0.1", port, compression=None, max_size=_LARGEST_FRAME_BYTES
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield relay, f"ws://127.0.0.1:{port}/v1/realtime"
        relay.cut()  # a frozen session would not take our close


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Accept connections and never say a word; give the URL, and an event: somebody came."""
    connected = asyncio.Event()

    taken: list[asyncio.StreamWriter] = []

    def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        connected.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime", connected
    for writer in taken:
        writer.close()
        with suppress(OSError):  # the other side may have gone first
            await writer.wait_closed()
