"""A Realtime peer that a test plays by hand: it speaks a steady tone and says who talks when."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.session.peer import accept, event, serving

RATE_HZ = 24_000
TONE_HZ = 1000
DELTA_MS = 100


class TonePeer:
    """One session. ``sent`` holds every client event except audio, ``appended_ms`` the audio."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []  # Any: what tests look at
        self.appended_ms = 0.0
        self.tone_ms = 8_000
        self._socket: ServerConnection | None = None
        self._changed = asyncio.Event()
        self._responses = 0

    async def serve(self, socket: ServerConnection) -> None:
        self._socket = socket
        await accept(socket)
        try:
            async for frame in socket:
                await self._on_event(json.loads(frame))
        except ConnectionClosed:
            return

    async def until_sent(
        self, kind: str, timeout_s: float = 10.0
    ) -> dict[str, Any]:  # Any: as above
        """Wait for a client event of a kind and return it."""
        async with asyncio.timeout(timeout_s):
            while True:
                for each in self.sent:
                    if each["type"] == kind:
                        return each
                self._changed.clear()
                await self._changed.wait()

    async def tell(self, kind: str, **fields: object) -> None:
        """Send a server event."""
        assert self._socket is not None
        await self._socket.send(event(kind, **fields))

    async def _on_event(self, given: dict[str, Any]) -> None:  # Any: as above
        if given["type"] == "input_audio_buffer.append":
            self.appended_ms += len(base64.b64decode(given["audio"])) / 2 / RATE_HZ * 1000
            return
        self.sent.append(given)
        self._changed.set()
        if given["type"] == "response.create":
            await self._respond()
        elif given["type"] == "response.cancel":
            await self._end_response("cancelled")

    async def _respond(self) -> None:
        """Send a whole answer, faster than real time, as the real service does."""
        self._responses += 1
        response_id, item_id = f"resp_{self._responses}", f"item_{self._responses}"
        response = {"id": response_id, "status": "in_progress", "output": []}
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        await self.tell("response.created", response=response)
        await self.tell(
            "response.output_item.added", response_id=response_id, output_index=0, item=item
        )
        at = {"response_id": response_id, "item_id": item_id, "output_index": 0}
        time_s = np.arange(RATE_HZ * self.tone_ms // 1000) / RATE_HZ
        tone = (8000 * np.sin(2 * np.pi * TONE_HZ * time_s)).astype("<i2")
        step = RATE_HZ * DELTA_MS // 1000
        for start in range(0, len(tone), step):
            delta = base64.b64encode(tone[start : start + step].tobytes()).decode()
            await self.tell("response.output_audio.delta", delta=delta, content_index=0, **at)

    async def _end_response(self, status: str) -> None:
        await self.tell(
            "response.done",
            response={
                "id": f"resp_{self._responses}",
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
