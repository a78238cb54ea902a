"""Builds the settings of a call's Realtime session from the fields that are asked for.

They come with GA's words (:mod:`bridge.routing.session_layers`); one table has what each becomes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bridge.config.session_template import TOOL, nested_fields
from bridge.realtime.session_config import (
    Backend,
    FunctionTool,
    ManualTurns,
    McpToolChoice,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Tool,
    Transcription,
    TurnDetection,
)
from bridge.routing.models import Dialplan
from bridge.routing.session_layers import TRANSCRIPTION, TURNS, VOICE, Layers, session_layers
from bridge.routing.tools import mcp_tool

NO_SECRETS: Mapping[str, str] = MappingProxyType({})

Json = Any
"""Any: a value of a field, which its template, or a dialplan, has checked."""


def session_config(dialplan: Dialplan, secrets: Mapping[str, str] = NO_SECRETS) -> SessionConfig:
    """Build the session settings for a call on this dialplan; audio is 24 kHz PCM both ways.

    Args:
        dialplan: the call's, as it is on its arm (:func:`bridge.routing.session_layers.on_arm`).
        secrets: environment variable to value, for the tool servers that need a token.
    """
    return read_config(session_layers(dialplan), secrets)


def read_config(layers: Layers, secrets: Mapping[str, str] = NO_SECRETS) -> SessionConfig:
    """Turn the fields of a session into its settings."""
    tools = [each.value for path, each in layers.items() if path.startswith(TOOL)]
    session = nested_fields(
        {path: each.value for path, each in layers.items() if not path.startswith("tools")}
    )
    values: dict[str, Json] = {"tools": tuple(_tools(tools, secrets))}
    off = []
    for path, (name, read) in _ROWS.items():
        found = _at(session, path)
        if found is None and name in _NULLS:
            off.append(name)
        elif found is not _ABSENT and (found is not None or name == "turn_detection"):
            values[name] = read(found)
    return SessionConfig(**values, switched_off=frozenset(off))


_ABSENT = object()
_NULLS = frozenset({"noise_reduction", "transcription", "tracing"})
"""What the wire switches off by null; elsewhere null takes back what a lower layer asks for."""


def _at(session: Json, path: str) -> Json:
    for key in path.split("."):
        if not isinstance(session, dict) or key not in session:
            return _ABSENT
        session = session[key]
    return session


def _tools(values: Sequence[Json], secrets: Mapping[str, str]) -> Iterator[Tool]:
    yield from (value for value in values if isinstance(value, FunctionTool))
    yield from (mcp_tool(value, secrets) for value in values if isinstance(value, dict))


def _as_it_is(value: Json) -> Json:
    return value


def _voice(voice: Json) -> str | None:
    found = voice.get("id") if isinstance(voice, dict) else voice
    return None if found is None else str(found)


def _turn_detection(turns: Json) -> TurnDetection:
    if turns is None:
        return ManualTurns()
    kind = SemanticVad if turns["type"] == "semantic_vad" else ServerVad
    return kind(**{key: value for key, value in turns.items() if key != "type"})


def _transcription(written: Json) -> Transcription | None:
    given = {key: value for key, value in written.items() if value is not None}
    return Transcription(**given) if "model" in given else None


def _noise_reduction(written: Json) -> str:
    return str(written["type"])


def _backend(written: Json) -> Backend | None:
    given = {key: value for key, value in written.items() if value is not None}
    return Backend(**given) if "model" in given else None


def _tool_choice(choice: Json) -> str | McpToolChoice:
    if isinstance(choice, str):
        return choice
    if choice["type"] == "function":
        return str(choice["name"])
    return McpToolChoice(choice["server_label"], choice.get("name"))


def _truncation(truncation: Json) -> str | RetentionRatio:
    if isinstance(truncation, str):
        return truncation
    limits = truncation.get("token_limits") or {}
    return RetentionRatio(truncation["retention_ratio"], limits.get("post_instructions"))


_ROWS: Mapping[str, tuple[str, Callable[[Json], Json]]] = MappingProxyType(
    {
        "instructions": ("instructions", _as_it_is),
        VOICE: ("voice", _voice),
        "audio.output.speed": ("speed", _as_it_is),
        TRANSCRIPTION: ("transcription", _transcription),
        "audio.input.noise_reduction": ("noise_reduction", _noise_reduction),
        "audio.input.noise_reduction.strength": ("noise_reduction_strength", _as_it_is),
        TURNS: ("turn_detection", _turn_detection),
        "tool_choice": ("tool_choice", _tool_choice),
        "parallel_tool_calls": ("parallel_tool_calls", _as_it_is),
        "max_output_tokens": ("max_output_tokens", _as_it_is),
        "temperature": ("temperature", _as_it_is),
        "reasoning.effort": ("reasoning_effort", _as_it_is),
        "truncation": ("truncation", _truncation),
        "tracing": ("tracing", _as_it_is),
        "include": ("include", _as_it_is),
        "prompt": ("prompt", _as_it_is),
        "delegation": ("backend", _backend),
    }
)
"""GA's path of a field -> the setting that it becomes, and how its value is read.

`output_modalities` has none: the bridge asks for audio in any case.
"""

GA_PATHS: Mapping[str, str] = MappingProxyType({name: path for path, (name, _) in _ROWS.items()})
"""Setting -> GA's path of it."""
