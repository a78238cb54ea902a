"""Client events of the beta dialect where they are its own (`PROTOCOL.md` sections 2, 4, 5 and 6).

A beta session is flat. ``client_secret`` belongs to the token endpoint alone: a client that sends
back what it got there is refused, as on the real service.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

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

Format = Literal["pcm16", "g711_ulaw", "g711_alaw"]
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
Temperature = Annotated[float, Field(ge=0.6, le=1.2)]


def _known_modalities(modalities: list[str]) -> list[str]:
    if set(modalities) not in ({"text"}, {"text", "audio"}):
        raise ValueError(
            f"invalid modalities: {modalities}. Supported combinations are: ['text'] and"
            " ['audio', 'text']"
        )
    return modalities


Modalities = Annotated[list[Literal["text", "audio"]], AfterValidator(_known_modalities)]


def _both() -> Modalities:
    return ["text", "audio"]


class NoiseReductionShape(Shape):
    """``input_audio_noise_reduction``."""

    type: Literal["near_field", "far_field"]


class TranscriptionShape(SparseShape):
    """``input_audio_transcription``."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None


class ServerVadShape(Shape):
    """``turn_detection`` by level; the beta knows no idle timeout."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=10_000)
    silence_duration_ms: int = Field(500, ge=0, le=60_000)
    create_response: bool = True
    interrupt_response: bool = True


Detection = Annotated[ServerVadShape | SemanticVadShape, Field(discriminator="type")]


class InputShape(Shape):
    """The input's settings in every beta session."""

    input_audio_format: Format = "pcm16"
    input_audio_transcription: TranscriptionShape | None = None
    input_audio_noise_reduction: NoiseReductionShape | None = None
    turn_detection: Detection | None = ServerVadShape()
    modalities: Modalities = Field(default_factory=_both)


class SessionShape(InputShape):
    """``session``; the defaults are the server's."""

    model: str = ""
    instructions: str = ""
    voice: Voice = "alloy"
    output_audio_format: Format = "pcm16"
    speed: float = Field(1.0, ge=0.25, le=1.5)
    tools: list[FunctionShape] = Field(default_factory=list)
    tool_choice: str = "auto"
    temperature: Temperature = 0.8
    max_response_output_tokens: MaxTokens = "inf"
    tracing: Literal["auto"] | Passed | None = None


class TranscriptionSessionShape(InputShape):
    """``session`` of a connection that only transcribes."""

    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


class TextPart(Shape):
    """Text that the assistant is said to have written."""

    type: Literal["text"]
    text: str


PartShape = Annotated[InputTextPart | InputAudioPart | TextPart, Field(discriminator="type")]


class MessageShape(MessageBase):
    """A message."""

    content: list[PartShape]


ItemShape = Annotated[
    MessageShape | FunctionCallShape | FunctionOutputShape, Field(discriminator="type")
]
InputItemShape = Annotated[
    MessageShape | FunctionCallShape | FunctionOutputShape | ReferenceShape,
    Field(discriminator="type"),
]


class ResponseShape(Shape):
    """``response`` of ``response.create``.

    The SDK says ``max_response_output_tokens``, the beta's OpenAPI ``max_output_tokens``: both are
    taken (`PROTOCOL.md` section 5).
    """

    modalities: Modalities | None = None
    instructions: str | None = None
    voice: Voice | None = None
    output_audio_format: Format | None = None
    tools: list[FunctionShape] | None = None
    tool_choice: str | None = None
    temperature: Temperature | None = None
    max_response_output_tokens: MaxTokens | None = None
    max_output_tokens: MaxTokens | None = None
    conversation: Literal["auto", "none"] | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    input: list[InputItemShape] | None = None


class SessionUpdate(EventShape):
    """``session.update``."""

    session: SessionShape


class TranscriptionUpdate(EventShape):
    """``transcription_session.update``."""

    session: TranscriptionSessionShape


class ItemCreate(EventShape):
    """``conversation.item.create``."""

    item: ItemShape
    previous_item_id: str | None = None


class ResponseCreate(EventShape):
    """``response.create``."""

    response: ResponseShape | None = None


class SecretShape(Shape):
    """``client_secret`` in a request for one."""

    expires_after: ExpiresAfter = ExpiresAfter()


class ClientSecretShape(SessionShape):
    """The body of ``POST /v1/realtime/sessions``."""

    client_secret: SecretShape = SecretShape()
