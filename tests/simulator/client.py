"""A raw WebSocket client: it knows JSON, and nothing of the bridge's own adapters."""

import asyncio
import base64
import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bridge.speech.synthesis import Synthesizer
from tests.realtime.official import DialectName, assert_official
from tests.speech.line import over_the_phone, silence
from tests.support.waiting import PATIENCE_S

Event = dict[str, Any]  # JSON as it came; the tests look into it
KEY = "sk-sim-test"
MODELS: dict[DialectName, str] = {"ga": "gpt-realtime-2.1", "beta": "gpt-4o-realtime-preview"}
APPEND_SAMPLES = 480
TIMEOUT_S = PATIENCE_S


class EventSocket:
    """One connection; every event received is judged, and kept in ``events``.

    Args:
        judged: by the official types of the dialect; False where the server sends nonsense.
    """

    def __init__(
        self, socket: ClientConnection, dialect: DialectName = "ga", *, judged: bool = True
    ) -> None:
        self.socket = socket
        self.dialect: DialectName = dialect
        self.judged = judged
        self.events: list[Event] = []

    def take(self, frame: str | bytes) -> Event:
        event: Event = json.loads(frame)
        self.events.append(event)
        if self.judged:
            assert_official(self.dialect, "server", event)
        return event

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, wanted: str | Callable[[Event], bool]) -> Event:
        """Read until an event of this type, or one of which this is true, and return it."""
        async with asyncio.timeout(TIMEOUT_S):
            async for frame in self.socket:
                event = self.take(frame)
                if event["type"] == wanted if isinstance(wanted, str) else wanted(event):
                    return event
        raise AssertionError(f"closed with {self.socket.close_code} before {wanted}")

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


class Client(EventSocket):
    """A connection to the Realtime API."""

    async def send_audio(self, samples: NDArray[np.int16]) -> None:
        """Append 24 kHz samples in pieces of 20 ms."""
        for start in range(0, samples.size, APPEND_SAMPLES):
            piece = samples[start : start + APPEND_SAMPLES].astype("<i2").tobytes()
            await self.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())

    async def update(self, **session: object) -> Event:
        """Update the session and return what came of it."""
        kind = {"type": "realtime"} if self.dialect == "ga" else {}
        await self.send("session.update", session={**kind, **session})
        return await self.until(lambda event: event["type"] in ("session.updated", "error"))

    def order(self) -> list[str]:
        """Return the types received so far: runs as one, transcription events left out.

        Transcription may come anywhere after the commit (`PROTOCOL.md` section 7).
        """
        order: list[str] = []
        for event in self.events:
            kind = event["type"]
            if "input_audio_transcription" not in kind and order[-1:] != [kind]:
                order.append(kind)
        return order


@asynccontextmanager
async def connected(
    url: str,
    *,
    dialect: DialectName = "ga",
    model: str | None = "",
    key: str | None = KEY,
    judged: bool = True,
    **options: Any,
) -> AsyncIterator[Client]:
    """Connect; ``session.created`` is not yet read.

    Args:
        model: None for none at all, an empty string for the dialect's usual one.
        options: those of ``connect``.
    """
    headers = dict(options.pop("additional_headers", {}))
    if dialect == "beta":
        headers.setdefault("OpenAI-Beta", "realtime=v1")
    if model == "":
        model = MODELS[dialect]
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if model is not None:
        url += f"{'&' if '?' in url else '?'}model={model}"
    async with connect(
        url, additional_headers=headers, compression=None, max_size=None, **options
    ) as socket:
        yield Client(socket, dialect, judged=judged)


@functools.cache
def spoken(text: str, silence_ms: int = 700) -> NDArray[np.int16]:
    """Return a caller's sentence over the phone, 200 ms of silence before it and some after."""
    speech = over_the_phone(Synthesizer("en-us", 160).say(text))
    return np.concatenate([silence(200), speech, silence(silence_ms)])


def deltas(events: list[Event], kind: str) -> str:
    """Join the text deltas of one type."""
    return "".join(event["delta"] for event in events if event["type"] == kind)


def audio_of(events: list[Event]) -> NDArray[np.int16]:
    """Join the audio deltas: (n,) int16 at 24 kHz."""
    return np.frombuffer(
        b"".join(
            base64.b64decode(event["delta"])
            for event in events
            if event["type"] in ("response.output_audio.delta", "response.audio.delta")
        ),
        "<i2",
    )
