"""A raw client of GPT-Live: it knows JSON and base64, and nothing of the bridge's adapters."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.simulator.client import KEY, Event, EventSocket

MODEL = "gpt-live-1"
RATE_HZ = 24_000
APPEND_MS = 50
AUDIO = "session.output_audio.delta"
INVOICE_TOOL = {"type": "function", "name": "lookup_invoice", "parameters": {"type": "object"}}
BACKEND = {"type": "responses", "responses": {"model": "gpt-6-sol", "tools": [INVOICE_TOOL]}}


class LiveClient(EventSocket):
    """A connection to GPT-Live."""

    async def begin(self, **session: object) -> Event:
        """Start the session and return what came of it."""
        await self.send("session.start", session={"model": MODEL, **session})
        return await self.until(lambda event: event["type"] in ("session.started", "error"))

    async def send_bytes(self, audio: bytes, piece_bytes: int) -> None:
        for start in range(0, len(audio), piece_bytes):
            piece = base64.b64encode(audio[start : start + piece_bytes]).decode()
            await self.send("session.input_audio.append", audio=piece)

    async def send_audio(self, samples: NDArray[np.int16]) -> None:
        """Append 24 kHz samples in pieces of 50 ms, as fast as they go."""
        await self.send_bytes(samples.astype("<i2").tobytes(), RATE_HZ * APPEND_MS // 1000 * 2)

    async def be_silent(self, ms: int) -> None:
        await self.send_audio(np.zeros(RATE_HZ * ms // 1000, np.int16))

    async def until_silently(self, wanted: str | Callable[[Event], bool]) -> Event:
        """Do the same with the microphone open: the timeline goes on, twenty times too fast."""

        async def stream() -> None:
            while True:
                await self.be_silent(100)
                await asyncio.sleep(0.005)

        streaming = asyncio.create_task(stream(), name="open microphone")
        try:
            return await self.until(wanted)
        finally:
            streaming.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await streaming

    def nested(self) -> list[Event]:
        """Return the backend's events."""
        return [event["event"] for event in self.of_type("response.event")]

    def said(self) -> str:
        return self.transcript("output")

    def transcript(self, side: str) -> str:
        return "".join(each["delta"] for each in self.of_type(f"session.{side}_transcript.delta"))

    def audio(self) -> bytes:
        """Return all of the agent's track."""
        return b"".join(base64.b64decode(each["delta"]) for each in self.of_type(AUDIO))


def says(text: str) -> Callable[[Event], bool]:
    """Return whether an event is the agent's words with this in them."""
    return lambda event: (
        event["type"] == "session.output_transcript.delta" and text in event["delta"]
    )


@asynccontextmanager
async def live(
    url: str, *, key: str | None = KEY, judged: bool = True, query: str = "", **options: Any
) -> AsyncIterator[LiveClient]:
    """Connect to the GPT-Live beside a Realtime URL; nothing is sent or read yet."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    beside = url.removesuffix("/realtime") + "/live/sessions" + query
    async with connect(
        beside, additional_headers=headers, compression=None, max_size=None, **options
    ) as socket:
        yield LiveClient(socket, "live", judged=judged)
