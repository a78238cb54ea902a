"""A Realtime service of either dialect that misbehaves as a test orders; it knows no product code.

Every session is confirmed as it was asked for, and every ``response.create`` gets a tone, until a
test replaces :attr:`OddService.door`, ``confirm`` or ``answers``.
"""

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

RATE_HZ = 24_000
DELTA_BYTES = 4_800
DIALECTS = ("ga", "beta")

_DELTA = {"ga": "response.output_audio.delta", "beta": "response.audio.delta"}

Json = dict[str, Any]  # Any: wire objects, which tests look at


def tone(ms: int, hz: float = 1_000) -> bytes:
    """Return a tone, 24 kHz 16-bit PCM."""
    time_s = np.arange(RATE_HZ * ms // 1000) / RATE_HZ
    return (8_000 * np.sin(2 * np.pi * hz * time_s)).astype("<i2").tobytes()


def deltas(audio: bytes, size: int = DELTA_BYTES) -> list[str]:
    """Return audio as base64, so many bytes in each piece."""
    pieces = [audio[start : start + size] for start in range(0, len(audio), size)]
    return [base64.b64encode(piece).decode() for piece in pieces]


@dataclass(frozen=True)
class Answer:
    """One response: its deltas as they go over the wire, how it ends, its output items."""

    deltas: list[str] = field(default_factory=lambda: deltas(tone(600)))
    status: str = "completed"
    details: Json | None = None
    output: list[Json] = field(default_factory=list)


@dataclass(frozen=True)
class Visit:
    """One handshake as it came."""

    model: str
    bearer: str
    at_ns: int


SlowDoor = Callable[[ServerConnection, Visit], Awaitable[Response | None]]


class OddService:
    """The service.

    Attributes:
        visits: all handshakes.
        updates: the first update of each session.
        asked: the overrides of each response that was asked for.
        answers: what the next of those get.
        door: refuses a handshake, or gives None; ``slow_door``: in its own time.
        confirm: what ``session.updated`` says, from what was asked.
    """

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.visits: list[Visit] = []
        self.updates: list[Json] = []
        self.asked: list[Json] = []
        self.answers: deque[Answer] = deque()
        self.door: Callable[[ServerConnection, Visit], Response | None] = lambda _peer, _visit: None
        self.slow_door: SlowDoor | None = None
        self.confirm: Callable[[Json, Visit], Json] = lambda asked, _visit: asked
        self._ids = count(1)
        self._server: Server | None = None
        self._port = 0
        self._of_peer: dict[ServerConnection, Visit] = {}

    @property
    def requests(self) -> int:
        """Responses that were asked for."""
        return len(self.asked)

    @property
    def url(self) -> str:
        """Where it listens, also while it is away."""
        return f"ws://127.0.0.1:{self._port}/v1/realtime"

    async def come(self) -> None:
        """Listen, on the same port as before."""
        self._server = await serve(
            self._talk, "127.0.0.1", self._port, process_request=self._look, close_timeout=1
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def leave(self) -> None:
        """Drop every connection and refuse new ones, as a process that has died does."""
        if self._server is not None:
            for peer in self._server.connections:
                peer.transport.abort()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def drop(self) -> None:
        """Drop every connection, and go on to listen."""
        if self._server is not None:
            for peer in self._server.connections:
                peer.transport.abort()

    async def _look(self, peer: ServerConnection, request: Request) -> Response | None:
        if "/realtime" not in request.path:
            return None  # the list of models, which it does not have
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        visit = Visit(request.path.partition("model=")[2], bearer, time.monotonic_ns())
        self.visits.append(visit)
        self._of_peer[peer] = visit
        if self.slow_door is not None:
            return await self.slow_door(peer, visit)
        return self.door(peer, visit)

    async def _talk(self, peer: ServerConnection) -> None:
        visit = self._of_peer.pop(peer)
        me = {"id": f"sess_{next(self._ids)}", "model": visit.model}
        try:
            await self._say(peer, "session.created", session=me)
            update = json.loads(await peer.recv())
            self.updates.append(update["session"])
            session = self.confirm(me | update["session"], visit)
            await self._say(peer, "session.updated", session=session)
            async for frame in peer:
                event = json.loads(frame)
                if event["type"] == "response.create":
                    self.asked.append(event.get("response", {}))
                    answer = self.answers.popleft() if self.answers else Answer()
                    await self._answer(peer, answer)
        except ConnectionClosed:
            return

    async def _answer(self, peer: ServerConnection, answer: Answer) -> None:
        number = next(self._ids)
        response = {"id": f"resp_{number}", "status": "in_progress", "output": []}
        await self._say(peer, "response.created", response=response)
        item = {"id": f"item_{number}", "type": "message", "role": "assistant", "content": []}
        at = {"response_id": response["id"], "output_index": 0}
        if answer.deltas:
            await self._say(peer, "response.output_item.added", item=item, **at)
        for delta in answer.deltas:
            part = {"item_id": item["id"], "content_index": 0, "delta": delta}
            await self._say(peer, _DELTA[self.dialect], **at, **part)
        for each in answer.output:
            await self._say(peer, "response.output_item.done", item=each, **at)
        over = {"status": answer.status, "status_details": answer.details, "output": answer.output}
        await self._say(peer, "response.done", response=response | over)

    async def _say(self, peer: ServerConnection, kind: str, **fields: object) -> None:
        await peer.send(json.dumps({"type": kind, "event_id": f"ev_{next(self._ids)}", **fields}))


@asynccontextmanager
async def odd_service(dialect: str) -> AsyncIterator[OddService]:
    """Serve until the block's end."""
    service = OddService(dialect)
    await service.come()
    try:
        yield service
    finally:
        await service.leave()


async def no_sooner(moment_ns: int) -> None:
    """Wait until a moment of the monotonic clock."""
    await asyncio.sleep(max(moment_ns - time.monotonic_ns(), 0) / 1e9)
