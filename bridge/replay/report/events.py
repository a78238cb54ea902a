"""Two arms' Realtime events beside each other, by one set of names (GA's). Pure.

How many audio deltas an answer comes in says nothing, so those of one response are one row. What
must not differ is judged elsewhere (:mod:`bridge.replay.checks.protocol`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pydantic import JsonValue

from bridge.replay.checks.protocol import GA_ALONE, common_name
from bridge.replay.evidence.evidence import WireEvent

_LONGEST_RAW = 4000
_STREAMED = (".delta", ".append")


@dataclass(frozen=True, slots=True)
class EventRun:
    """An event, or those of one stream.

    Attributes:
        name: GA's, where dialects differ.
        type: as it stands on the wire.
        known: to the arm's dialect.
        at_ms: of the first.
        raw: the first one, as JSON text.
    """

    name: str
    type: str
    known: bool
    direction: str
    at_ms: float
    count: int
    raw: str


@dataclass(frozen=True, slots=True)
class ComparedEvent:
    """A row of the comparison; a side is None where the other arm alone has it."""

    first: EventRun | None
    second: EventRun | None

    @property
    def same(self) -> bool:
        """Both arms have it."""
        return self.first is not None and self.second is not None

    @property
    def differs(self) -> bool:
        """Only one arm has it, and not because the other's dialect has no such event."""
        return not self.same and _run_of(self).name not in GA_ALONE


def gather(wire: Sequence[WireEvent]) -> tuple[EventRun, ...]:
    """Put what is streamed together: audio and words of one response, all audio of the caller.

    Everything else is a row of its own: a duplicate has to be seen.
    """
    streams: dict[tuple[str, JsonValue], list[WireEvent]] = {}
    for number, event in enumerate(wire):
        name = common_name(event.type)
        streamed = name.endswith(_STREAMED)
        which = event.raw.get("response_id") if streamed else number
        streams.setdefault((name, which), []).append(event)
    return tuple(_run(name, events) for (name, _), events in streams.items())


def align_events(
    first: Sequence[EventRun], second: Sequence[EventRun]
) -> tuple[ComparedEvent, ...]:
    """Lay two calls' events beside each other, each way by itself, in the order of time."""
    rows = [
        row
        for direction in ("sent", "received")
        for row in _align_one_way(
            [run for run in first if run.direction == direction],
            [run for run in second if run.direction == direction],
        )
    ]
    return tuple(sorted(rows, key=lambda row: _run_of(row).at_ms))


def _run_of(row: ComparedEvent) -> EventRun:
    run = row.first or row.second
    assert run is not None, "a row without an event"
    return run


def _run(name: str, events: Sequence[WireEvent]) -> EventRun:
    first = events[0]
    raw = json.dumps(first.raw, indent=2, ensure_ascii=False)
    if len(raw) > _LONGEST_RAW:
        raw = f"{raw[:_LONGEST_RAW]}\n… {len(raw) - _LONGEST_RAW} more characters in wire.jsonl"
    known = all(event.canonical is not None for event in events)
    return EventRun(name, first.type, known, first.direction, first.at_ms, len(events), raw)


def _align_one_way(
    first: Sequence[EventRun], second: Sequence[EventRun]
) -> Iterator[ComparedEvent]:
    names = [run.name for run in first], [run.name for run in second]
    matcher = SequenceMatcher(None, *names, autojunk=False)
    for tag, at, to, other_at, other_to in matcher.get_opcodes():
        ours, theirs = first[at:to], second[other_at:other_to]
        if tag == "equal":
            yield from (ComparedEvent(*pair) for pair in zip(ours, theirs, strict=True))
        else:
            yield from (ComparedEvent(run, None) for run in ours)
            yield from (ComparedEvent(None, run) for run in theirs)
