"""A beta session's settings, rewritten as GA has them (`PROTOCOL.md` section 4). Pure.

One table: where each beta field goes, and how its value is spelt there. What has no place in GA is
left out, because a server refuses a whole update for one key that it does not know, and every
change is reported. What is refused here, no server would have taken in the beta either.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bridge.errors import ConfigError
from bridge.realtime.conversion_values import (
    MISREAD,
    NO_FIELD,
    Convert,
    Json,
    convert_format,
    convert_include,
    convert_max_tokens,
    convert_modalities,
    convert_noise_reduction,
    convert_speed,
    convert_text,
    convert_tool_choice,
    convert_tools,
    convert_tracing,
    convert_transcription,
    convert_turn_detection,
    require_object,
)
from bridge.realtime.wire import WireObject

_UNKNOWN = frozenset({NO_FIELD, *MISREAD.values()})

GaPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a beta field.

    Attributes:
        beta: its path, ``session.voice``.
        ga: its new path; None where it was dropped.
        why: the reason, or what to look at; "" for a field that only moved.
    """

    beta: str
    ga: str | None
    why: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether neither dialect has such a field: a slip, or a claim that is wrong."""
        return self.ga is None and self.why in _UNKNOWN

    def __str__(self) -> str:
        verb = f"dropped {self.beta}" if self.ga is None else f"{self.beta} -> {self.ga}"
        return f"{verb}: {self.why}" if self.why else verb


@dataclass(frozen=True, slots=True)
class Converted:
    """The GA form.

    Attributes:
        content: a ``session.update`` where one was given, else the session alone.
    """

    content: WireObject
    changes: tuple[Change, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Paths that were dropped because neither dialect has them."""
        return tuple(change.beta for change in self.changes if change.is_unknown)


_INPUT: Mapping[str, tuple[GaPath, Convert]] = MappingProxyType(
    {
        "input_audio_format": (("audio", "input", "format"), convert_format),
        "input_audio_transcription": (("audio", "input", "transcription"), convert_transcription),
        "input_audio_noise_reduction": (
            ("audio", "input", "noise_reduction"),
            convert_noise_reduction,
        ),
        "turn_detection": (("audio", "input", "turn_detection"), convert_turn_detection),
        "include": (("include",), convert_include),
    }
)
_TALK: Mapping[str, tuple[GaPath, Convert]] = MappingProxyType(
    {
        "modalities": (("output_modalities",), convert_modalities),
        "instructions": (("instructions",), convert_text),
        "voice": (("audio", "output", "voice"), convert_text),
        "speed": (("audio", "output", "speed"), convert_speed),
        "output_audio_format": (("audio", "output", "format"), convert_format),
        "tools": (("tools",), convert_tools),
        "tool_choice": (("tool_choice",), convert_tool_choice),
        "max_response_output_tokens": (("max_output_tokens",), convert_max_tokens),
        "max_output_tokens": (("max_output_tokens",), convert_max_tokens),
        "tracing": (("tracing",), convert_tracing),
    }
)
"""Of sessions that talk; one that transcribes has no output."""

GA_PLACES: Mapping[str, str] = MappingProxyType(
    {name: ".".join(path) for name, (path, _) in {**_INPUT, **_TALK}.items()}
)
"""The beta's name of a field -> GA's path of it."""

_DROPPED: Mapping[str, str] = MappingProxyType(
    {
        "temperature": "GA has none; a server refuses the whole update for it",
        "model": "stands in the connection's URL or in its token; the beta's models have ended",
        "client_secret": "belongs to the reply of the beta's token endpoint; GA has "
        "POST /v1/realtime/client_secrets",
        "id": "the server's own",
        "object": "the server's own",
        "expires_at": "the server's own",
    }
)

_UPDATES = {"session.update": "realtime", "transcription_session.update": "transcription"}


def convert_session(content: Json) -> Converted:
    """Rewrite beta settings.

    Args:
        content: a beta session, or an event with one: ``session.update`` or
            ``transcription_session.update``.

    Raises:
        ConfigError: it is none, it is in the GA form already, or a value is one that no beta server
            would have taken.
    """
    given = require_object(content, "the file's content")
    event = given.get("type")
    if not isinstance(event, str) or event not in _UPDATES:
        session, changes = _convert(given, "realtime")
        return Converted(session, tuple(changes))
    session, changes = _convert(require_object(given.get("session"), "session"), _UPDATES[event])
    if event != "session.update":
        changes.insert(0, Change(event, "session.update", "told apart by session.type in GA"))
    update: WireObject = {"type": "session.update", "session": session}
    if isinstance(given.get("event_id"), str):
        update["event_id"] = given["event_id"]
    return Converted(update, tuple(changes))


def _convert(beta: WireObject, kind: str) -> tuple[WireObject, list[Change]]:
    if "type" in beta or "audio" in beta or "output_modalities" in beta:
        raise ConfigError(
            "the session is in the GA form already (it has `type`, `audio` or `output_modalities`)",
            remedy="give the flat form of the beta",
        )
    table = _INPUT if kind == "transcription" else {**_INPUT, **_TALK}
    session: WireObject = {"type": kind}
    changes = [Change("(none)", "session.type", "required in every update")]
    for key, value in beta.items():
        if key in table:
            changes += _move(session, key, value, *table[key])
        else:
            changes.append(Change(f"session.{key}", None, _why_dropped(key)))
    return session, changes


def _move(
    session: WireObject, key: str, value: Json, path: GaPath, convert: Convert
) -> Iterator[Change]:
    """Put a value in its new place; report each change on the way."""
    old, new = f"session.{key}", ".".join(("session", *path))
    converted = convert(value, old)
    _put(session, path, converted.value)
    if old != new or converted.why:
        yield Change(old, new, converted.why)
    for inner, why in converted.dropped:
        yield Change(f"{old}{inner if inner.startswith('[') else f'.{inner}'}", None, why)


def _put(session: WireObject, path: Sequence[str], value: Json) -> None:
    *above, last = path
    place = session
    for key in above:
        inner = place.setdefault(key, {})
        assert isinstance(inner, dict), "the table has no path through a value"
        place = inner
    place[last] = value


_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "type": "a call's session is always `realtime`",
        "instructions": "they are `agent.instructions` of a dialplan",
        "output_modalities": "the bridge asks for audio",
        "audio.input.format": "the bridge says it itself",
        "audio.output.format": "the bridge says it itself",
        "audio.input.turn_detection.create_response": "`agent.barge_in` decides it",
        "audio.input.turn_detection.interrupt_response": "`agent.barge_in` decides it",
        "tools": "functions are `agent.tools` of a dialplan, each with its webhook",
    }
)
"""GA's fields that no session template has, and what has them."""


def template_of(converted: Converted) -> Converted:
    """Reduce a converted session to what a session template of an arm has.

    Args:
        converted: as :func:`convert_session` returns it.

    Raises:
        ConfigError: it is for transcription alone.
    """
    session = copy.deepcopy(converted.content)
    if session["type"] == "session.update":
        session = require_object(session["session"], "session")
    if session["type"] != "realtime":
        raise ConfigError(
            "the session only transcribes, and a call's session talks",
            remedy="give the settings of a session that talks",
        )
    elsewhere = dict(_ELSEWHERE)
    if isinstance(session.get("tool_choice"), dict):
        elsewhere["tool_choice"] = "it is good once `agent.tools` has the function"
    changes = list(converted.changes[1:])  # without the session's type
    for path, why in elsewhere.items():
        if _take(session, path.split(".")):
            changes.append(Change(f"session.{path}", None, why))
    return Converted(session, tuple(changes))


def _take(holder: WireObject, path: Sequence[str]) -> bool:
    """Take a value out, and with it what held nothing else; return whether it was there."""
    key, *below = path
    if key not in holder:
        return False
    inner = holder[key]
    if below and not (isinstance(inner, dict) and _take(inner, below)):
        return False
    if not below or not inner:
        del holder[key]
    return True


def _why_dropped(key: str) -> str:
    if key in _TALK:
        return "a session that transcribes has no output"
    return _DROPPED.get(key) or MISREAD.get(key, NO_FIELD)
