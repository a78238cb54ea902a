"""The official SDK's own GPT-Live client holds a conversation with the simulator."""

import asyncio
import base64
import json
from typing import Any

import pytest
from openai.types.live import ErrorEvent, SessionClosedEvent, SessionStartedEvent
from openai.types.live.delegation_created_event import DelegationCreatedEvent

from tests.realtime.official import CLASSES, assert_official
from tests.simulator.client import TIMEOUT_S, spoken
from tests.simulator.gpt_live.live_client import BACKEND, MODEL
from tests.simulator.official_talk import client_for

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

SILENCE = base64.b64encode(bytes(4800)).decode()


class Talk:
    """A connection of the official client, with its microphone open."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.said = ""
        self.open = True

    async def until(self, wanted: Any) -> Any:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                event: Any = await self.connection.recv()
                expected = CLASSES["live", "server"][event.type]
                assert issubclass(type(event), expected)
                assert_official("live", "server", event.to_dict(mode="json", exclude_unset=True))
                if event.type == "session.output_transcript.delta":
                    self.said += event.delta
                if event.type == "session.output_audio.delta" and self.open:
                    # A tick for a tick: the timeline goes on as fast as it is read.
                    await self.connection.session.input_audio.append(audio=SILENCE)
                if wanted(event):
                    return event

    async def hear(self, sentence: str) -> None:
        audio = spoken(sentence).astype("<i2").tobytes()
        for start in range(0, len(audio), 4800):
            piece = base64.b64encode(audio[start : start + 4800]).decode()
            await self.connection.session.input_audio.append(audio=piece)


async def test_official_client_starts_delegates_and_closes(url: str) -> None:
    async with client_for(url) as client, client.live.connect() as official:
        connection: Any = official  # its typed dictionaries know no plain ones
        talk = Talk(connection)
        await connection.session.start(session={"model": MODEL, "delegation": BACKEND})
        started = await talk.until(lambda event: isinstance(event, SessionStartedEvent))
        assert started.session.model == MODEL
        await talk.hear("How much is my invoice?")
        delegated = await talk.until(lambda event: isinstance(event, DelegationCreatedEvent))
        assert delegated.delegation.target == "responses"
        called = await talk.until(
            lambda event: (
                event.type == "response.event"
                and event.event["type"] == "response.output_item.done"
            )
        )
        output = json.dumps({"amount": "nine", "due": "Monday"})
        item = {
            "type": "function_call_output",
            "call_id": called.event["item"]["call_id"],
            "output": output,
        }
        await connection.response.item.create(item=item)
        await connection.response.create()
        await talk.until(lambda _: talk.said.endswith("due on Monday."))
        talk.open = False
        await connection.session.close(event_id="bye")
        closed = await talk.until(lambda event: isinstance(event, SessionClosedEvent))
        assert (closed.reason, closed.client_event_id) == ("close_requested", "bye")


async def test_official_client_reads_a_refusal(url: str) -> None:
    async with client_for(url) as client, client.live.connect() as connection:
        await connection.session.start(session={"model": "gpt-realtime"}, event_id="mine")
        refused = await connection.recv()
        assert isinstance(refused, ErrorEvent)
        assert refused.error.client_event_id == "mine"
