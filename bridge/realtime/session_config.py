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
    """Wire format of audio, mono: 16-bit little-endian PCM, or G.711's bytes at 8 kHz."""

    PCM_24KHZ = "pcm24k"
    PCM_16KHZ = "pcm16k"
    PCM_8KHZ = "pcm8k"
    PCMU = "pcmu"
    PCMA = "pcma"

    @property
    def is_pcm(self) -> bool:
        """Whether its samples are 16-bit numbers; else G.711's codes, a byte each."""
        return self not in (AudioFormat.PCMU, AudioFormat.PCMA)

    @property
    def rate_hz(self) -> int:
        """Samples a second."""
        return _RATES_HZ.get(self, 8_000)

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample."""
        return 2 if self.is_pcm else 1

    @property
    def bytes_per_ms(self) -> int:
        """Bytes of a millisecond: 48 of 24 kHz PCM, 8 of G.711."""
        return self.rate_hz * self.sample_bytes // 1000


_RATES_HZ = {AudioFormat.PCM_24KHZ: 24_000, AudioFormat.PCM_16KHZ: 16_000}


@dataclass(frozen=True, slots=True)
class AudioFormats:
    """The wire formats of a session: of what it hears, and of what it says."""

    input: AudioFormat = AudioFormat.PCM_24KHZ
    output: AudioFormat = AudioFormat.PCM_24KHZ

    @property
    def codec(self) -> Literal["PCMU", "PCMA"] | None:
        """The phone's codec that goes straight through; None where there is none."""
        return _CODECS.get(self.input) or _CODECS.get(self.output)


_CODECS: Mapping[AudioFormat, Literal["PCMU", "PCMA"]] = {
    AudioFormat.PCMU: "PCMU",
    AudioFormat.PCMA: "PCMA",
}

PCM_24KHZ_BOTH_WAYS = AudioFormats()


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
        model: for servers whose sessions name it; others know it by their URL.
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
    model: str | None = None


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
