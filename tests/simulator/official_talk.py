"""A conversation held by the official client; everything that comes is judged and kept."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openai import AsyncOpenAI

from tests.realtime.official import CLASSES, DialectName, assert_official
from tests.simulator.client import KEY, MODELS, TIMEOUT_S, spoken
from tests.simulator.plain_http import http_url


@dataclass
class Talk:
    """A connection of the official client; what comes is judged and kept."""

    dialect: DialectName
    connection: Any  # either dialect's AsyncRealtimeConnection; their methods have the same names
    events: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, kind: str) -> Any:
        """Read until an event of this type and return the client's model of it."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                event: Any = await self.connection.recv()
                written = event.to_dict(mode="json", exclude_unset=True)
                self.events.append(written)
                assert_official(self.dialect, "server", written)
                # transcription_session.created is in no union of the client's.
                expected = CLASSES[self.dialect, "server"].get(event.type)
                assert expected is None or type(event) is expected
                if event.type == kind:
                    return event

    async def hear(self, samples: NDArray[np.int16]) -> None:
        """Send 24 kHz samples as the caller's audio."""
        audio = samples.astype("<i2").tobytes()
        for start in range(0, len(audio), 4800):
            piece = base64.b64encode(audio[start : start + 4800]).decode()
            await self.connection.input_audio_buffer.append(audio=piece)

    async def say(self, sentence: str) -> None:
        """Send a sentence as the caller's audio."""
        await self.hear(spoken(sentence))

    async def send(self, **event: Any) -> None:
        """Send an event that the client has no method for, or that it would not send."""
        await self.connection.send(event)

    async def quiet(self) -> None:
        """Read all that comes of what was sent so far."""
        await self.send(type="conversation.item.retrieve", item_id="nothing", event_id="quiet")
        while (await self.until("error")).error.event_id != "quiet":
            continue
        self.events.pop()

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    async def type(self, sentence: str) -> None:
        """Send a sentence as the caller's text."""
        content = [{"type": "input_text", "text": sentence}]
        item = {"type": "message", "role": "user", "content": content}
        await self.connection.conversation.item.create(item=item)

    async def update(self, **session: object) -> Any:
        """Update the session and return it."""
        kind = {"type": "realtime"} if self.dialect == "ga" else {}
        await self.connection.session.update(session={**kind, **session})
        return (await self.until("session.updated")).session


def client_for(url: str, key: str = KEY) -> AsyncOpenAI:
    base = http_url(url, "/v1")
    return AsyncOpenAI(
        api_key=key, base_url=base, websocket_base_url=base.replace("http", "ws"), max_retries=0
    )


@asynccontextmanager
async def talk(
    url: str, dialect: DialectName, key: str = KEY, *, greeted: bool = True, **query: str
) -> AsyncIterator[Talk]:
    """Connect; ``session.created`` is read unless ``greeted`` is False."""
    async with client_for(url, key) as client:
        realtime: Any = client.realtime if dialect == "ga" else client.beta.realtime
        async with realtime.connect(model=MODELS[dialect], extra_query=query) as connection:
            talk = Talk(dialect, connection)
            if greeted:
                created = await talk.until("session.created")
                assert created.session.model == MODELS[dialect]
            yield talk
