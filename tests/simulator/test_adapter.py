"""The bridge's own adapters against the simulator: two readings of one protocol must agree."""

import asyncio
import json
from typing import TypeVar

import pytest

from bridge.realtime import commands as c
from bridge.realtime.beta import BetaDialect
from bridge.realtime.dialect import Dialect
from bridge.realtime.event_values import ResponseStatus
from bridge.realtime.events import (
    AudioDelta,
    ErrorReported,
    FunctionArgumentsDone,
    InputTranscriptCompleted,
    InputTranscriptDelta,
    ItemDone,
    RateLimitsUpdated,
    ResponseDone,
    ServerEvent,
    SessionUpdated,
    TranscriptDelta,
    UnknownEvent,
)
from bridge.realtime.ga import GaDialect
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.session_config import (
    FunctionTool,
    ResponseConfig,
    ServerVad,
    SessionConfig,
    Transcription,
)
from tests.realtime.official import DialectName
from tests.simulator.client import TIMEOUT_S, Client, connected, spoken

E = TypeVar("E")

pytestmark = [pytest.mark.speech, pytest.mark.asyncio(loop_scope="module")]

DIALECTS: dict[DialectName, Dialect] = {"beta": BetaDialect(), "ga": GaDialect()}
both = pytest.mark.parametrize("dialect", list(DIALECTS))
# What only one of the dialects has.
OWN = (ItemDone, RateLimitsUpdated)
CONFIG = SessionConfig(
    instructions="Be kind.",
    voice="verse",
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
)


class Peer:
    """A client that speaks through one of the bridge's adapters."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.dialect = DIALECTS[client.dialect]
        self.events: list[ServerEvent] = []

    async def tell(self, command: c.Command) -> None:
        await self.client.socket.send(self.dialect.encode(command, "event_mine"))

    async def until(self, wanted: type[E]) -> E:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                frame = await self.client.socket.recv()
                self.client.take(frame)
                event = self.dialect.decode(frame)
                self.events.append(event)
                if isinstance(event, wanted):
                    return event

    async def call(self) -> FunctionCall:
        """Ask for the invoice and return the call of the tool."""
        await self.client.send_audio(spoken("How much is my invoice?"))
        done = await self.until(ResponseDone)
        (call,) = [item for item in done.output if isinstance(item, FunctionCall)]
        return call


@both
async def test_adapter_and_simulator_understand_each_other(url: str, dialect: DialectName) -> None:
    async with connected(url, dialect=dialect) as client:
        peer = Peer(client)
        await peer.tell(c.UpdateSession(CONFIG))
        await peer.tell(c.CreateResponse())
        greeted = await peer.until(ResponseDone)
        (said,) = greeted.output
        assert isinstance(said, Message)
        assert said.item_id is not None
        call = await peer.call()
        await peer.tell(c.CreateItem(FunctionCallOutput(call.call_id, json.dumps({"amount": 7}))))
        await peer.tell(
            c.CreateItem(Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, "Note."),)))
        )
        history = (ContentPart(PartKind.OUTPUT_TEXT, "I said this before."),)
        await peer.tell(c.CreateItem(Message(Role.ASSISTANT, history)))
        await peer.tell(c.TruncateItem(said.item_id, 0, 100))
        await peer.tell(c.RetrieveItem(said.item_id))
        await peer.tell(c.DeleteItem(said.item_id))
        await peer.tell(c.AppendAudio(bytes(9600)))
        await peer.tell(c.CommitInput())
        await peer.tell(c.ClearInput())
        await peer.tell(c.CreateResponse(ResponseConfig(instructions="Be brief.", voice="verse")))
        await peer.until(ResponseDone)
        assert not [each for each in peer.events if isinstance(each, UnknownEvent | ErrorReported)]
        await peer.tell(c.CancelResponse())
        late = await peer.until(ErrorReported)
        assert late.error.code == "response_cancel_not_active"
        assert late.error.client_event_id == "event_mine"


async def converse(url: str, dialect: DialectName) -> tuple[list[str], list[object]]:
    """Hold a conversation: the kinds of events that came, and all that was said and asked for."""
    async with connected(url, dialect=dialect) as client:
        peer = Peer(client)
        await peer.tell(c.UpdateSession(CONFIG))
        await peer.until(SessionUpdated)
        await client.send_audio(spoken("Where is my order?"))
        await peer.until(ResponseDone)
        call = await peer.call()
        output = json.dumps({"amount": 7, "due": "Friday"})
        await peer.tell(c.CreateItem(FunctionCallOutput(call.call_id, output)))
        await peer.tell(c.CreateResponse())
        await peer.until(ResponseDone)
        await client.send_audio(spoken("What is your return policy?"))
        await peer.until(AudioDelta)
        await client.send_audio(spoken("Stop, I have another question."))
        await peer.until(ResponseDone)
        await peer.until(ResponseDone)
    kinds: list[str] = []
    said: list[object] = []
    for event in peer.events:
        match event:
            case InputTranscriptCompleted(transcript=transcript):
                said.append(transcript)
            case ResponseDone(status=ResponseStatus.COMPLETED, output=items):
                said += [item.parts[0].text for item in items if isinstance(item, Message)]
            case ResponseDone(status=status, reason=reason):
                said.append((status, reason))
            case FunctionArgumentsDone(arguments=arguments):
                said.append(arguments)
        streamed = isinstance(event, AudioDelta | TranscriptDelta | InputTranscriptDelta)
        if not isinstance(event, (*OWN, InputTranscriptCompleted)) and not streamed:
            kinds.append(type(event).__name__)
    return kinds, said


async def test_same_audio_through_both_dialects_is_the_same_conversation(slow_url: str) -> None:
    beta, ga = await asyncio.gather(converse(slow_url, "beta"), converse(slow_url, "ga"))
    assert beta[0] == ga[0]
    assert sorted(map(str, beta[1])) == sorted(map(str, ga[1]))
    assert "What is your return policy?" in ga[1]
    assert (ResponseStatus.CANCELLED, "turn_detected") in ga[1]
