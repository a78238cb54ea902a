"""Two arms' Realtime events beside each other, by one set of names (GA's). Pure.

How many audio deltas an answer comes in says nothing, so those that follow each other are one row.
What must not differ is judged elsewhere (:mod:`bridge.replay.protocol`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from bridge.replay.evidence import WireEvent
from bridge.replay.protocol import common_name

_LONGEST_RAW = 4000
_STREAMED = (".delta", ".append")


@dataclass(frozen=True, slots=True)
class EventRun:
    """Events of one kind that followed each other.

    Attributes:
        name: GA's, where dialects differ.
        known: to the arm's dialect.
        types: as they stand on the wire.
        raw: the first one, as JSON text.
    """

    name: str
    known: bool
    direction: str
    types: tuple[str, ...]
    at_ms: float
    count: int
    raw: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of the comparison; a side is None where the other arm alone has it."""

    first: EventRun | None
    second: EventRun | None

    @property
    def same(self) -> bool:
        """Both arms have it."""
        return self.first is not None and self.second is not None


def gather(wire: Sequence[WireEvent]) -> tuple[EventRun, ...]:
    """Put events of one kind together where they follow each other.

    What is streamed on both ways at once (audio up and audio down) lies between each other by
    chance: each way is gathered by itself.
    """
    runs = [
        run
        for direction in ("sent", "received")
        for run in _gather_one_way([event for event in wire if event.direction == direction])
    ]
    return tuple(sorted(runs, key=lambda run: run.at_ms))


def align_events(first: Sequence[EventRun], second: Sequence[EventRun]) -> tuple[EventRow, ...]:
    """Lay two calls' events beside each other, each way by itself, in the order of time."""
    rows = [
        row
        for direction in ("sent", "received")
        for row in _align_one_way(
            [run for run in first if run.direction == direction],
            [run for run in second if run.direction == direction],
        )
    ]
    return tuple(sorted(rows, key=_when))


def _when(row: EventRow) -> float:
    run = row.first or row.second
    return 0.0 if run is None else run.at_ms


def _gather_one_way(events: Sequence[WireEvent]) -> Iterator[EventRun]:
    for (name, known), group in groupby(events, key=_name_of):
        found = list(group)
        if name.endswith(_STREAMED):
            yield _run(name, known, found)
        else:
            # Two equal events in a row are two rows: a duplicate has to be seen.
            yield from (_run(name, known, [event]) for event in found)


def _name_of(event: WireEvent) -> tuple[str, bool]:
    return common_name(event.type), event.canonical is not None


def _run(name: str, known: bool, events: Sequence[WireEvent]) -> EventRun:
    first = events[0]
    raw = json.dumps(first.raw, indent=2, ensure_ascii=False)
    if len(raw) > _LONGEST_RAW:
        raw = f"{raw[:_LONGEST_RAW]}\n… {len(raw) - _LONGEST_RAW} more characters in wire.jsonl"
    types = tuple(dict.fromkeys(event.type for event in events))
    return EventRun(name, known, first.direction, types, first.at_ms, len(events), raw)


def _align_one_way(first: Sequence[EventRun], second: Sequence[EventRun]) -> Iterator[EventRow]:
    names = [run.name for run in first], [run.name for run in second]
    matcher = SequenceMatcher(None, *names, autojunk=False)
    for tag, at, to, other_at, other_to in matcher.get_opcodes():
        ours, theirs = first[at:to], second[other_at:other_to]
        if tag == "equal":
            yield from (EventRow(*pair) for pair in zip(ours, theirs, strict=True))
        else:
            yield from (EventRow(run, None) for run in ours)
            yield from (EventRow(None, run) for run in theirs)
