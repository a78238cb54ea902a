"""Client events of the GA dialect, strictly (`protocol.md` sections 2, 4, 5 and 6).

Unknown keys, wrong types and values out of range are refused. A validation error becomes the
server's own words and codes in :func:`refusal_of`.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from bridge.simulator.refusal import Refused, refuse

_KEY = re.compile(r"[a-z_]+")


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Passed(BaseModel):
    """An object whose inside is not looked at."""

    model_config = ConfigDict(extra="allow")


class PcmFormat(_Shape):
    """24 kHz 16-bit PCM."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class PcmuFormat(_Shape):
    """8 kHz mu-law."""

    type: Literal["audio/pcmu"]


class PcmaFormat(_Shape):
    """8 kHz A-law."""

    type: Literal["audio/pcma"]


Format = Annotated[PcmFormat | PcmuFormat | PcmaFormat, Field(discriminator="type")]


class NoiseReductionShape(_Shape):
    """``audio.input.noise_reduction``."""

    type: Literal["near_field", "far_field"]
    strength: float | None = None


class TranscriptionShape(_Shape):
    """``audio.input.transcription``."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class ServerVadShape(_Shape):
    """``turn_detection`` by level."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(500, ge=0, le=60_000)
    idle_timeout_ms: int | None = Field(None, ge=5000, le=30_000)
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVadShape(_Shape):
    """``turn_detection`` by meaning."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


Detection = Annotated[ServerVadShape | SemanticVadShape, Field(discriminator="type")]


class AudioInput(_Shape):
    """``audio.input``."""

    format: Format = PcmFormat()
    transcription: TranscriptionShape | None = None
    noise_reduction: NoiseReductionShape | None = None
    turn_detection: Detection | None = ServerVadShape()


class CustomVoice(_Shape):
    """A voice of the customer's own."""

    id: str


class AudioOutput(_Shape):
    """``audio.output``."""

    format: Format = PcmFormat()
    voice: str | CustomVoice = "alloy"
    speed: float = Field(1.0, ge=0.25, le=1.5)


class Audio(_Shape):
    """``audio``."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class FunctionShape(_Shape):
    """A tool that the client runs."""

    type: Literal["function"]
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class McpShape(_Passed):
    """A tool server; taken, and never called by this simulator."""

    type: Literal["mcp"]
    server_label: str


ToolShape = Annotated[FunctionShape | McpShape, Field(discriminator="type")]


class FunctionChoice(_Shape):
    """This function and no other."""

    type: Literal["function"]
    name: str


class McpChoice(_Shape):
    """This tool server and no other."""

    type: Literal["mcp"]
    server_label: str
    name: str | None = None


ToolChoice = (
    Literal["auto", "none", "required"]
    | Annotated[FunctionChoice | McpChoice, Field(discriminator="type")]
)
Modalities = Annotated[list[Literal["audio", "text"]], Field(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Field(ge=1)] | Literal["inf"]


def _audio_alone() -> Modalities:
    return ["audio"]


class Reasoning(_Shape):
    """``reasoning``."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class RetentionRatio(_Passed):
    """``truncation`` as an object."""

    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0, le=1)


class SessionShape(_Shape):
    """``session``; the defaults are the server's."""

    type: Literal["realtime", "transcription"]
    model: str = ""
    output_modalities: Modalities = Field(default_factory=_audio_alone)
    instructions: str = ""
    tools: list[ToolShape] = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxTokens = "inf"
    tracing: Literal["auto"] | _Passed | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    prompt: _Passed | None = None
    reasoning: Reasoning | None = None
    parallel_tool_calls: bool | None = None
    audio: Audio = Audio()
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


class InputTextPart(_Shape):
    """Text from the client."""

    type: Literal["input_text"]
    text: str


class InputAudioPart(_Shape):
    """Audio from the client, in one piece."""

    type: Literal["input_audio"]
    audio: str
    transcript: str | None = None


class InputImagePart(_Shape):
    """An image from the client."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] = "auto"


class OutputTextPart(_Shape):
    """Text that the assistant is said to have written."""

    type: Literal["output_text"]
    text: str


PartShape = Annotated[
    InputTextPart | InputAudioPart | InputImagePart | OutputTextPart, Field(discriminator="type")
]


class _ItemShape(_Shape):
    id: str | None = Field(None, min_length=1, max_length=64)
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None


class MessageShape(_ItemShape):
    """A message."""

    type: Literal["message"]
    role: Literal["system", "user", "assistant"]
    content: list[PartShape]


class FunctionCallShape(_ItemShape):
    """A function call that the client puts into the history."""

    type: Literal["function_call"]
    call_id: str | None = None
    name: str
    arguments: str


class FunctionOutputShape(_ItemShape):
    """What a function gave back."""

    type: Literal["function_call_output"]
    call_id: str
    output: str


class ReferenceShape(_Shape):
    """An item that is there already; only in ``response.input``."""

    type: Literal["item_reference"]
    id: str


ItemShape = Annotated[
    MessageShape | FunctionCallShape | FunctionOutputShape, Field(discriminator="type")
]
InputItemShape = Annotated[
    MessageShape | FunctionCallShape | FunctionOutputShape | ReferenceShape,
    Field(discriminator="type"),
]


class ResponseAudio(_Shape):
    """``response.audio``."""

    output: AudioOutput = AudioOutput()


class ResponseShape(_Shape):
    """``response`` of ``response.create``."""

    output_modalities: Modalities | None = None
    audio: ResponseAudio | None = None
    instructions: str | None = None
    tools: list[ToolShape] | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxTokens | None = None
    conversation: Literal["auto", "none"] | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    input: list[InputItemShape] | None = None
    prompt: _Passed | None = None
    reasoning: Reasoning | None = None
    parallel_tool_calls: bool | None = None


class _EventShape(_Shape):
    type: str
    event_id: str | None = Field(None, max_length=512)


class SessionUpdate(_EventShape):
    """``session.update``."""

    session: SessionShape


class Append(_EventShape):
    """``input_audio_buffer.append``."""

    audio: str


class Bare(_EventShape):
    """An event without payload."""


class ItemCreate(_EventShape):
    """``conversation.item.create``."""

    item: ItemShape
    previous_item_id: str | None = None


class ItemNamed(_EventShape):
    """``conversation.item.retrieve`` and ``.delete``."""

    item_id: str


class ItemTruncate(_EventShape):
    """``conversation.item.truncate``."""

    item_id: str
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ResponseCreate(_EventShape):
    """``response.create``."""

    response: ResponseShape | None = None


class ResponseCancel(_EventShape):
    """``response.cancel``."""

    response_id: str | None = None


def refusal_of(error: ValidationError, event: object) -> Refused:
    """Put a validation error into the server's words; the first mistake counts.

    Args:
        error: of one of the shapes above.
        event: the JSON object that it is about.
    """
    detail = error.errors(include_url=False, include_input=False)[0]
    param = _path(detail["loc"], event)
    match detail["type"]:
        case "extra_forbidden":
            return refuse("unknown_parameter", f"Unknown parameter: '{param}'.", param)
        case "missing":
            what = f"Missing required parameter: '{param}'."
            return refuse("missing_required_parameter", what, param)
        case "union_tag_not_found":
            param += ".type"
            what = f"Missing required parameter: '{param}'."
            return refuse("missing_required_parameter", what, param)
        case "union_tag_invalid":
            param += ".type"
            return refuse("invalid_value", f"Invalid value: '{param}': {detail['msg']}.", param)
        case _:
            return refuse("invalid_value", f"Invalid value: '{param}': {detail['msg']}.", param)


def _path(location: tuple[int | str, ...], event: object) -> str:
    """Write a location as a JSON path.

    pydantic puts the tag of a union between the keys: the object's own type, or the name of a
    class, neither of which the client wrote as a key.
    """
    path, here, tagged = "", event, False
    for place, part in enumerate(location):
        last = place == len(location) - 1
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) and part < len(here) else None
            path, tagged = f"{path}[{part}]", False
        elif isinstance(here, dict) and part == here.get("type") and not tagged:
            tagged = True
        elif isinstance(here, dict) and (part in here or (last and _KEY.fullmatch(part))):
            here = here.get(part)
            path, tagged = (f"{path}.{part}" if path else part), False
    return path
