"""A Realtime service that a test plays by hand: one :class:`TonePeer` a connection, and a door."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import numpy as np
import numpy.typing as npt
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.live.peer import TONE_HZ, TonePeer
from tests.support.waiting import PATIENCE_S

Refusal = HTTPStatus | float
"""How the door treats a connection: an HTTP status, or seconds to let it wait."""


class Service:
    """Sessions in the order of their connections.

    Attributes:
        tone_ms: what an answer of the next sessions holds; ``tone_hz``: at which pitch.
        voice: what answers are in the place of a tone, 24 kHz.
        life_s: of the next session; None tells no end.
        refusals: for the next connections, first to last.
        refuse_all: for all connections from here on.
        bearers: those of all connections, refused ones among them.
    """

    def __init__(self) -> None:
        self.tone_ms = 8_000
        self.tone_hz: float = TONE_HZ
        self.voice: npt.NDArray[np.int16] | None = None
        self.life_s: float | None = None
        self.refusals: deque[Refusal] = deque()
        self.refuse_all: HTTPStatus | None = None
        self.bearers: list[str] = []
        self.sessions: list[TonePeer] = []
        self._changed = asyncio.Event()

    async def session(self, number: int) -> TonePeer:
        """Wait for the nth session, from 1, to be set up."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.sessions) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.sessions[number - 1]

    async def look(self, peer: ServerConnection, request: Request) -> Response | None:
        """Let a connection in, or not."""
        self.bearers.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
        refusal = self.refusals.popleft() if self.refusals else self.refuse_all
        match refusal:
            case HTTPStatus():
                return peer.respond(refusal, "no\n")
            case None:
                return None
            case seconds:
                await asyncio.sleep(seconds)
                return None

    async def serve(self, socket: ServerConnection) -> None:
        """Play one session."""
        peer = TonePeer()
        peer.prefix, peer.tone_ms = f"s{len(self.sessions) + 1}_", self.tone_ms
        peer.tone_hz, peer.voice = self.tone_hz, self.voice
        peer.life_s, self.life_s = self.life_s, None
        self.sessions.append(peer)
        self._changed.set()
        await peer.serve(socket)


@asynccontextmanager
async def tone_service() -> AsyncIterator[tuple[Service, str]]:
    """Serve sessions; give the service and its URL."""
    service = Service()
    async with serve(
        service.serve, "127.0.0.1", 0, process_request=service.look, close_timeout=1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield service, f"ws://127.0.0.1:{port}/v1/realtime"
