"""Session templates: fields of a Realtime session that an arm, or a dialplan's agent, asks for.

They have GA's words and nesting, whatever the arm's dialect: its adapter converts them
(`PROTOCOL.md` section 4). What is not written is not sent. Null is sent where the protocol has it
for "off" (turn detection, noise reduction, transcription, tracing); elsewhere it takes back what a
lower layer asks for (:mod:`bridge.routing.session_layers`). A field that the bridge itself owns is
refused, with the reason.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, StringConstraints, field_validator

from bridge.config.parts import Part, Text
from bridge.config.tool_templates import FunctionChoiceTemplate, McpChoiceTemplate, McpTemplate
from bridge.realtime.conversion import GA_PLACES

SessionFields = Mapping[str, object]
"""What is asked for, by its path in GA's session object: ``audio.output.speed``.

An MCP server is ``tools[mcp its label]``. Objects stand by their fields, but for those of
:data:`_WHOLE`.
"""

_WHOLE = frozenset({"prompt", "tool_choice", "tracing.metadata"})
"""Objects whose fields mean nothing without each other."""

TOOL = "tools["
"""Paths of tools begin so."""


class ServerVadTurns(Part):
    """Turns end by level and silence (`PROTOCOL.md` section 4); None: the server's default.

    Attributes:
        type: `server_vad`.
        threshold: 0 to 1; higher for noisy lines.
        prefix_padding_ms: audio kept from before the speech began.
        silence_duration_ms: silence that ends a turn.
        create_response: the service answers by itself; only where it decides on interruptions.
        interrupt_response: the service stops the agent by itself; likewise.
        idle_timeout_ms: the agent speaks up if the caller says nothing for so long; GA alone.
    """

    type: Literal["server_vad"]
    threshold: float | None = Field(None, ge=0, le=1)
    prefix_padding_ms: int | None = Field(None, ge=0, le=5000)
    silence_duration_ms: int | None = Field(None, ge=0, le=10_000)
    create_response: bool | None = None
    interrupt_response: bool | None = None
    idle_timeout_ms: int | None = Field(None, ge=5000, le=30_000)


class SemanticVadTurns(Part):
    """Turns end by meaning (`PROTOCOL.md` section 4).

    Attributes:
        type: `semantic_vad`.
        eagerness: `low`, `medium`, `high` or `auto`.
        create_response: the service answers by itself; only where it decides on interruptions.
        interrupt_response: the service stops the agent by itself; likewise.
    """

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class NoiseReductionTemplate(Part):
    """Noise is taken out before turn detection and model.

    Attributes:
        type: `near_field` or `far_field`.
        strength: of the suppression; GA alone.
    """

    type: Literal["near_field", "far_field"]
    strength: float | None = Field(None, ge=0)


class TranscriptionTemplate(Part):
    """The caller's words are written down, beside what the model hears.

    Attributes:
        model: that does it.
        language: ISO 639-1, like `en`.
        languages: several that are possible; GA alone.
        keywords: words and names to expect; GA alone.
        prompt: style and subject, in the model's own form.
        delay: `minimal` to `xhigh`: what is waited for better words; GA alone.
    """

    model: Text | None = None
    language: Text | None = None
    languages: tuple[Text, ...] | None = None
    keywords: tuple[Text, ...] | None = None
    prompt: Text | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


_FORMAT_WHY = "the bridge sends and plays 24 kHz PCM, and says so itself"


class InputTemplate(Part):
    """The caller's audio, and how their turns end.

    Attributes:
        noise_reduction: null for none.
        transcription: null for none.
        turn_detection: `server_vad` or `semantic_vad`, as a dialplan's `agent.turn_detection`; null
            for none.
    """

    why_not: ClassVar[Mapping[str, str]] = MappingProxyType({"format": _FORMAT_WHY})

    noise_reduction: NoiseReductionTemplate | None = None
    transcription: TranscriptionTemplate | None = None
    turn_detection: (
        Annotated[ServerVadTurns | SemanticVadTurns, Field(discriminator="type")] | None
    ) = None


class CustomVoiceTemplate(Part):
    """A voice of one's own.

    Attributes:
        id: `voice_...`.
    """

    id: Annotated[str, StringConstraints(pattern=r"^voice_")]


class OutputTemplate(Part):
    """The agent's audio.

    Attributes:
        voice: a name, or `id` of a voice of one's own. The arm's own `voice` and the agent's say
            the same.
        speed: of the speech, 0.25 to 1.5.
    """

    why_not: ClassVar[Mapping[str, str]] = MappingProxyType({"format": _FORMAT_WHY})

    voice: Text | CustomVoiceTemplate | None = None
    speed: float | None = Field(None, ge=0.25, le=1.5)


class AudioTemplate(Part):
    """Both ways of the audio.

    Attributes:
        input: the caller's.
        output: the agent's.
    """

    input: InputTemplate | None = None
    output: OutputTemplate | None = None


class BackendTemplate(Part):
    """The model that a full-duplex voice gives work to: it reasons, and calls the tools.

    Attributes:
        model: of the Responses API.
        instructions: null for the agent's own.
        service_tier: of its requests.
        acknowledgement_delay_ms: before the voice is asked to say that it is being worked on.
    """

    model: Text | None = None
    instructions: Text | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    acknowledgement_delay_ms: int | None = Field(None, ge=0, le=60_000)


class ReasoningTemplate(Part):
    """The thought that a reasoning model gives to an answer.

    Attributes:
        effort: `minimal` to `xhigh`.
    """

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class TokenLimitsTemplate(Part):
    """Limits of the conversation.

    Attributes:
        post_instructions: tokens of what follows the instructions.
    """

    post_instructions: int | None = Field(None, ge=0)


class RetentionTemplate(Part):
    """A full conversation is cut to a share of itself.

    Attributes:
        type: `retention_ratio`.
        retention_ratio: the share, 0 to 1.
        token_limits: when it counts as full; null for the model's own limit.
    """

    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0, le=1)
    token_limits: TokenLimitsTemplate | None = None


class TracingTemplate(Part):
    """Names under which the service keeps traces.

    Attributes:
        workflow_name: of the trace.
        group_id: of traces that belong together.
        metadata: goes along unread.
    """

    workflow_name: Text | None = None
    group_id: Text | None = None
    metadata: dict[str, JsonValue] | None = None


class PromptTemplate(Part):
    """A prompt that the service keeps; it keeps none from 2026-11-30 on.

    Attributes:
        id: of the prompt.
        version: null for the latest.
        variables: name -> text, or a part as the service's reference has it.
    """

    id: Text
    version: Text | None = None
    variables: dict[str, str | dict[str, JsonValue]] | None = None


_BETAS_WORD = (
    "it is the beta's word (`bridge check --convert-session FILE --template` converts a whole"
    " session); GA's is"
)


class SessionTemplate(Part):
    """Fields of a Realtime session, in GA's words; what is not written is not sent.

    Attributes:
        audio: both ways.
        output_modalities: `[audio]`, which the bridge asks for anyway.
        tools: servers that the service calls by itself. The bridge's own tools are `agent.tools` of
            a dialplan.
        tool_choice: `auto`, `none`, `required`, one function, or one server's tools.
        parallel_tool_calls: reasoning models alone.
        max_output_tokens: longest answer, or `inf`.
        temperature: of the beta, and of GA servers that an arm's `takes` says it of.
        reasoning: reasoning models alone; GA alone.
        truncation: `auto`, `disabled` or a share to keep; GA alone.
        tracing: `auto`, or names; null for none.
        include: `item.input_audio_transcription.logprobs`; GA alone.
        prompt: a stored one; GA alone.
        delegation: to whom the voice gives work; Live alone, where no backend means no tools.
    """

    why_not: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "type": "a call's session is always `realtime`",
            "model": "the arm's `model` names it, and the connection's URL carries it",
            "instructions": "the dialplan's `agent.instructions` are these, and would always win",
            **{beta: f"{_BETAS_WORD} {ga}" for beta, ga in GA_PLACES.items() if beta != ga},
        }
    )

    audio: AudioTemplate | None = None
    output_modalities: tuple[str, ...] | None = None
    tools: tuple[McpTemplate, ...] | None = None
    tool_choice: (
        Literal["auto", "none", "required"] | FunctionChoiceTemplate | McpChoiceTemplate | None
    ) = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | Literal["inf"] | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    reasoning: ReasoningTemplate | None = None
    truncation: Literal["auto", "disabled"] | RetentionTemplate | None = None
    tracing: Literal["auto"] | TracingTemplate | None = None
    include: tuple[Literal["item.input_audio_transcription.logprobs"], ...] | None = None
    prompt: PromptTemplate | None = None
    delegation: BackendTemplate | None = None

    @field_validator("output_modalities")
    @classmethod
    def _is_heard(cls, modalities: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if modalities is not None and modalities != ("audio",):
            raise ValueError(
                "should be [audio]: text alone would not be heard, and GA takes exactly one"
            )
        return modalities

    @field_validator("tools")
    @classmethod
    def _labels_differ(
        cls, tools: tuple[McpTemplate, ...] | None
    ) -> tuple[McpTemplate, ...] | None:
        labels = [each.server_label for each in tools or ()]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"has a server twice: {', '.join(twice)}")
        return tools

    @property
    def turns(self) -> ServerVadTurns | SemanticVadTurns | None:
        """The turn detection, if any is asked for."""
        heard = None if self.audio is None else self.audio.input
        return None if heard is None else heard.turn_detection

    def fields(self) -> SessionFields:
        """Return what it asks for, each field by its path."""
        return dict(_flat(self.model_dump(exclude_unset=True)))

    def without_tools(self) -> "SessionTemplate":
        """Return it for an agent with other tools than those that it was written for."""
        kept = self.model_dump(exclude_unset=True, exclude={"tools", "tool_choice"})
        return SessionTemplate.model_validate(kept)


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if path == "tools" and isinstance(value, list | tuple) and value:
        yield from ((f"{TOOL}mcp {each['server_label']}]", each) for each in value)
    elif not isinstance(value, dict) or path in _WHOLE:
        yield path, value
    else:
        # The type first: it says whether the other fields mean the same as a lower layer's.
        for key in sorted(value, key=lambda key: key != "type"):
            yield from _flat(value[key], f"{path}.{key}" if path else key)


def nested_fields(fields: SessionFields) -> dict[str, Any]:  # Any: JSON of any depth
    """Return fields as the object that they stand in; the opposite of `SessionTemplate.fields`."""
    session: dict[str, Any] = {}
    for path, value in fields.items():
        if path.startswith(TOOL):
            session.setdefault("tools", []).append(value)
            continue
        *above, last = path.split(".")
        place = session
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value
    return session
