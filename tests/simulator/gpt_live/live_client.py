"""A raw client of GPT-Live: it knows JSON and base64, and nothing of the bridge's adapters."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.realtime.official import assert_official
from tests.simulator.client import KEY, TIMEOUT_S, Event

MODEL = "gpt-live-1"
RATE_HZ = 24_000
APPEND_MS = 50
AUDIO = "session.output_audio.delta"
INVOICE_TOOL = {"type": "function", "name": "lookup_invoice", "parameters": {"type": "object"}}
BACKEND = {"type": "responses", "responses": {"model": "gpt-6-sol", "tools": [INVOICE_TOOL]}}


class LiveClient:
    """One connection; every event received is judged by the official types, and kept.

    Args:
        judged: False where the server sends nonsense.
    """

    def __init__(self, socket: ClientConnection, *, judged: bool = True) -> None:
        self.socket = socket
        self.judged = judged
        self.events: list[Event] = []

    def take(self, frame: str | bytes) -> Event:
        event: Event = json.loads(frame)
        self.events.append(event)
        if self.judged:
            assert_official("live", "server", event)
        return event

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

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

    async def until(self, wanted: str | Callable[[Event], bool]) -> Event:
        """Read until an event of this type, or one of which this is true, and return it."""
        async with asyncio.timeout(TIMEOUT_S):
            async for frame in self.socket:
                event = self.take(frame)
                if event["type"] == wanted if isinstance(wanted, str) else wanted(event):
                    return event
        raise AssertionError(f"closed with {self.socket.close_code} before {wanted}")

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

    async def error(self) -> Event:
        """Read until an error and return its inside."""
        return (await self.until("error"))["error"]  # type: ignore[no-any-return] # JSON

    async def closed(self) -> tuple[int | None, str | None]:
        """Read to the end and return close code and reason."""
        async with asyncio.timeout(TIMEOUT_S):
            with suppress(ConnectionClosed):
                while True:
                    self.take(await self.socket.recv())
        return self.socket.close_code, self.socket.close_reason

    def of_type(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

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
        yield LiveClient(socket, judged=judged)
