"""Compares two arms' Realtime events: those that both have, and their spelling. Pure.

Protocol differences don't depend on what was said: an event that one arm always has and the other
never, a field likewise, an event that the dialect does not know, comes twice or out of order. They
are found in the wire logs of a script's calls, under one set of names: GA's (`NEEDS.md` section 2,
rule 7; `PROTOCOL.md` sections 2 to 4). That set is written down here once more, so that a dialect
which forgets a name is found out.

Those that block say that an adapter, or a service, is not what it should be. The others may come of
the talk's having gone another way.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pydantic import JsonValue

from bridge.realtime.dialects import PROTOCOLS
from bridge.replay.evidence.evidence import WireEvent

Wire = Sequence[WireEvent]

_RENAMED: Mapping[str, str] = {
    "conversation.item.created": "conversation.item.added",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "transcription_session.created": "session.created",
    "transcription_session.update": "session.update",
    "transcription_session.updated": "session.updated",
}
"""The beta's names, and GA's."""

GA_ALONE = frozenset({"conversation.item.done"})
"""Core events that the beta lacks."""

_CORE = frozenset(
    {
        "session.created",
        "session.update",
        "session.updated",
        "input_audio_buffer.append",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.done",
    }
)
"""Events that every talk has in which caller and agent speak; others depend on what they do."""

_ORDER = (
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_item.done",
    "response.done",
)
"""The first of each comes in this order, for each response."""

_PATHS: Mapping[str, str] = {
    "audio.input.format": "input_audio_format",
    "audio.input.turn_detection": "turn_detection",
    "audio.input.transcription": "input_audio_transcription",
    "audio.input.noise_reduction": "input_audio_noise_reduction",
    "audio.output.format": "output_audio_format",
    "audio.output.voice": "voice",
    "audio.output.speed": "speed",
    "output_modalities": "modalities",
    "max_output_tokens": "max_response_output_tokens",
}
"""GA's nested settings, and the beta's flat ones."""

_LEAVES = frozenset({"input_audio_format", "output_audio_format", "parameters", "metadata"})
"""Below these both dialects have shapes of their own, or the dialplan's."""

_ONE_DIALECT_ALONE = frozenset(
    {
        "session.type",
        "session.temperature",
        "session.tracing",
        "session.truncation",
        "session.prompt",
        "session.include",
        "session.include[]",
        "session.max_response_output_tokens",
    }
)
"""Settings that one dialect has no word for."""

_NAMED_IN_GA = ("received", "response.function_call_arguments.done"), "name"
"""The beta names a function in its item alone."""


class DifferenceKind(enum.StrEnum):
    """Kinds of differences between two arms' events."""

    MISSING = "missing"
    EXTRA = "extra"
    UNKNOWN = "unknown"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    FIELD_MISSING = "field_missing"
    FIELD_EXTRA = "field_extra"


@dataclass(frozen=True, slots=True)
class ProtocolDifference:
    """A difference of an arm from the reference arm.

    Attributes:
        event: the event's name, GA's where dialects differ.
        detail: in words.
        at_ms: where it was first seen; None where something is missing.
        blocks: whatever the talk was like, it should not be.
    """

    kind: DifferenceKind
    direction: str
    event: str
    detail: str
    at_ms: float | None
    blocks: bool

    def __str__(self) -> str:
        when = "" if self.at_ms is None else f" (at {self.at_ms / 1000:.1f} s)"
        return f"{self.direction} {self.event}: {self.detail}{when}"


@dataclass(frozen=True, slots=True)
class ArmEvents:
    """The events of an arm's calls of a script.

    Attributes:
        wires: of each call.
    """

    arm: str
    dialect: str
    wires: Sequence[Wire]

    def is_comparable(self, other: "ArmEvents") -> bool:
        """Return whether both speak one protocol: else they have no events in common."""
        return PROTOCOLS.get(self.dialect) == PROTOCOLS.get(other.dialect)

    @property
    def events(self) -> Iterator[WireEvent]:
        """Yield all events of all calls."""
        return chain.from_iterable(self.wires)


def common_name(event_type: str) -> str:
    """Return what GA calls an event."""
    return _RENAMED.get(event_type, event_type)


def compare(
    reference: ArmEvents, other: ArmEvents, *, faulty: bool = False
) -> tuple[ProtocolDifference, ...]:
    """Return how another arm's events differ from the reference's.

    Args:
        faulty: the script has the Realtime service fail; nothing blocks then, for what is lost or
            comes twice is as it was ordered.

    Returns:
        Blocking ones first. None if either side has no wire log.
    """
    if not any(reference.wires) or not any(other.wires):
        return ()
    found = [
        *_presence(reference, other),
        *_strange(reference, other),
        *_fields(reference, other),
    ]
    if faulty:
        found = [_unblocked(each) for each in found]
    return tuple(sorted(found, key=lambda each: (not each.blocks, each.event, each.detail)))


def _unblocked(found: ProtocolDifference) -> ProtocolDifference:
    return ProtocolDifference(
        found.kind, found.direction, found.event, found.detail, found.at_ms, blocks=False
    )


def _presence(reference: ArmEvents, other: ArmEvents) -> Iterator[ProtocolDifference]:
    """Find events that one arm has in each of its calls, and the other in none."""
    alone = GA_ALONE if reference.dialect != other.dialect else frozenset()
    for present, absent, kind in (
        (reference, other, DifferenceKind.MISSING),
        (other, reference, DifferenceKind.EXTRA),
    ):
        lacking = {_key(event) for event in absent.events}
        always = set.intersection(*({_key(event) for event in wire} for wire in present.wires))
        for direction, name in sorted(always - lacking):
            if name in alone:
                continue
            detail = f"{present.arm} has it in every call, {absent.arm} in none"
            times = (each.at_ms for each in other.events if _key(each) == (direction, name))
            first_ms = next(times, None)
            yield ProtocolDifference(kind, direction, name, detail, first_ms, blocks=name in _CORE)


def _strange(reference: ArmEvents, other: ArmEvents) -> Iterator[ProtocolDifference]:
    """Find what no call should have, on one arm alone."""
    for side, opposite in ((other, reference), (reference, other)):
        for kind, look in _LOOKS:
            known = {(direction, name) for direction, name, _ in _all(opposite, look)}
            seen: set[tuple[str, str]] = set()
            for direction, name, at_ms in _all(side, look):
                if (direction, name) not in known | seen:
                    seen.add((direction, name))
                    detail = f"{_SAID[kind]} on {side.arm}, not on {opposite.arm}"
                    yield ProtocolDifference(kind, direction, name, detail, at_ms, blocks=True)


Sighting = tuple[str, str, float]


def _all(side: ArmEvents, look: Callable[[Wire], Iterator[Sighting]]) -> Iterator[Sighting]:
    return chain.from_iterable(look(wire) for wire in side.wires)


def unknown_events(wire: Wire) -> Iterator[Sighting]:
    """Yield what was received and the dialect does not know: direction, event, time."""
    for event in wire:
        if event.direction == "received" and event.canonical is None:
            yield event.direction, event.type or "(no JSON)", event.at_ms


def _duplicates(wire: Wire) -> Iterator[Sighting]:
    seen: set[tuple[int, str]] = set()
    for event in wire:
        name = event.raw.get("event_id")
        if event.direction != "received" or not isinstance(name, str):
            continue
        if (event.session, name) in seen:
            yield event.direction, common_name(event.type), event.at_ms
        seen.add((event.session, name))


def _out_of_order(wire: Wire) -> Iterator[Sighting]:
    reached: dict[tuple[int, str], int] = {}
    begun: set[tuple[int, str, str]] = set()
    for event in wire:
        name, response = common_name(event.type), _response_of(event.raw)
        if name not in _ORDER or response is None or (event.session, response, name) in begun:
            continue
        begun.add((event.session, response, name))
        place, key = _ORDER.index(name), (event.session, response)
        if place < reached.get(key, 0):
            yield event.direction, name, event.at_ms
        reached[key] = max(place, reached.get(key, 0))


_LOOKS: Sequence[tuple[DifferenceKind, Callable[[Wire], Iterator[Sighting]]]] = (
    (DifferenceKind.UNKNOWN, unknown_events),
    (DifferenceKind.DUPLICATE, _duplicates),
    (DifferenceKind.OUT_OF_ORDER, _out_of_order),
)
_SAID = {
    DifferenceKind.UNKNOWN: "unknown to the dialect",
    DifferenceKind.DUPLICATE: "comes twice",
    DifferenceKind.OUT_OF_ORDER: "comes out of order",
}


def _fields(reference: ArmEvents, other: ArmEvents) -> Iterator[ProtocolDifference]:
    """Find fields that an event always has on one arm, and never on the other."""
    ours, theirs = _field_table(reference), _field_table(other)
    apart = _ONE_DIALECT_ALONE if reference.dialect != other.dialect else frozenset()
    for key in sorted(ours.keys() & theirs.keys()):
        for here, there, lacks, kind in (
            (ours, theirs, other.arm, DifferenceKind.FIELD_MISSING),
            (theirs, ours, reference.arm, DifferenceKind.FIELD_EXTRA),
        ):
            always, ever = here[key].always, there[key].ever
            for path in sorted({_highest(path, ever) for path in always - ever}):
                apart_here = reference.dialect != other.dialect and (key, path) == _NAMED_IN_GA
                if path not in apart and not _is_below(path, apart) and not apart_here:
                    detail = f"{path} is never there on {lacks}"
                    yield ProtocolDifference(kind, *key, detail, None, blocks=True)


def _highest(path: str, others: set[str]) -> str:
    """Return the outermost part of a path that holds none of the others."""
    parts = path.split(".")
    wholes = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next(
        whole
        for whole in wholes
        if whole not in others and not any(_is_below(other, [whole]) for other in others)
    )


def _is_below(path: str, parents: Iterable[str]) -> bool:
    return any(path.startswith((f"{parent}.", f"{parent}[")) for parent in parents)


@dataclass(slots=True)
class _Seen:
    """Paths of an event's fields: those that each one had, and those that any had."""

    always: set[str]
    ever: set[str]


def _field_table(side: ArmEvents) -> dict[tuple[str, str], _Seen]:
    found: dict[tuple[str, str], _Seen] = {}
    for event in side.events:
        # What was received is compared as it was understood: the raw event is the service's own.
        paths = set(event.fields) if event.direction == "received" else set(sent_paths(event.raw))
        if event.direction == "received" and event.canonical is None:
            continue
        seen = found.setdefault(_key(event), _Seen(set(paths), set()))
        seen.always &= paths
        seen.ever |= paths
    return found


def sent_paths(raw: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield the paths of a sent event's fields, settings under the beta's flat names."""
    for name, value in raw.items():
        yield from _paths(name, value)


def _paths(path: str, value: JsonValue) -> Iterator[str]:
    path = _flat(path)
    name = path.rpartition(".")[2]
    if isinstance(value, dict) and value and name not in _LEAVES:
        for key, each in value.items():
            yield from _paths(f"{path}.{key}", each)
    elif isinstance(value, list) and value and name not in _LEAVES:
        for each in value:
            yield from _paths(f"{path}[]", each)
    else:
        yield path


def _flat(path: str) -> str:
    head, _, rest = path.partition(".")
    if head not in ("session", "response"):
        return path
    return f"{head}.{_PATHS[rest]}" if rest in _PATHS else path


def _key(event: WireEvent) -> tuple[str, str]:
    return event.direction, common_name(event.type)


def _response_of(raw: Mapping[str, JsonValue]) -> str | None:
    inner = raw.get("response")
    found = inner.get("id") if isinstance(inner, dict) else raw.get("response_id")
    return found if isinstance(found, str) else None
