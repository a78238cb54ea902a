"""A Realtime peer that a test plays by hand: it speaks a steady tone and says who talks when."""

import asyncio
import base64
import json
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.session.peer import accept, event, serving
from tests.support.waiting import PATIENCE_S

RATE_HZ = 24_000
TONE_HZ = 1000
DELTA_MS = 100
_LATEST_PIECES = 25
_TINY_BYTES, _ROOMY_BYTES = 4096, 1 << 20


class TonePeer:
    """One session, in the dialect that the client's headers name.

    Attributes:
        sent: every client event except audio.
        session: its settings. Like the real service, it takes each key of an update for the new
            value of that key, and leaves the others as they were (`PROTOCOL.md` section 2).
        appended_ms: of caller audio; ``loud_ms``: of it, what is no silence; ``latest``: its latest
            pieces, 24 kHz.
    """

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []  # Any: what tests look at
        self.session: dict[str, Any] = {}  # Any: as above
        self.beta = False
        self.appended_ms = 0.0
        self.loud_ms = 0.0
        self.latest: deque[npt.NDArray[np.int16]] = deque(maxlen=_LATEST_PIECES)
        self.tone_ms = 8_000
        self.tone_hz: float = TONE_HZ
        self.voice: npt.NDArray[np.int16] | None = None
        """What answers are, 24 kHz, in the place of the tone."""
        self.prefix = ""
        """Of the ids, which are a session's own."""
        self.life_s: float | None = None
        self._socket: ServerConnection | None = None
        self._changed = asyncio.Event()
        self._responses = self._answered = 0

    @property
    def session_id(self) -> str:
        """Return the session's id."""
        return f"{self.prefix}sess"

    @property
    def conversation_id(self) -> str:
        """Return the id of its default conversation."""
        return f"{self.prefix}conv"

    async def serve(self, connection: ServerConnection) -> None:
        self._socket = connection
        request = connection.request
        self.beta = request is not None and "OpenAI-Beta" in request.headers
        life = {} if self.life_s is None else {"expires_at": int(time.time() + self.life_s)}
        update = await accept(connection, id=self.session_id, **life)
        self.session = update["session"]
        try:
            async for frame in connection:
                await self._on_event(json.loads(frame))
        except ConnectionClosed:
            return

    async def until_sent(
        self, kind: str, timeout_s: float = PATIENCE_S
    ) -> dict[str, Any]:  # Any: as above
        """Wait for a client event of a kind and return it."""
        async with asyncio.timeout(timeout_s):
            while True:
                for each in self.sent:
                    if each["type"] == kind:
                        return each
                self._changed.clear()
                await self._changed.wait()

    async def until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Wait for something that a client event makes true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def drop(self) -> None:
        """Cut the connection without a close."""
        assert self._socket is not None
        self._socket.transport.abort()

    def freeze(self) -> None:
        """Take nothing any more, and have the kernel take next to nothing, until :meth:`thaw`."""
        self._keep_bytes(_TINY_BYTES)
        assert self._socket is not None
        self._socket.transport.pause_reading()

    def thaw(self) -> None:
        """Take what was sent meanwhile, and all that follows."""
        self._keep_bytes(_ROOMY_BYTES)
        assert self._socket is not None
        self._socket.transport.resume_reading()

    def _keep_bytes(self, size: int) -> None:
        assert self._socket is not None
        kernel = self._socket.transport.get_extra_info("socket")
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    async def close(self, code: int, reason: str) -> None:
        """Close the connection in order."""
        assert self._socket is not None
        await self._socket.close(code, reason)

    async def heard(self) -> None:
        """Wait until the client has read the answers that were asked for, whole."""
        await self.until(lambda: self._answered == self._responses > 0)
        assert self._socket is not None
        await (await self._socket.ping())  # its pong follows on what came before it

    async def finish_response(self) -> None:
        """End the response that runs, whole."""
        response = {"id": f"{self.prefix}resp_{self._responses}", "status": "completed"}
        await self.tell("response.done", response={**response, "output": []})

    async def tell(self, kind: str, **fields: object) -> None:
        """Send a server event."""
        assert self._socket is not None
        await self._socket.send(event(kind, **fields))

    async def _on_event(self, given: dict[str, Any]) -> None:  # Any: as above
        if given["type"] == "input_audio_buffer.append":
            samples = np.frombuffer(base64.b64decode(given["audio"]), dtype="<i2")
            self.latest.append(samples)
            self.appended_ms += len(samples) / RATE_HZ * 1000
            self.loud_ms += float(np.count_nonzero(np.abs(samples) > 500)) / RATE_HZ * 1000
            self._changed.set()
            return
        self.sent.append(given)
        self._changed.set()
        if given["type"] == "session.update":
            self.take_update(given["session"])
            await self.tell("session.updated", session={"id": self.session_id, **self.session})
        elif given["type"] == "response.create":
            await self._respond()
        elif given["type"] == "response.cancel":
            await self._end_response("cancelled")

    def take_update(self, session: Mapping[str, object]) -> None:
        """Put an update's settings in force."""
        self.session.update(session)

    async def _respond(self) -> None:
        """Send a whole answer, faster than real time, as the real service does."""
        self._responses += 1
        response_id, item_id = (
            f"{self.prefix}resp_{self._responses}",
            f"{self.prefix}item_{self._responses}",
        )
        response = {
            "id": response_id,
            "status": "in_progress",
            "output": [],
            "conversation_id": self.conversation_id,
        }
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        await self.tell("response.created", response=response)
        await self.tell(
            "response.output_item.added", response_id=response_id, output_index=0, item=item
        )
        at = {"response_id": response_id, "item_id": item_id, "output_index": 0}
        time_s = np.arange(RATE_HZ * self.tone_ms // 1000) / RATE_HZ
        tone = (8000 * np.sin(2 * np.pi * self.tone_hz * time_s)).astype("<i2")
        tone = tone if self.voice is None else self.voice
        step = RATE_HZ * DELTA_MS // 1000
        for start in range(0, len(tone), step):
            delta = base64.b64encode(tone[start : start + step].tobytes()).decode()
            kind = "response.audio.delta" if self.beta else "response.output_audio.delta"
            await self.tell(kind, delta=delta, content_index=0, **at)
        self._answered += 1
        self._changed.set()

    async def _end_response(self, status: str) -> None:
        await self.tell(
            "response.done",
            response={
                "id": f"{self.prefix}resp_{self._responses}",
                "status": status,
                "status_details": {"type": status, "reason": "client_cancelled"},
                "output": [],
            },
        )


@asynccontextmanager
async def tone_peer() -> AsyncIterator[tuple[TonePeer, str]]:
    """Serve one :class:`TonePeer`; give it and its URL."""
    peer = TonePeer()
    async with serving(peer.serve) as url:
        yield peer, url
