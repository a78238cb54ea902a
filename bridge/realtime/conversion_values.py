"""Values of a beta session's fields, as GA spells them (`PROTOCOL.md` section 4). Pure.

Each ``convert_*`` takes a JSON value and its path. It raises ConfigError for what no beta server
would have taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bridge.errors import ConfigError
from bridge.realtime.wire import WireObject

Json = object
"""A JSON value as :func:`json.loads` gives it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A converted value; the report on it, and inner fields that were dropped."""

    value: Json
    why: str = ""
    dropped: tuple[tuple[str, str], ...] = ()


Convert = Callable[[Json, str], Value]

_FORMATS: Mapping[str, WireObject] = MappingProxyType(
    {
        "pcm16": {"type": "audio/pcm", "rate": 24000},
        "g711_ulaw": {"type": "audio/pcmu"},
        "g711_alaw": {"type": "audio/pcma"},
    }
)
_VAD_FIELDS = MappingProxyType(
    {
        "server_vad": {
            "threshold": float,
            "prefix_padding_ms": int,
            "silence_duration_ms": int,
            "create_response": bool,
            "interrupt_response": bool,
            "idle_timeout_ms": int,
        },
        "semantic_vad": {"eagerness": str, "create_response": bool, "interrupt_response": bool},
    }
)
NO_FIELD = "no dialect has such a field; a server refuses the whole update for it"
MISREAD = MappingProxyType(
    {
        "prefix_padding": "the field is prefix_padding_ms, in both dialects",
        "silence_duration": "the field is silence_duration_ms, in both dialects",
        "mcp_servers": "an MCP server is an entry of `tools` in GA",
        "image_input": "an image is a part of a message (input_image); no setting turns it on",
        "async_functions": "functions may be answered at any time; no setting turns it on",
    }
)
"""Claims in circulation (`PROTOCOL.md` section 9), answered."""


def bad_value(path: str, wanted: str) -> ConfigError:
    """Return the error for a value that is not what the beta wanted."""
    return ConfigError(
        f"{path} is not {wanted}", remedy="give the settings as the beta server took them"
    )


def _of_type(value: Json, kind: type, path: str) -> Json:
    number = kind is float and isinstance(value, int)
    if isinstance(value, bool) is not (kind is bool) or not (number or isinstance(value, kind)):
        names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        raise bad_value(path, names[kind])
    return value


def require_object(value: Json, path: str) -> WireObject:
    """Return a JSON object.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(value, dict):
        raise bad_value(path, "an object")
    return value


def convert_text(value: Json, path: str) -> Value:
    """Keep a text."""
    return Value(_of_type(value, str, path))


def convert_speed(value: Json, path: str) -> Value:
    """Keep ``speed``, 0.25 to 1.5."""
    speed = _of_type(value, float, path)
    if not (isinstance(speed, int | float) and 0.25 <= speed <= 1.5):
        raise bad_value(path, "between 0.25 and 1.5")
    return Value(speed)


def convert_modalities(value: Json, path: str) -> Value:
    """Turn ``modalities`` into the one that GA allows."""
    if value == ["text"]:
        return Value(["text"])
    if isinstance(value, list) and sorted(map(str, value)) in (["audio"], ["audio", "text"]):
        return Value(["audio"], "exactly one in GA; audio brings its transcript along")
    raise bad_value(path, '["text"] or ["text", "audio"]')


def convert_format(value: Json, path: str) -> Value:
    """Turn the name of an audio format into GA's object."""
    if not isinstance(value, str) or value not in _FORMATS:
        raise bad_value(path, f"one of {', '.join(_FORMATS)}")
    return Value(dict(_FORMATS[value]), "an object in GA")


def _kept_fields(
    value: WireObject, known: Mapping[str, type], path: str
) -> tuple[WireObject, tuple[tuple[str, str], ...]]:
    """Return what GA knows of an object, and what was dropped. A null leaves the default."""
    kept = {
        key: _of_type(inner, known[key], f"{path}.{key}")
        for key, inner in value.items()
        if key in known and inner is not None
    }
    dropped = tuple((key, MISREAD.get(key, NO_FIELD)) for key in value if key not in known)
    return kept, dropped


def convert_transcription(value: Json, path: str) -> Value:
    """Keep what GA knows of ``input_audio_transcription``; null is off."""
    if value is None:
        return Value(None)
    fields = {"model": str, "language": str, "prompt": str}
    kept, dropped = _kept_fields(require_object(value, path), fields, path)
    ends = kept.get("model") in ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
    why = "its model ends on 2027-02-26; gpt-transcribe comes after it" if ends else ""
    return Value(kept, why, dropped)


def convert_noise_reduction(value: Json, path: str) -> Value:
    """Keep ``input_audio_noise_reduction``; null is off."""
    if value is None:
        return Value(None)
    kept, dropped = _kept_fields(require_object(value, path), {"type": str}, path)
    if kept.get("type") not in ("near_field", "far_field"):
        raise bad_value(f"{path}.type", "near_field or far_field")
    return Value(kept, "", dropped)


def convert_turn_detection(value: Json, path: str) -> Value:
    """Keep ``turn_detection``, whose fields have the same names in GA; null is off."""
    if value is None:
        return Value(None)
    detection = require_object(value, path)
    kind = detection.get("type", "server_vad")
    if kind == "none":
        return Value(None, "off is null; no dialect has a type `none`")
    if not isinstance(kind, str) or kind not in _VAD_FIELDS:
        raise bad_value(f"{path}.type", "server_vad or semantic_vad")
    inner = {key: each for key, each in detection.items() if key != "type"}
    kept, dropped = _kept_fields(inner, _VAD_FIELDS[kind], path)
    return Value({"type": kind, **kept}, "", dropped)


def convert_tools(value: Json, path: str) -> Value:
    """Keep the functions."""
    if not isinstance(value, list):
        raise bad_value(path, "a list")
    tools: list[WireObject] = []
    dropped: list[tuple[str, str]] = []
    for index, each in enumerate(value):
        place = f"{path}[{index}]"
        tool = require_object(each, place)
        if tool.get("type", "function") != "function":
            dropped.append((f"[{index}]", "the beta has functions alone"))
            continue
        if "function" in tool:
            # As Chat Completions nests it; no Realtime dialect does.
            tool = require_object(tool["function"], f"{place}.function")
        known = {"name": str, "description": str}
        rest = {key: inner for key, inner in tool.items() if key not in ("type", "parameters")}
        kept, lost = _kept_fields(rest, known, place)
        if "name" not in kept:
            raise bad_value(f"{place}.name", "given")
        dropped += [(f"[{index}].{key}", why) for key, why in lost]
        parameters = tool.get("parameters")
        schema = {} if parameters is None else require_object(parameters, f"{place}.parameters")
        tools.append({"type": "function", **kept, "parameters": schema})
    return Value(tools, "", tuple(dropped))


def convert_tool_choice(value: Json, path: str) -> Value:
    """Turn a function's name into GA's object."""
    if isinstance(value, dict) and value.get("type") == "function":
        value = value.get("name")
    name = _of_type(value, str, path)
    if name in ("auto", "none", "required"):
        return Value(name)
    return Value({"type": "function", "name": name}, "a function is named by an object in GA")


def convert_max_tokens(value: Json, path: str) -> Value:
    """Keep a limit, or ``inf``."""
    if value == "inf":
        return Value(value)
    limit = _of_type(value, int, path)
    if not (isinstance(limit, int) and limit >= 1):
        raise bad_value(path, "1 or more, or inf")
    return Value(limit)


def convert_tracing(value: Json, path: str) -> Value:
    """Keep ``tracing``, its inside unread."""
    if value is None or value == "auto":
        return Value(value)
    return Value(require_object(value, path))


def convert_include(value: Json, path: str) -> Value:
    """Keep ``include``."""
    known = ["item.input_audio_transcription.logprobs"]
    if value is not None and value not in ([], known):
        raise bad_value(path, f"{known}")
    return Value(value)
