"""Client events of the GA dialect where they are its own (`PROTOCOL.md` sections 2, 4, 5 and 6)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bridge.simulator.shapes import (
    EventShape,
    ExpiresAfter,
    FunctionCallShape,
    FunctionOutputShape,
    FunctionShape,
    InputAudioPart,
    InputTextPart,
    MessageBase,
    Passed,
    ReferenceShape,
    SemanticVadShape,
    Shape,
    SparseShape,
    Voice,
)


class PcmFormat(Shape):
    """24 kHz 16-bit PCM."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class PcmuFormat(Shape):
    """8 kHz mu-law."""

    type: Literal["audio/pcmu"]


class PcmaFormat(Shape):
    """8 kHz A-law."""

    type: Literal["audio/pcma"]


Format = Annotated[PcmFormat | PcmuFormat | PcmaFormat, Field(discriminator="type")]


class NoiseReductionShape(SparseShape):
    """``audio.input.noise_reduction``."""

    type: Literal["near_field", "far_field"]
    strength: float | None = None


class TranscriptionShape(SparseShape):
    """``audio.input.transcription``."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class ServerVadShape(Shape):
    """``turn_detection`` by level."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(500, ge=0, le=60_000)
    idle_timeout_ms: int | None = Field(None, ge=5000, le=30_000)
    create_response: bool = True
    interrupt_response: bool = True


Detection = Annotated[ServerVadShape | SemanticVadShape, Field(discriminator="type")]


class AudioInput(Shape):
    """``audio.input``."""

    format: Format = PcmFormat()
    transcription: TranscriptionShape | None = None
    noise_reduction: NoiseReductionShape | None = None
    turn_detection: Detection | None = ServerVadShape()


GaVoice = Literal[Voice, "marin", "cedar"]


class CustomVoice(Shape):
    """A voice of the customer's own."""

    id: str


class AudioOutput(Shape):
    """``audio.output``."""

    format: Format = PcmFormat()
    voice: GaVoice | CustomVoice = "alloy"
    speed: float = Field(1.0, ge=0.25, le=1.5)


class Audio(Shape):
    """``audio``."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class McpToolFilter(SparseShape):
    """Some of an MCP server's tools."""

    tool_names: list[str] | None = None
    read_only: bool | None = None


class McpApprovalFilter(SparseShape):
    """``require_approval`` tool by tool."""

    always: McpToolFilter | None = None
    never: McpToolFilter | None = None


class McpShape(SparseShape):
    """A tool server, called by the service itself (`PROTOCOL.md` section 4)."""

    type: Literal["mcp"]
    server_label: str
    server_url: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: list[str] | McpToolFilter | None = None
    require_approval: Literal["always", "never"] | McpApprovalFilter | None = None
    server_description: str | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        places = (self.server_url, self.connector_id, self.tunnel_id)
        if sum(place is not None for place in places) != 1:
            raise ValueError("exactly one of server_url, connector_id and tunnel_id is needed")
        names = {name.lower() for name in self.headers or {}}
        if self.authorization is not None and "authorization" in names:
            raise ValueError("authorization and headers.Authorization exclude each other")
        return self


ToolShape = Annotated[FunctionShape | McpShape, Field(discriminator="type")]


class FunctionChoice(Shape):
    """This function and no other."""

    type: Literal["function"]
    name: str


class McpChoice(SparseShape):
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


class Reasoning(SparseShape):
    """``reasoning``."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class RetentionRatioShape(Passed):
    """``truncation`` as an object."""

    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0, le=1)


class SessionShape(Shape):
    """``session``; the defaults are the server's."""

    type: Literal["realtime"]
    model: str = ""
    output_modalities: Modalities = Field(default_factory=_audio_alone)
    instructions: str = ""
    tools: list[ToolShape] = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxTokens = "inf"
    tracing: Literal["auto"] | Passed | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatioShape = "auto"
    prompt: Passed | None = None
    reasoning: Reasoning | None = None
    parallel_tool_calls: bool | None = None
    audio: Audio = Audio()
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


class TranscriptionAudio(Shape):
    """``audio`` of a session without output."""

    input: AudioInput = AudioInput()


class TranscriptionSessionShape(Shape):
    """``session`` of a connection that only transcribes."""

    type: Literal["transcription"]
    audio: TranscriptionAudio = TranscriptionAudio()
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


class InputImagePart(Shape):
    """An image from the client."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] = "auto"


class OutputTextPart(Shape):
    """Text that the assistant is said to have written."""

    type: Literal["output_text"]
    text: str


PartShape = Annotated[
    InputTextPart | InputAudioPart | InputImagePart | OutputTextPart, Field(discriminator="type")
]


class MessageShape(MessageBase):
    """A message."""

    content: list[PartShape]


class ApprovalShape(Shape):
    """The client's answer to an MCP server's request: the one MCP item that it creates."""

    type: Literal["mcp_approval_response"]
    id: str
    approval_request_id: str
    approve: bool
    reason: str | None = None


ItemShape = Annotated[
    MessageShape | FunctionCallShape | FunctionOutputShape | ApprovalShape,
    Field(discriminator="type"),
]
InputItemShape = Annotated[
    MessageShape | FunctionCallShape | FunctionOutputShape | ApprovalShape | ReferenceShape,
    Field(discriminator="type"),
]


class ResponseAudioOutput(Shape):
    """``response.audio.output``."""

    format: Format | None = None
    voice: GaVoice | CustomVoice | None = None


class ResponseAudio(Shape):
    """``response.audio``."""

    output: ResponseAudioOutput = ResponseAudioOutput()


class ResponseShape(Shape):
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
    prompt: Passed | None = None
    reasoning: Reasoning | None = None
    parallel_tool_calls: bool | None = None


class SessionUpdate(EventShape):
    """``session.update``."""

    session: SessionShape


class TranscriptionUpdate(EventShape):
    """``session.update`` of a session that only transcribes."""

    session: TranscriptionSessionShape


class ItemCreate(EventShape):
    """``conversation.item.create``."""

    item: ItemShape
    previous_item_id: str | None = None


class ResponseCreate(EventShape):
    """``response.create``."""

    response: ResponseShape | None = None


class ClientSecretShape(Shape):
    """The body of ``POST /v1/realtime/client_secrets``."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: Annotated[SessionShape | TranscriptionSessionShape, Field(discriminator="type")] = (
        SessionShape(type="realtime")
    )
