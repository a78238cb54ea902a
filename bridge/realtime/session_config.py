"""The settings of a Realtime session and of one response, dialect-free.

Fields left at None are not sent: the server's default stays. Which dialect can express which field
is the business of its adapter (`PROTOCOL.md` sections 4 and 5).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bridge.realtime.items import Item

JsonObject = Mapping[str, object]
"""A JSON object that passes through unread: a tool's JSON Schema, a tracing setting."""


class SessionKind(enum.StrEnum):
    """What a session is for: talking, or transcription alone (no output, no responses)."""

    REALTIME = "realtime"
    TRANSCRIPTION = "transcription"


class AudioFormat(enum.StrEnum):
    """Wire format of audio: 24 kHz 16-bit mono little-endian PCM, or 8 kHz G.711."""

    PCM_24KHZ = "pcm_24khz"
    PCMU = "pcmu"
    PCMA = "pcma"


@dataclass(frozen=True, slots=True)
class ServerVad:
    """Turn detection by level and silence (`PROTOCOL.md` section 4)."""

    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None
    idle_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SemanticVad:
    """Turn detection by meaning."""

    eagerness: str | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


@dataclass(frozen=True, slots=True)
class ManualTurns:
    """Turn detection off (JSON null on the wire)."""


TurnDetection = ServerVad | SemanticVad | ManualTurns


@dataclass(frozen=True, slots=True)
class Transcription:
    """Transcription of the caller, a side channel (not what the model hears).

    Attributes:
        delay: ``minimal`` to ``xhigh``; gpt-realtime-whisper only.
    """

    model: str
    language: str | None = None
    prompt: str | None = None
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    delay: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool that the bridge runs. ``parameters`` is a JSON Schema."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool server that the Realtime server calls by itself; settings pass through unread."""

    server_label: str
    settings: JsonObject = field(default_factory=dict, repr=False)  # tokens are among them


Tool = FunctionTool | McpTool


@dataclass(frozen=True, slots=True)
class McpToolChoice:
    """The model must use a tool of this MCP server; ``name`` None leaves it which."""

    server_label: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RetentionRatio:
    """Truncation of the context to a share of it, once it is full.

    Attributes:
        ratio: what is kept, 0 to 1.
        post_instructions_tokens: limit on what follows the instructions; None for the model's own.
    """

    ratio: float
    post_instructions_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Backend:
    """The model that works for a voice model: it reasons, and calls the tools (Live only).

    Attributes:
        instructions: None gives it those of the session.
        acknowledgement_delay_ms: before the voice is asked to say that it is being worked on.
    """

    model: str
    instructions: str | None = None
    service_tier: str | None = None
    acknowledgement_delay_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What we ask of a session.

    Attributes:
        voice: name of a voice, or the id of a custom one (``voice_...``).
        tool_choice: ``auto``, ``none``, ``required``, a function's name, or an MCP server's tool.
        max_output_tokens: ``inf`` asks for the model's own limit, None for nothing.
        temperature: of the beta; GA has none, but for servers that take it all the same.
        truncation: ``auto``, ``disabled``, or a share to keep (a bare number is its ratio).
        prompt: stored prompt (``id``, ``version``, ``variables``); ends 2026-11-30.
        noise_reduction_strength: goes with ``noise_reduction``.
        backend: to which work is delegated, and with it the tools; None for none.
        switched_off: fields that are sent as JSON null, which is how the wire says off:
            ``noise_reduction``, ``transcription``, ``tracing``.
    """

    instructions: str | None = None
    voice: str | None = None
    speed: float | None = None
    output_audio: bool = True
    input_format: AudioFormat = AudioFormat.PCM_24KHZ
    output_format: AudioFormat = AudioFormat.PCM_24KHZ
    transcription: Transcription | None = None
    noise_reduction: str | None = None
    turn_detection: TurnDetection | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | McpToolChoice | None = None
    max_output_tokens: int | Literal["inf"] | None = None
    temperature: float | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    truncation: str | float | RetentionRatio | None = None
    tracing: str | JsonObject | None = None
    include: tuple[str, ...] = ()
    prompt: JsonObject | None = None
    noise_reduction_strength: float | None = None
    backend: Backend | None = None
    switched_off: frozenset[str] = frozenset()
    kind: SessionKind = SessionKind.REALTIME


@dataclass(frozen=True, slots=True)
class ResponseConfig:
    """Overrides for one response; ``out_of_band`` keeps it out of the conversation."""

    instructions: str | None = None
    output_audio: bool | None = None
    voice: str | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | McpToolChoice | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    input: tuple[Item, ...] | None = None
    out_of_band: bool = False
    output_format: AudioFormat | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    prompt: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What the server says about a session: ids and the few settings that the bridge reads back.

    Attributes:
        session_id: empty where the server left it out.
        expires_at_s: Unix time, seconds.
        settings: as the server has them, in its dialect (:mod:`bridge.realtime.confirmed`).
    """

    session_id: str
    model: str | None = None
    expires_at_s: int | None = None
    voice: str | None = None
    input_format: AudioFormat | None = None
    output_format: AudioFormat | None = None
    settings: JsonObject = field(default_factory=dict, compare=False, repr=False)
