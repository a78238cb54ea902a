"""Commands that say everything a client can say; `client.jsonl` has them on each wire."""

from bridge.realtime.commands import (
    AppendAudio,
    CancelResponse,
    ClearInput,
    Command,
    CommitInput,
    CreateItem,
    CreateResponse,
    DeleteItem,
    ProbeSession,
    RetrieveItem,
    TruncateItem,
    UpdateSession,
)
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    ItemStatus,
    McpApproval,
    Message,
    OpaqueItem,
    PartKind,
    Role,
)
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    ManualTurns,
    McpTool,
    McpToolChoice,
    ResponseConfig,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionKind,
    Transcription,
)
from tests.realtime.official import DialectName

CALL = ToolCallId("call_Kx7")
AGENT_ITEM = ItemId("item_CeRxC3")


def text(role: Role, words: str) -> Message:
    kind = PartKind.OUTPUT_TEXT if role is Role.ASSISTANT else PartKind.INPUT_TEXT
    return Message(role, (ContentPart(kind, text=words),))


IMAGE = ContentPart(
    PartKind.INPUT_IMAGE, image_url="data:image/png;base64,iVBORw0KGgo=", detail="low"
)
APPROVAL = McpApproval(
    item_id=ItemId("mcpa_CeRxE4"),
    approval_request_id=ItemId("mcpr_CeRxE3"),
    approve=False,
    reason="Not that city.",
)
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
RARE = SessionConfig(
    voice="voice_8842",
    transcription=Transcription(
        "gpt-realtime-whisper", languages=("en", "de"), keywords=("Ulm",), delay="low"
    ),
    noise_reduction="far_field",
    noise_reduction_strength=0.4,
    tool_choice=McpToolChoice("weather", "forecast"),
    truncation=RetentionRatio(0.5, 8000),
    tracing={"workflow_name": "support"},
    prompt={"id": "pmpt_1", "version": "2"},
)
TRANSCRIPTION = SessionConfig(
    kind=SessionKind.TRANSCRIPTION,
    instructions="Nobody will read this.",
    transcription=Transcription("gpt-4o-transcribe", "en"),
    noise_reduction="far_field",
    turn_detection=ServerVad(silence_duration_ms=400),
    include=("item.input_audio_transcription.logprobs",),
)

COMMANDS: dict[str, Command] = {
    "session_full": UpdateSession(FULL),
    "session_small": UpdateSession(SMALL),
    "session_semantic": UpdateSession(
        SessionConfig(turn_detection=SemanticVad("low", False, False))
    ),
    "session_rare": UpdateSession(RARE),
    "session_transcription": UpdateSession(TRANSCRIPTION),
    "session_probe": ProbeSession(),
    "append": AppendAudio(b"\x01\x02\x03\x04\xff\xfe"),
    "commit": CommitInput(),
    "clear": ClearInput(),
    "item_system": CreateItem(text(Role.SYSTEM, "The caller is a member."), ItemId("root")),
    "item_user": CreateItem(
        Message(
            Role.USER,
            (
                ContentPart(PartKind.INPUT_TEXT, text="What is this?"),
                ContentPart(PartKind.INPUT_AUDIO, text="This one.", audio=b"\x01\x02\x03\x04"),
            ),
            ItemId("item_bridge_1"),
            ItemStatus.COMPLETED,
            phase="commentary",
        )
    ),
    "item_image": CreateItem(Message(Role.USER, (IMAGE,))),
    "item_assistant": CreateItem(text(Role.ASSISTANT, "Your order ships tomorrow.")),
    "item_call": CreateItem(FunctionCall(CALL, "find_order", '{"number":"4711"}')),
    "item_output": CreateItem(FunctionCallOutput(CALL, '{"state":"packed"}')),
    "item_approval": CreateItem(APPROVAL),
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
            output_format=AudioFormat.PCMU,
        )
    ),
    "respond_rare": CreateResponse(
        ResponseConfig(
            instructions="Again.",
            voice="voice_8842",
            reasoning_effort="high",
            parallel_tool_calls=False,
            prompt={"id": "pmpt_1"},
        )
    ),
    "cancel": CancelResponse(),
    "cancel_named": CancelResponse(ResponseId("resp_CeRxD1")),
}
UNSAYABLE: dict[DialectName, frozenset[str]] = {
    "beta": frozenset({"item_image", "item_approval"}),
    "ga": frozenset(),
}
"""Commands that a dialect has no way to say."""
