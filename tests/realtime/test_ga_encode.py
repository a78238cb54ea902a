"""Canonical commands to GA client events, against golden lines."""

import base64
import json
import typing

import pytest

from bridge.realtime.commands import (
    AppendAudio,
    CancelResponse,
    ClearInput,
    ClearOutput,
    Command,
    CommitInput,
    CreateItem,
    CreateResponse,
    DeleteItem,
    RetrieveItem,
    TruncateItem,
    UpdateSession,
)
from bridge.realtime.dialect import Dialect
from bridge.realtime.ga import GaDialect
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    FunctionCall,
    FunctionCallOutput,
    ItemStatus,
    Message,
    OpaqueItem,
    Part,
    PartKind,
    Role,
)
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    ManualTurns,
    McpTool,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Transcription,
)
from tests.realtime import golden

GA: Dialect = GaDialect()
CALL = ToolCallId("call_Kx7")
AGENT_ITEM = ItemId("item_CeRxC3")


def text(role: Role, words: str) -> Message:
    kind = PartKind.OUTPUT_TEXT if role is Role.ASSISTANT else PartKind.INPUT_TEXT
    return Message(role, (Part(kind, text=words),))


FIND_ORDER = FunctionTool(
    "find_order",
    "Find an order.",
    {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
)
WEATHER = McpTool("weather", {"server_url": "https://mcp.example/sse", "require_approval": "never"})
FULL = SessionConfig(
    instructions="You answer a support line.",
    voice="marin",
    speed=1.1,
    transcription=Transcription("gpt-live-transcribe", "en", "orders"),
    noise_reduction="near_field",
    turn_detection=ServerVad(0.5, 300, 500, True, True, 6000),
    tools=(FIND_ORDER, WEATHER),
    tool_choice="find_order",
    max_output_tokens=1024,
    temperature=0.8,
    reasoning_effort="low",
    parallel_tool_calls=True,
    truncation=0.8,
    tracing="auto",
    include=("item.input_audio_transcription.logprobs",),
)
SMALL = SessionConfig(
    output_audio=False,
    input_format=AudioFormat.PCMU,
    output_format=AudioFormat.PCMA,
    turn_detection=ManualTurns(),
    tool_choice="auto",
    truncation="disabled",
)

COMMANDS: dict[str, Command] = {
    "session_full": UpdateSession(FULL),
    "session_small": UpdateSession(SMALL),
    "session_semantic": UpdateSession(
        SessionConfig(turn_detection=SemanticVad("low", False, False))
    ),
    "append": AppendAudio(b"\x01\x02\x03\x04\xff\xfe"),
    "commit": CommitInput(),
    "clear": ClearInput(),
    "item_system": CreateItem(text(Role.SYSTEM, "The caller is a member."), ItemId("root")),
    "item_user": CreateItem(
        Message(
            Role.USER,
            (
                Part(PartKind.INPUT_TEXT, text="What is this?"),
                Part(PartKind.INPUT_IMAGE, image_url="data:image/png;base64,iVBORw0KGgo="),
            ),
            ItemId("item_bridge_1"),
            ItemStatus.COMPLETED,
            phase="commentary",
        )
    ),
    "item_assistant": CreateItem(text(Role.ASSISTANT, "Your order ships tomorrow.")),
    "item_call": CreateItem(FunctionCall(CALL, "find_order", '{"number":"4711"}')),
    "item_output": CreateItem(FunctionCallOutput(CALL, '{"state":"packed"}')),
    "retrieve": RetrieveItem(AGENT_ITEM),
    "truncate": TruncateItem(AGENT_ITEM, 0, 1480),
    "delete": DeleteItem(AGENT_ITEM),
    "respond": CreateResponse(),
    "respond_full": CreateResponse(
        ResponseConfig(
            instructions="Sum up.",
            output_audio=False,
            voice="cedar",
            tools=(),
            tool_choice="none",
            max_output_tokens=200,
            temperature=0.9,
            metadata={"purpose": "summary"},
            input=(OpaqueItem("message", ItemId("item_CeRxC2")), text(Role.USER, "And now?")),
            out_of_band=True,
        )
    ),
    "cancel": CancelResponse(),
    "cancel_named": CancelResponse(ResponseId("resp_CeRxD1")),
}
GOLDEN = {str(obj["event_id"]): obj for obj in golden.objects("client.jsonl")}


@pytest.mark.parametrize("name", GOLDEN)
def test_encode_matches_golden_line(name: str) -> None:
    assert json.loads(GA.encode(COMMANDS[name], event_id=name)) == GOLDEN[name]


def test_golden_lines_cover_every_command() -> None:
    assert GOLDEN.keys() == COMMANDS.keys()
    covered = {type(command) for command in COMMANDS.values()}
    assert covered == set(typing.get_args(Command)) - {ClearOutput}


def test_encode_without_event_id_has_none() -> None:
    assert json.loads(GA.encode(CommitInput())) == {"type": "input_audio_buffer.commit"}
    assert "event_id" not in json.loads(GA.encode(AppendAudio(b"ab")))


def test_encode_append_escapes_the_event_id() -> None:
    frame = json.loads(GA.encode(AppendAudio(b"\x00\x01" * 480), event_id='a"b\\c'))
    assert frame["event_id"] == 'a"b\\c'
    assert base64.b64decode(frame["audio"], validate=True) == b"\x00\x01" * 480


def test_encode_clear_output_is_refused() -> None:
    with pytest.raises(ValueError, match="WebRTC"):
        GA.encode(ClearOutput())


@pytest.mark.parametrize(
    "item",
    [
        Message(Role.ASSISTANT, (Part(PartKind.OUTPUT_AUDIO, text="Hello."),)),
        Message(Role.USER, (Part(PartKind.INPUT_AUDIO, text="Hello."),)),
        OpaqueItem("mcp_list_tools", AGENT_ITEM),
    ],
)
def test_encode_item_that_no_client_can_create(item: Message | OpaqueItem) -> None:
    with pytest.raises(ValueError, match="creat") as caught:
        GA.encode(CreateItem(item))
    assert "Hello" not in str(caught.value)


def test_encode_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        GA.encode(UpdateSession(SessionConfig(speed=float("nan"))))


def test_unsupported_names_temperature() -> None:
    assert GA.unsupported(FULL) == ("temperature",)
    assert GA.unsupported(SMALL) == ()


def test_handshake_sends_no_beta_header() -> None:
    assert GA.handshake_headers() == {}
    assert GA.name == "ga"
