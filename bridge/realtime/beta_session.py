"""Session and response settings as the beta dialect spells them (`PROTOCOL.md` sections 4 and 5).

Flat objects without a ``type``. What came with GA (MCP, reasoning, truncation, stored prompts, idle
timeout, custom voices, newer transcription settings) is left out: a server rejects a whole update
for one unknown key.
"""

from collections.abc import Mapping
from dataclasses import replace

from bridge.realtime.confirmed import Paths, pick
from bridge.realtime.items import Item, PartKind
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    McpToolChoice,
    ResponseConfig,
    ServerVad,
    SessionConfig,
    SessionInfo,
    SessionKind,
    Tool,
    Transcription,
    TurnDetection,
)
from bridge.realtime.wire import (
    WireObject,
    at,
    default_to,
    given,
    if_readable,
    optional,
    optional_str,
    require_int,
    require_str,
)
from bridge.realtime.wire_items import PartNames, encode_input_item, encode_item
from bridge.realtime.wire_settings import (
    differences,
    encode_noise_reduction,
    encode_tool,
    encode_transcription,
    encode_turn_detection,
    explained,
    is_custom_voice,
    nulls,
    transcription_only,
)

PART_NAMES: PartNames = {
    PartKind.INPUT_TEXT: "input_text",
    PartKind.INPUT_AUDIO: "input_audio",
    PartKind.OUTPUT_TEXT: "text",
}

_FORMATS: dict[AudioFormat, str] = {
    AudioFormat.PCM_24KHZ: "pcm16",
    # The beta has no word for a rate: "pcm16" is of whatever rate its server works at.
    AudioFormat.PCM_16KHZ: "pcm16",
    AudioFormat.PCM_8KHZ: "pcm16",
    AudioFormat.PCMU: "g711_ulaw",
    AudioFormat.PCMA: "g711_alaw",
}
_FORMAT_NAMES = {wire: ours for ours, wire in reversed(_FORMATS.items())}
"""Of several, the first: the beta's own is 24 kHz."""


def encode_beta_item(item: Item) -> WireObject:
    """Spell an item that we create.

    Raises:
        ValueError: it holds what no client may create here (images, MCP), or is only carried.
    """
    return encode_item(item, PART_NAMES)


def _sayable_transcription(transcription: Transcription | None) -> Transcription | None:
    if transcription is None:
        return None
    return replace(transcription, languages=(), keywords=(), delay=None)


def _sayable_turns(detection: TurnDetection | None) -> TurnDetection | None:
    return (
        replace(detection, idle_timeout_ms=None) if isinstance(detection, ServerVad) else detection
    )


def _functions(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    return tuple(tool for tool in tools if isinstance(tool, FunctionTool))


def _named_voice(voice: str | None) -> str | None:
    return None if is_custom_voice(voice) else voice


def _tool_choice(choice: str | McpToolChoice | None) -> str | None:
    return None if isinstance(choice, McpToolChoice) else choice


def _sayable(config: SessionConfig) -> SessionConfig:
    transcribes = config.kind is SessionKind.TRANSCRIPTION
    config = transcription_only(config) if transcribes else config
    return replace(
        config,
        voice=_named_voice(config.voice),
        transcription=_sayable_transcription(config.transcription),
        noise_reduction_strength=None,
        turn_detection=_sayable_turns(config.turn_detection),
        tools=_functions(config.tools),
        tool_choice=_tool_choice(config.tool_choice),
        reasoning_effort=None,
        parallel_tool_calls=None,
        truncation=None,
        prompt=None,
        backend=None,
        include=config.include if transcribes else (),
    )


_WHY_NOT = {
    "voice": "custom voices came with GA",
    "tools": "MCP servers came with GA; the beta has functions alone",
    "tool_choice": "MCP servers came with GA",
    "include": "in the beta only a session that transcribes has it",
    "backend": "the beta's one model calls the tools itself",
    "instructions": "a session that transcribes has no output",
}


def unsupported_fields(config: SessionConfig) -> Mapping[str, str]:
    """Name what :func:`encode_session` drops, and why."""
    dropped = differences(config, _sayable(config))
    return explained(dropped, _WHY_NOT, "it came with GA; a beta server refuses the whole update")


def _modalities(output_audio: bool) -> list[str]:
    return ["text", "audio"] if output_audio else ["text"]


def _input(config: SessionConfig) -> WireObject:
    session = given(
        input_audio_format=_FORMATS[config.input_format],
        input_audio_noise_reduction=encode_noise_reduction(config),
        include=list(config.include) or None,
    )
    if config.transcription is not None:
        session["input_audio_transcription"] = encode_transcription(config.transcription)
    if config.turn_detection is not None:
        session["turn_detection"] = encode_turn_detection(config.turn_detection)
    return session | nulls(
        config,
        noise_reduction="input_audio_noise_reduction",
        transcription="input_audio_transcription",
        tracing="tracing",
    )


def encode_session(config: SessionConfig) -> WireObject:
    """Spell ``session`` of session.update or, as the kind is, transcription_session.update."""
    config = _sayable(config)
    if config.kind is SessionKind.TRANSCRIPTION:
        return _input(config)
    return _input(config) | given(
        model=config.model,
        modalities=_modalities(config.output_audio),
        instructions=config.instructions,
        voice=config.voice,
        speed=config.speed,
        output_audio_format=_FORMATS[config.output_format],
        tools=[encode_tool(tool) for tool in config.tools],
        tool_choice=_tool_choice(config.tool_choice),
        temperature=config.temperature,
        max_response_output_tokens=config.max_output_tokens,
        tracing=config.tracing,
    )


def encode_response(config: ResponseConfig) -> WireObject:
    """Spell ``response`` of response.create; empty where nothing overrides the session."""
    return given(
        instructions=config.instructions,
        modalities=None if config.output_audio is None else _modalities(config.output_audio),
        voice=_named_voice(config.voice),
        output_audio_format=None
        if config.output_format is None
        else _FORMATS[config.output_format],
        tools=None
        if config.tools is None
        else [encode_tool(tool) for tool in _functions(config.tools)],
        tool_choice=_tool_choice(config.tool_choice),
        temperature=config.temperature,
        # The SDK's name; the beta's OpenAPI says max_output_tokens (`PROTOCOL.md` section 5).
        max_response_output_tokens=config.max_output_tokens,
        metadata=dict(config.metadata) or None,
        input=None
        if config.input is None
        else [encode_input_item(item, encode_beta_item) for item in config.input],
        conversation="none" if config.out_of_band else None,
    )


def _read_format(obj: WireObject, key: str) -> AudioFormat | None:
    return _FORMAT_NAMES.get(require_str(obj, key))


_session_id = default_to("", require_str)
_expires_at_s = at("expires_at", if_readable(require_int))
_input_format = at("input_audio_format", optional(_read_format))
_output_format = at("output_audio_format", optional(_read_format))

PATHS: Paths = {
    "input_format": ("input_audio_format",),
    "output_format": ("output_audio_format",),
    "voice": ("voice",),
    "turn_detection": ("turn_detection",),
    "transcription": ("input_audio_transcription",),
    "tools": ("tools",),
    "noise_reduction": ("input_audio_noise_reduction",),
    "speed": ("speed",),
    "max_output_tokens": ("max_response_output_tokens",),
    "temperature": ("temperature",),
}
"""Where what is compared stands in beta's session object."""


def read_session(obj: WireObject) -> SessionInfo:
    """Read the few settings of ``session`` that the bridge wants back."""
    return SessionInfo(
        session_id=_session_id(obj, "id"),
        model=optional_str(obj, "model"),
        expires_at_s=_expires_at_s(obj, "expires_at_s"),
        voice=optional_str(obj, "voice"),
        input_format=_input_format(obj, "input_format"),
        output_format=_output_format(obj, "output_format"),
        settings=pick(obj, PATHS),
    )
