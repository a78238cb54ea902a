"""Hypothesis strategies of commands with documented values (`PROTOCOL.md` sections 2 to 6)."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

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
    Item,
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
    JsonObject,
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

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True)
milliseconds = st.integers(0, 60_000)
tokens = st.integers(1, 4096)
flag = st.none() | st.booleans()
item_ids = name.map(ItemId)
OFFICIAL_FORMATS = (AudioFormat.PCM_24KHZ, AudioFormat.PCMU, AudioFormat.PCMA)
"""PCM at another rate is of other servers: the official types know 24 kHz alone."""
formats = st.sampled_from(OFFICIAL_FORMATS)
voices = st.sampled_from(["alloy", "marin", "voice_8842"])
effort = st.sampled_from(["minimal", "low", "medium", "high", "xhigh"])
logprobs = st.just(("item.input_audio_transcription.logprobs",))
prompts: SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {"id": name}, optional={"version": name, "variables": st.dictionaries(name, text)}
)


function_tools = st.builds(
    FunctionTool, name, text, st.just({"type": "object", "properties": {"n": {"type": "string"}}})
)
mcp_tools = st.builds(
    McpTool,
    name,
    st.fixed_dictionaries(
        {"server_url": st.just("https://mcp.example/sse")},
        optional={
            "headers": st.dictionaries(name, text, max_size=2),
            "allowed_tools": st.lists(name, max_size=2),
            "require_approval": st.sampled_from(
                ["always", "never", {"always": {"tool_names": ["pay"]}}]
            ),
        },
    ),
)
tools = st.lists(function_tools | mcp_tools, max_size=3).map(tuple)
tool_choices = (
    st.sampled_from(["auto", "none", "required"])
    | name
    | st.builds(McpToolChoice, name, st.none() | name)
)
turn_detections = (
    st.builds(
        ServerVad,
        st.none() | st.floats(0, 1),
        st.none() | milliseconds,
        st.none() | milliseconds,
        flag,
        flag,
        st.none() | st.integers(5000, 30_000),
    )
    | st.builds(SemanticVad, st.sampled_from([None, "low", "medium", "high", "auto"]), flag, flag)
    | st.just(ManualTurns())
)


def _transcriptions(models: SearchStrategy[str]) -> SearchStrategy[Transcription]:
    return st.builds(
        Transcription,
        models,
        st.sampled_from([None, "en", "de"]),
        st.none() | text,
        st.lists(st.sampled_from(["en", "de"]), max_size=2).map(tuple),
        st.lists(text, max_size=2).map(tuple),
        st.none() | effort,
    )


tracing = (
    st.just("auto")
    | st.fixed_dictionaries(
        {}, optional={"workflow_name": text, "group_id": text, "metadata": st.just({"a": 1})}
    )
)  # fmt: skip
truncation = (
    st.sampled_from(["auto", "disabled"])
    | st.floats(0, 1)
    | st.builds(RetentionRatio, st.floats(0, 1), st.none() | st.integers(0, 8000))
)
session_configs = st.builds(
    SessionConfig,
    instructions=st.none() | text,
    voice=st.none() | voices,
    speed=st.none() | st.floats(0.25, 1.5),
    output_audio=st.booleans(),
    input_format=formats,
    output_format=formats,
    transcription=st.none() | _transcriptions(name),
    noise_reduction=st.sampled_from([None, "near_field", "far_field"]),
    noise_reduction_strength=st.none() | st.floats(0, 1),
    turn_detection=st.none() | turn_detections,
    tools=tools,
    tool_choice=st.none() | tool_choices,
    max_output_tokens=st.none() | tokens,
    temperature=st.none() | st.floats(0.6, 1.2),
    reasoning_effort=st.none() | effort,
    parallel_tool_calls=flag,
    truncation=st.none() | truncation,
    tracing=st.none() | tracing,
    include=st.just(()) | logprobs,
    prompt=st.none() | prompts,
)
transcription_configs = st.builds(
    SessionConfig,
    kind=st.just(SessionKind.TRANSCRIPTION),
    instructions=st.none() | text,
    voice=st.none() | voices,
    tools=tools,
    input_format=formats,
    # The beta's type of transcription sessions knows no newer models.
    transcription=st.none()
    | _transcriptions(
        st.sampled_from(["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"])
    ),
    noise_reduction=st.sampled_from([None, "near_field", "far_field"]),
    noise_reduction_strength=st.none() | st.floats(0, 1),
    turn_detection=st.none() | turn_detections,
    include=st.just(()) | logprobs,
)

_text_parts = st.builds(ContentPart, st.just(PartKind.INPUT_TEXT), text)
_audio_parts = st.builds(
    ContentPart, st.just(PartKind.INPUT_AUDIO), st.none() | text, audio=st.binary(max_size=8)
)
_image_parts = st.builds(
    ContentPart,
    st.just(PartKind.INPUT_IMAGE),
    image_url=st.just("data:image/png;base64,iVBORw0KGgo="),
    detail=st.sampled_from([None, "auto", "low", "high"]),
)
_answer_parts = st.builds(ContentPart, st.just(PartKind.OUTPUT_TEXT), text)


def _messages(role: Role, parts: SearchStrategy[ContentPart]) -> SearchStrategy[Item]:
    return st.builds(
        Message,
        st.just(role),
        st.lists(parts, min_size=1, max_size=3).map(tuple),
        st.none() | item_ids,
        st.none() | st.sampled_from(ItemStatus),
        st.none() | st.just("commentary"),
    )


def items(dialect: DialectName) -> SearchStrategy[Item]:
    """Items that a client may create; images and MCP approvals are GA's alone."""
    user_parts = _text_parts | _audio_parts
    common: list[SearchStrategy[Item]] = [
        _messages(Role.SYSTEM, _text_parts),
        _messages(Role.USER, user_parts if dialect == "beta" else user_parts | _image_parts),
        _messages(Role.ASSISTANT, _answer_parts),
        st.builds(FunctionCall, name.map(ToolCallId), name, text, st.none() | item_ids),
        st.builds(FunctionCallOutput, name.map(ToolCallId), text, st.none() | item_ids),
    ]
    approvals = st.builds(
        McpApproval,
        item_id=item_ids,
        approval_request_id=item_ids,
        approve=st.booleans(),
        reason=st.none() | text,
    )
    return st.one_of(*common) if dialect == "beta" else st.one_of(*common, approvals)


def response_configs(dialect: DialectName) -> SearchStrategy[ResponseConfig]:
    references = st.builds(OpaqueItem, st.just("message"), item_ids)
    inputs = st.lists(items(dialect) | references, max_size=3).map(tuple)
    return st.builds(
        ResponseConfig,
        instructions=st.none() | text,
        output_audio=flag,
        voice=st.none() | voices,
        tools=st.none() | tools,
        tool_choice=st.none() | tool_choices,
        max_output_tokens=st.none() | tokens,
        temperature=st.none() | st.floats(0.6, 1.2),
        metadata=st.dictionaries(name, text, max_size=2),
        input=st.none() | inputs,
        out_of_band=st.booleans(),
        output_format=st.none() | formats,
        reasoning_effort=st.none() | effort,
        parallel_tool_calls=flag,
        prompt=st.none() | prompts,
    )


def commands(dialect: DialectName) -> dict[str, SearchStrategy[Command]]:
    """Every command that the dialect can say, by kind."""
    return {
        "session": st.builds(UpdateSession, session_configs),
        "transcription": st.builds(UpdateSession, transcription_configs),
        "audio": st.builds(AppendAudio, st.binary(max_size=40)),
        "fixed": st.sampled_from([CommitInput(), ClearInput(), ProbeSession()]),
        "item": st.builds(CreateItem, items(dialect), st.none() | item_ids),
        "response": st.builds(CreateResponse, response_configs(dialect)),
        "rest": st.one_of(
            st.builds(RetrieveItem, item_ids),
            st.builds(TruncateItem, item_ids, st.integers(0, 3), milliseconds),
            st.builds(DeleteItem, item_ids),
            st.builds(CancelResponse, st.none() | name.map(ResponseId)),
        ),
    }
