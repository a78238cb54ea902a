"""The bridge's own GA adapter against the simulator: two readings of one protocol must agree."""

import asyncio
import json

import pytest

from bridge.realtime import commands as c
from bridge.realtime.events import ErrorReported, ResponseDone, ServerEvent, UnknownEvent
from bridge.realtime.ga import GaDialect
from bridge.realtime.items import FunctionCall, FunctionCallOutput, Message, Part, PartKind, Role
from bridge.realtime.session_config import (
    FunctionTool,
    ServerVad,
    SessionConfig,
    Transcription,
)
from tests.simulator.client import TIMEOUT_S, Client, connected, spoken

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

GA = GaDialect()
CONFIG = SessionConfig(
    instructions="Be kind.",
    voice="marin",
    speed=1.0,
    transcription=Transcription("gpt-4o-transcribe", "en"),
    noise_reduction="near_field",
    turn_detection=ServerVad(0.5, 300, 500, True, True),
    tools=(
        FunctionTool("lookup_invoice", "Finds the invoice.", {"type": "object"}),
        FunctionTool("end_call", "Ends the call.", {"type": "object"}),
    ),
    tool_choice="auto",
    max_output_tokens=4096,
    truncation="auto",
)


async def until_done(client: Client) -> list[ServerEvent]:
    """Decode events until a response is done."""
    events: list[ServerEvent] = []
    async with asyncio.timeout(TIMEOUT_S):
        while not (events and isinstance(events[-1], ResponseDone)):
            events.append(GA.decode(await client.socket.recv()))
    return events


async def test_adapter_and_simulator_understand_each_other(url: str) -> None:
    async with connected(url) as client:

        async def tell(command: c.Command) -> None:
            await client.socket.send(GA.encode(command, "event_mine"))

        await tell(c.UpdateSession(CONFIG))
        await tell(c.CreateResponse())
        events = await until_done(client)
        await client.send_audio(spoken("How much is my invoice?"))
        events += await until_done(client)
        done = events[-1]
        assert isinstance(done, ResponseDone)
        said, call = done.output
        assert isinstance(said, Message)
        assert isinstance(call, FunctionCall)
        assert said.item_id is not None
        await tell(c.CreateItem(FunctionCallOutput(call.call_id, json.dumps({"amount": 7}))))
        await tell(c.CreateItem(Message(Role.SYSTEM, (Part(PartKind.INPUT_TEXT, "Note."),))))
        await tell(c.TruncateItem(said.item_id, 0, 100))
        await tell(c.RetrieveItem(said.item_id))
        await tell(c.DeleteItem(said.item_id))
        await tell(c.AppendAudio(bytes(9600)))
        await tell(c.CommitInput())
        await tell(c.ClearInput())
        await tell(c.CreateResponse())
        events += await until_done(client)
        assert not [event for event in events if isinstance(event, UnknownEvent | ErrorReported)]
        await tell(c.CancelResponse())
        late = [GA.decode(await client.socket.recv()) for _ in range(2)]
        assert isinstance(late[-1], ErrorReported)
        assert late[-1].error.code == "response_cancel_not_active"
        assert late[-1].error.client_event_id == "event_mine"
