"""Compares a session as its service confirmed it with the session that was asked for. Pure.

Only what both sides spell out is compared: a service may leave out what it took, and fill in what
was left to it. Sides are wire values by field, picked by a dialect's own paths.
"""

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bridge.realtime.wire import WireObject

Settings = Mapping[str, object]
"""Wire values by the names of :data:`_RULES`; what a session object leaves out is not there."""

Paths = Mapping[str, tuple[str, ...]]
"""Where a dialect has each of them in its session object."""


class Harm(enum.Enum):
    """What a difference does to a call."""

    NONE_HEARD = enum.auto()
    """It works, with less than was asked for."""
    HEARD = enum.auto()
    """It works, and the caller hears that something is different."""
    UNUSABLE = enum.auto()
    """The sides don't understand each other: noise, or an agent that never answers."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that was confirmed otherwise; ``field`` is a metric label."""

    field: str
    harm: Harm


def pick(session: WireObject, paths: Paths) -> Settings:
    """Return what a session object says of the fields that are compared."""
    picked = {}
    for field, path in paths.items():
        at: object = session
        for key in path[:-1]:
            at = at.get(key) if isinstance(at, dict) else None
        if isinstance(at, dict) and path[-1] in at:
            picked[field] = at[path[-1]]
    return picked


def differences(asked: Settings, confirmed: Settings) -> tuple[Difference, ...]:
    """Return what was confirmed otherwise than it was asked for."""
    return tuple(
        Difference(field, harm)
        for field, rule in _RULES.items()
        if field in asked and field in confirmed
        for harm in [rule(asked[field], confirmed[field])]
        if harm is not None
    )


def _format(asked: object, confirmed: object) -> Harm | None:
    if isinstance(asked, dict) and isinstance(confirmed, dict):
        return Harm.UNUSABLE if _contradicts(asked, confirmed) else None
    other = isinstance(asked, str) and isinstance(confirmed, str) and asked != confirmed
    return Harm.UNUSABLE if other else None


def _voice(asked: object, confirmed: object) -> Harm | None:
    wanted, given = _voice_name(asked), _voice_name(confirmed)
    return Harm.HEARD if wanted and given and wanted != given else None


def _voice_name(voice: object) -> str | None:
    name = voice.get("id") if isinstance(voice, dict) else voice
    return name.casefold() if isinstance(name, str) else None


def _turn_detection(asked: object, confirmed: object) -> Harm | None:
    if not isinstance(asked, dict) or not isinstance(confirmed, dict):
        return None if asked == confirmed else Harm.UNUSABLE
    if _contradicts(asked, confirmed, "create_response"):
        return Harm.UNUSABLE
    return Harm.NONE_HEARD if _contradicts(asked, confirmed) else None


def _transcription(asked: object, confirmed: object) -> Harm | None:
    if not isinstance(asked, dict):
        return None
    lost = not isinstance(confirmed, dict) or _contradicts(asked, confirmed)
    return Harm.NONE_HEARD if lost else None


def _tools(asked: object, confirmed: object) -> Harm | None:
    if not isinstance(asked, list) or not isinstance(confirmed, list):
        return None
    return None if set(_names(asked)) == set(_names(confirmed)) else Harm.NONE_HEARD


def _other(asked: object, confirmed: object) -> Harm | None:
    """Compare what a template asks for; a null says that it was not taken, or not switched off."""
    if isinstance(asked, dict) and isinstance(confirmed, dict):
        return Harm.NONE_HEARD if _contradicts(asked, confirmed) else None
    if isinstance(asked, float) and isinstance(confirmed, int | float):
        return None if math.isclose(asked, confirmed, rel_tol=1e-6) else Harm.NONE_HEARD
    return None if asked == confirmed else Harm.NONE_HEARD


def _names(tools: list[object]) -> Iterator[str]:
    for tool in tools:
        name = tool.get("name", tool.get("server_label")) if isinstance(tool, dict) else None
        if isinstance(name, str):
            yield name


def _contradicts(asked: WireObject, confirmed: WireObject, *keys: str) -> bool:
    """Return whether both name a value, and not the same one."""
    return any(
        asked[key] is not None and confirmed.get(key) is not None and asked[key] != confirmed[key]
        for key in keys or asked
        if key in asked
    )


_RULES: Mapping[str, Callable[[object, object], Harm | None]] = MappingProxyType(
    {
        "input_format": _format,
        "output_format": _format,
        "voice": _voice,
        "turn_detection": _turn_detection,
        "transcription": _transcription,
        "tools": _tools,
        "noise_reduction": _other,
        "speed": _other,
        "max_output_tokens": _other,
        "temperature": _other,
        "truncation": _other,
        "reasoning": _other,
        "parallel_tool_calls": _other,
    }
)
