"""Client events of GPT-Live, strictly: unknown keys, wrong types and values are refused.

`PROTOCOL.md` section 11. What this server does not play it refuses: decisions, triggers, fixtures.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from bridge.simulator.shapes import (
    EventShape,
    FunctionShape,
    InputTextPart,
    Passed,
    Shape,
    SparseShape,
)

Voice = Literal[
    "alloy",
    "ash",
    "ballad",
    "beacon",
    "bossa",
    "cedar",
    "cinder",
    "coral",
    "delta",
    "echo",
    "gleam",
    "marin",
    "meridian",
    "quartz",
    "ripple",
    "sage",
    "shida",
    "shimmer",
    "stone",
    "tempo",
    "verse",
    "vesper",
    "willow",
]

_MOST_HISTORY = 128
_MOST_DELAY_MS = 60_000


class PcmShape(Shape):
    """16-bit PCM at either of two rates."""

    type: Literal["audio/pcm"]
    rate: Literal[16000, 24000]


class G711Shape(Shape):
    """G.711 at 8 kHz."""

    type: Literal["audio/pcmu", "audio/pcma"]
    rate: Literal[8000]


Format = Annotated[PcmShape | G711Shape, Field(discriminator="type")]


class CustomVoiceShape(Shape):
    """A voice of the customer's own."""

    id: str


class OutputShape(Shape):
    """``audio.output``."""

    voice: Voice | CustomVoiceShape = "marin"


class AudioShape(Shape):
    """``audio``: one format for both ways."""

    format: Format = PcmShape(type="audio/pcm", rate=24000)
    output: OutputShape = OutputShape()


class LiveFunctionShape(FunctionShape):
    """A function that the client runs for the backend."""

    strict: bool | None = None


class HostedToolShape(Passed):
    """A tool that the backend has by itself."""

    type: Literal[
        "web_search",
        "file_search",
        "code_interpreter",
        "shell",
        "image_generation",
        "mcp",
        "custom",
        "namespace",
        "tool_search",
        "programmatic_tool_calling",
        "computer",
        "apply_patch",
    ]


class ReasoningShape(SparseShape):
    """``reasoning`` of the backend."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    summary: Literal["concise", "detailed", "auto"] | None = None


class TextShape(SparseShape):
    """``text`` of the backend."""

    verbosity: Literal["low", "medium", "high"] | None = None


class BackendUpdateShape(SparseShape):
    """``delegation.responses``, of which an update has any part."""

    model: str | None = Field(None, min_length=1)
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningShape | None = None
    service_tier: (
        Literal["auto", "default", "fast_tier_temp_pilot", "flex", "priority", "ultrafast"] | None
    ) = None
    text: TextShape | None = None
    tool_choice: Literal["auto", "none", "required"] | dict[str, JsonValue] | None = None
    tools: (
        list[Annotated[LiveFunctionShape | HostedToolShape, Field(discriminator="type")]] | None
    ) = None


class BackendShape(BackendUpdateShape):
    """``delegation.responses`` as a session begins with it."""

    model: str = Field(min_length=1)


class ClientDelegationShape(SparseShape):
    """Delegated work is the application's."""

    type: Literal["client"]
    acknowledgement_delay_ms: int | None = Field(None, ge=0, le=_MOST_DELAY_MS)


class ResponsesDelegationShape(SparseShape):
    """Delegated work is a Responses model's."""

    type: Literal["responses"]
    responses: BackendShape
    acknowledgement_delay_ms: int | None = Field(None, ge=0, le=_MOST_DELAY_MS)


class ResponsesUpdateShape(SparseShape):
    """What an update says of a Responses model."""

    type: Literal["responses"]
    responses: BackendUpdateShape | None = None
    acknowledgement_delay_ms: int | None = Field(None, ge=0, le=_MOST_DELAY_MS)


Delegation = Annotated[
    ClientDelegationShape | ResponsesDelegationShape, Field(discriminator="type")
]
DelegationUpdate = Annotated[
    ClientDelegationShape | ResponsesUpdateShape, Field(discriminator="type")
]


class GivenTextPart(Shape):
    """Text of a developer or a user in the history; its type may be left out."""

    type: Literal["input_text"] = "input_text"
    text: str


class AnsweredTextPart(Shape):
    """Text of the assistant in the history."""

    type: Literal["text", "output_text"] = "text"
    text: str


class HistoryShape(SparseShape):
    """The keys that every message of the history may have."""

    id: str | None = None
    status: Literal["incomplete", "completed"] | None = None
    type: Literal["message"] = "message"


class GivenShape(HistoryShape):
    """A message of a developer or a user, with one text."""

    role: Literal["developer", "user"]
    content: list[GivenTextPart] = Field(min_length=1, max_length=1)


class AnsweredShape(HistoryShape):
    """A message of the assistant, with one text."""

    role: Literal["assistant"]
    content: list[AnsweredTextPart] = Field(min_length=1, max_length=1)


class LiveSessionShape(Shape):
    """The session that ``session.start`` asks for."""

    model: str
    instructions: str | None = None
    audio: AudioShape = AudioShape()
    delegation: Delegation | None = None
    input: list[Annotated[GivenShape | AnsweredShape, Field(discriminator="role")]] = Field(
        default_factory=list, max_length=_MOST_HISTORY
    )
    safety_identifier: str | None = None
    store: bool = False


class LiveSessionStart(EventShape):
    """``session.start``."""

    session: LiveSessionShape


class SessionChange(Shape):
    """What of a session may change once it has begun."""

    delegation: DelegationUpdate | None = None


class LiveSessionUpdate(EventShape):
    """``session.update``."""

    session: SessionChange


class ContextAppend(EventShape):
    """``session.instructions.append``, ``session.thinking.append``, ``session.commentary.append``.

    ``delegation_id`` must be there, though it may be null.
    """

    content: str = Field(min_length=1)
    delegation_id: str | None


class BackendMessageShape(Shape):
    """A message for the backend."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputTextPart]


class BackendOutputShape(Shape):
    """A function's output for the backend."""

    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1, max_length=64)
    output: str | list[InputTextPart]
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None


class ResponseItemCreate(EventShape):
    """``response.item.create``."""

    item: Annotated[BackendMessageShape | BackendOutputShape, Field(discriminator="type")]
