"""Encodes settings that dialects spell alike (`PROTOCOL.md` section 4), and names dropped ones.

A dialect that cannot say something first makes the settings sayable, then spells them; what was
dropped is the difference (:func:`differences`), so that what is named is what is not sent.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard, assert_never

from bridge.realtime.session_config import (
    FunctionTool,
    ManualTurns,
    McpTool,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionKind,
    Tool,
    Transcription,
    TurnDetection,
)
from bridge.realtime.wire import WireObject, given


def is_custom_voice(voice: str | None) -> TypeGuard[str]:
    """Return whether a voice is a custom voice's id rather than a voice's name."""
    return voice is not None and voice.startswith("voice_")


def transcription_only(config: SessionConfig) -> SessionConfig:
    """Reduce the settings to what a transcription session has: input, no output, no responses."""
    return SessionConfig(
        kind=SessionKind.TRANSCRIPTION,
        input_format=config.input_format,
        transcription=config.transcription,
        noise_reduction=config.noise_reduction,
        noise_reduction_strength=config.noise_reduction_strength,
        turn_detection=config.turn_detection,
        include=config.include,
        switched_off=config.switched_off & {"noise_reduction", "transcription"},
    )


def differences(asked: object, sayable: object, path: str = "") -> Iterator[str]:
    """Name the fields of ``asked`` that are not in ``sayable``, as ``turn_detection.threshold``.

    Args:
        asked: settings, or a value within them.
        sayable: the same, less what a dialect cannot say.
        path: where in the settings.
    """
    if asked == sayable:
        return
    if (
        dataclasses.is_dataclass(asked)
        and not isinstance(asked, type)
        and type(asked) is type(sayable)
    ):
        for field in dataclasses.fields(asked):
            inner = f"{path}.{field.name}" if path else field.name
            yield from differences(getattr(asked, field.name), getattr(sayable, field.name), inner)
    elif isinstance(asked, Sequence) and isinstance(sayable, tuple) and sayable:
        for index, element in enumerate(asked):
            if element not in sayable:
                yield f"{path}[{index}]"
    else:
        yield path


def explained(
    names: Iterable[str], reasons: Mapping[str, str], otherwise: str
) -> Mapping[str, str]:
    """Give each field that a dialect drops its reason.

    Args:
        names: as :func:`differences` has them.
        reasons: by name, without a place in a list.
        otherwise: the reason of all others.
    """
    return {name: reasons.get(name.partition("[")[0], otherwise) for name in names}


def nulls(config: SessionConfig, **wire_names: str) -> WireObject:
    """Spell what is switched off as null, by the name that a dialect has for each field."""
    return {name: None for field, name in wire_names.items() if field in config.switched_off}


def encode_transcription(transcription: Transcription) -> WireObject:
    """Spell the transcription of the caller."""
    return given(
        model=transcription.model,
        language=transcription.language,
        prompt=transcription.prompt,
        languages=list(transcription.languages) or None,
        keywords=list(transcription.keywords) or None,
        delay=transcription.delay,
    )


def encode_noise_reduction(config: SessionConfig) -> WireObject | None:
    """Spell noise reduction; None where none is asked."""
    if config.noise_reduction is None:
        return None
    return given(type=config.noise_reduction, strength=config.noise_reduction_strength)


def encode_turn_detection(detection: TurnDetection) -> WireObject | None:
    """Spell turn detection; None (JSON null) is how the wire says off."""
    match detection:
        case ServerVad():
            return given(
                type="server_vad",
                threshold=detection.threshold,
                prefix_padding_ms=detection.prefix_padding_ms,
                silence_duration_ms=detection.silence_duration_ms,
                create_response=detection.create_response,
                interrupt_response=detection.interrupt_response,
                idle_timeout_ms=detection.idle_timeout_ms,
            )
        case SemanticVad():
            return given(
                type="semantic_vad",
                eagerness=detection.eagerness,
                create_response=detection.create_response,
                interrupt_response=detection.interrupt_response,
            )
        case ManualTurns():
            return None
        case _:
            assert_never(detection)


def encode_tool(tool: Tool) -> WireObject:
    """Spell a tool (flat: there is no nested ``function`` object)."""
    match tool:
        case FunctionTool():
            return {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }
        case McpTool():
            return {**tool.settings, "type": "mcp", "server_label": tool.server_label}
        case _:
            assert_never(tool)
