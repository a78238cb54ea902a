"""Session and response settings as the GA dialect spells them (`PROTOCOL.md` sections 4 and 5)."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import TypeVar

from bridge.realtime.confirmed import Paths, pick
from bridge.realtime.items import Item, McpApproval, PartKind
from bridge.realtime.session_config import (
    AudioFormat,
    JsonObject,
    McpToolChoice,
    ResponseConfig,
    RetentionRatio,
    SessionConfig,
    SessionInfo,
    SessionKind,
)
from bridge.realtime.wire import (
    Reader,
    WireObject,
    at,
    default_to,
    given,
    if_readable,
    inside_if_any,
    nested,
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

T = TypeVar("T")

PART_NAMES: PartNames = {
    PartKind.INPUT_TEXT: "input_text",
    PartKind.INPUT_AUDIO: "input_audio",
    PartKind.INPUT_IMAGE: "input_image",
    PartKind.OUTPUT_TEXT: "output_text",
}

_FORMATS: dict[AudioFormat, WireObject] = {
    AudioFormat.PCM_24KHZ: {"type": "audio/pcm", "rate": 24000},
    AudioFormat.PCM_16KHZ: {"type": "audio/pcm", "rate": 16000},
    AudioFormat.PCM_8KHZ: {"type": "audio/pcm", "rate": 8000},
    AudioFormat.PCMU: {"type": "audio/pcmu"},
    AudioFormat.PCMA: {"type": "audio/pcma"},
}
_TOOL_CHOICES = frozenset({"auto", "none", "required"})


def encode_ga_item(item: Item) -> WireObject:
    """Spell an item that we create.

    Raises:
        ValueError: it holds what no client may create, or is only carried.
    """
    if isinstance(item, McpApproval):
        return given(
            type=item.type,
            id=item.item_id,
            approval_request_id=item.approval_request_id,
            approve=item.approve,
            reason=item.reason,
        )
    return encode_item(item, PART_NAMES)


def _voice(voice: str | None) -> str | WireObject | None:
    return {"id": voice} if is_custom_voice(voice) else voice


def _modalities(output_audio: bool) -> list[str]:
    # Exactly one; "audio" includes the transcript.
    return ["audio" if output_audio else "text"]


def _tool_choice(choice: str | McpToolChoice | None) -> str | WireObject | None:
    if isinstance(choice, McpToolChoice):
        return given(type="mcp", server_label=choice.server_label, name=choice.name)
    if choice is None or choice in _TOOL_CHOICES:
        return choice
    return {"type": "function", "name": choice}


def _truncation(truncation: str | float | RetentionRatio | None) -> str | WireObject | None:
    if truncation is None or isinstance(truncation, str):
        return truncation
    if not isinstance(truncation, RetentionRatio):
        truncation = RetentionRatio(truncation)
    limit = truncation.post_instructions_tokens
    return given(
        type="retention_ratio",
        retention_ratio=truncation.ratio,
        token_limits=None if limit is None else {"post_instructions": limit},
    )


def _reasoning(effort: str | None) -> WireObject | None:
    return {"effort": effort} if effort else None


def _prompt(prompt: JsonObject | None) -> WireObject | None:
    return None if prompt is None else dict(prompt)


def _input_audio(config: SessionConfig) -> WireObject:
    audio = given(
        format=_FORMATS[config.input_format], noise_reduction=encode_noise_reduction(config)
    )
    if config.transcription is not None:
        audio["transcription"] = encode_transcription(config.transcription)
    if config.turn_detection is not None:
        audio["turn_detection"] = encode_turn_detection(config.turn_detection)
    off = nulls(config, noise_reduction="noise_reduction", transcription="transcription")
    return audio | off


def encode_session(config: SessionConfig) -> WireObject:
    """Spell ``session`` of session.update; ``type`` is required even in partial updates."""
    if config.kind is SessionKind.TRANSCRIPTION:
        return given(
            type=config.kind,
            audio={"input": _input_audio(config)},
            include=list(config.include) or None,
        )
    return given(
        type=config.kind,
        model=config.model,
        output_modalities=_modalities(config.output_audio),
        instructions=config.instructions,
        audio={
            "input": _input_audio(config),
            "output": given(
                format=_FORMATS[config.output_format],
                voice=_voice(config.voice),
                speed=config.speed,
            ),
        },
        tools=[encode_tool(tool) for tool in config.tools],
        tool_choice=_tool_choice(config.tool_choice),
        max_output_tokens=config.max_output_tokens,
        reasoning=_reasoning(config.reasoning_effort),
        parallel_tool_calls=config.parallel_tool_calls,
        truncation=_truncation(config.truncation),
        tracing=config.tracing,
        include=list(config.include) or None,
        prompt=_prompt(config.prompt),
        temperature=config.temperature,
    ) | nulls(config, tracing="tracing")


_WHY_NOT = {
    "backend": "GA's one model calls the tools itself",
    "temperature": "GA has none, and a server refuses the whole update for it; where this server"
    " takes it all the same, the arm's `takes: [temperature]` says so",
}


def sayable_in_ga(config: SessionConfig, takes: Collection[str] = ()) -> SessionConfig:
    """Reduce the settings to what a server takes: it rejects a whole update for one other key.

    Args:
        config: what is asked for.
        takes: fields of another dialect that this server takes all the same.
    """
    if config.kind is SessionKind.TRANSCRIPTION:
        return transcription_only(config)
    taken = config.temperature if "temperature" in takes else None
    return dataclasses.replace(config, temperature=taken, backend=None)


def unsupported_fields(config: SessionConfig, takes: Collection[str]) -> Mapping[str, str]:
    """Name what :func:`sayable_in_ga` drops, and why."""
    dropped = differences(config, sayable_in_ga(config, takes))
    return explained(dropped, _WHY_NOT, "a session that transcribes has no output")


def encode_response(config: ResponseConfig) -> WireObject:
    """Spell ``response`` of response.create; empty where nothing overrides the session."""
    output = given(
        format=None if config.output_format is None else _FORMATS[config.output_format],
        voice=_voice(config.voice),
    )
    return given(
        instructions=config.instructions,
        output_modalities=None if config.output_audio is None else _modalities(config.output_audio),
        audio={"output": output} if output else None,
        tools=None if config.tools is None else [encode_tool(tool) for tool in config.tools],
        tool_choice=_tool_choice(config.tool_choice),
        max_output_tokens=config.max_output_tokens,
        metadata=dict(config.metadata) or None,
        input=None
        if config.input is None
        else [encode_input_item(item, encode_ga_item) for item in config.input],
        conversation="none" if config.out_of_band else None,
        reasoning=_reasoning(config.reasoning_effort),
        parallel_tool_calls=config.parallel_tool_calls,
        prompt=_prompt(config.prompt),
    )


def _read_format(obj: WireObject) -> AudioFormat | None:
    # Where the rate is left out, it is GA's own, the first of them.
    return next((ours for ours, wire in _FORMATS.items() if wire == wire | obj), None)


def _read_voice(obj: WireObject, key: str) -> str | None:
    # A custom voice is an object: {"id": "voice_..."}.
    if isinstance(obj.get(key), dict):
        return nested(lambda voice: require_str(voice, "id"))(obj, key)
    return optional_str(obj, key)


def _audio(side: str, key: str, read: Reader[T]) -> Reader[T]:
    return inside_if_any("audio", inside_if_any(side, at(key, read)))


_session_id = default_to("", require_str)
_expires_at_s = if_readable(require_int)
_format = optional(nested(_read_format))
_voice_name = _audio("output", "voice", _read_voice)
_input_format = _audio("input", "format", _format)
_output_format = _audio("output", "format", _format)

PATHS: Paths = {
    "input_format": ("audio", "input", "format"),
    "output_format": ("audio", "output", "format"),
    "voice": ("audio", "output", "voice"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "transcription": ("audio", "input", "transcription"),
    "tools": ("tools",),
    "noise_reduction": ("audio", "input", "noise_reduction"),
    "speed": ("audio", "output", "speed"),
    "max_output_tokens": ("max_output_tokens",),
    "temperature": ("temperature",),
    "truncation": ("truncation",),
    "reasoning": ("reasoning",),
    "parallel_tool_calls": ("parallel_tool_calls",),
}
"""Where what is compared stands in GA's session object."""


def read_session(obj: WireObject) -> SessionInfo:
    """Read the few settings of ``session`` that the bridge wants back."""
    return SessionInfo(
        session_id=_session_id(obj, "id"),
        model=optional_str(obj, "model"),
        expires_at_s=_expires_at_s(obj, "expires_at"),
        voice=_voice_name(obj, "voice"),
        input_format=_input_format(obj, "input_format"),
        output_format=_output_format(obj, "output_format"),
        settings=pick(obj, PATHS),
    )
