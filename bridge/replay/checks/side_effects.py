"""Finds a call's tools, transfers, recording and faults in its evidence. Pure.

Each function finds something in the evidence, or says that there is none: None, never an empty
answer.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from bridge.replay.evidence.evidence import Evidence, WireEvent
from bridge.replay.json_fields import part_of, parts_of
from bridge.replay.script import ExpectedTool, ExpectedTransfer
from bridge.speech.words import words_of


@dataclass(frozen=True, slots=True)
class ToolCallSeen:
    """A tool that the model called."""

    at_ms: float
    name: str
    arguments: Mapping[str, JsonValue]
    call_id: str = ""

    def __str__(self) -> str:
        return f"{self.name}({json.dumps(dict(self.arguments), ensure_ascii=False)})"


@dataclass(frozen=True, slots=True)
class TransferSeen:
    """A transfer that the gateway began."""

    at_ms: float
    to: str
    target: str
    context: str


_ENVELOPE = "response.event"
"""Of an event of Live's backend, which calls the tools there."""


def tool_calls(evidence: Evidence) -> tuple[ToolCallSeen, ...] | None:
    """Return the tools that were called, by the wire log, else by the requests to their mocks."""
    if evidence.wire is not None:
        return tuple(called_tools(evidence.wire))
    if evidence.tools is not None:
        return tuple(
            ToolCallSeen(seen.at_ms, seen.name, seen.arguments)
            for seen in evidence.tools
            if seen.attempt == 1
        )
    return None


def called_tools(wire: Sequence[WireEvent]) -> Iterator[ToolCallSeen]:
    """Yield the tools that the model called, in order."""
    for event in wire:
        enveloped = event.type == _ENVELOPE
        inner = part_of(event.raw, "event") if enveloped else event.raw
        kind = inner.get("type") if enveloped else event.type
        item = part_of(inner, "item")
        if kind == "response.output_item.done" and item.get("type") == "function_call":
            yield ToolCallSeen(
                event.at_ms,
                str(item.get("name")),
                _arguments(item.get("arguments")),
                str(item.get("call_id")),
            )


def item_of(event: WireEvent) -> Mapping[str, JsonValue]:
    """Return the item of an event; empty where it has none."""
    return part_of(event.raw, "item")


def _arguments(text: JsonValue) -> Mapping[str, JsonValue]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_call_of(call: ToolCallSeen, expected: ExpectedTool) -> bool:
    """Return whether a call is the expected one, which has some of its arguments at least."""
    return call.name == expected.name and same(expected.args, call.arguments)


def same(expected: JsonValue | Mapping[str, JsonValue], found: object) -> bool:
    """Compare values: of a mapping some keys, numbers as numbers, text by its words."""
    match expected:
        case bool() | None:
            return expected is found
        case Mapping():
            return isinstance(found, Mapping) and all(
                key in found and same(value, found[key]) for key, value in expected.items()
            )
        case list():
            return (
                isinstance(found, list)
                and len(found) == len(expected)
                and all(map(same, expected, found))
            )
        case int() | float() | str() if not isinstance(found, bool):
            return _scalars_are_same(expected, found)
        case _:
            return False


def _scalars_are_same(expected: float | str, found: object) -> bool:
    if not isinstance(found, int | float | str):
        return False
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return expected == found
    if str(expected) == str(found):
        return True
    words = words_of(str(expected))
    return bool(words) and words == words_of(str(found))


def transfers(evidence: Evidence) -> tuple[TransferSeen, ...] | None:
    """Return the transfers that began, by the call's events."""
    if evidence.events is None:
        return None
    return tuple(
        TransferSeen(
            event.at_ms,
            event.fields.get("to", ""),
            event.fields.get("target", ""),
            event.fields.get("text", ""),
        )
        for event in evidence.events
        if event.kind == "handoff_started"
    )


def leads_to(transfer: TransferSeen, expected: ExpectedTransfer) -> bool:
    """Return whether a transfer goes where it has to."""
    if expected.to is None:
        return True
    if expected.to.endswith("*"):
        begin = expected.to[:-1]
        return transfer.to.startswith(begin) or transfer.target.startswith(begin)
    return expected.to in (transfer.to, transfer.target)


def recording_of(evidence: Evidence) -> frozenset[str] | None:
    """Say what is known of the gateway's recording: ``present`` or ``absent``, and ``paused``."""
    if evidence.record is None:
        return None
    if not evidence.record.get("recording"):
        return frozenset({"absent"})
    kinds = set(_event_kinds(evidence))
    return frozenset({"present"} | ({"paused"} if "recording_paused" in kinds else set()))


def _event_kinds(evidence: Evidence) -> Iterator[str]:
    listed = (evidence.record or {}).get("events_ms")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, list) and len(entry) == 2:
            yield str(entry[1])


def faults_seen(evidence: Evidence) -> frozenset[str] | None:
    """Return the codes of what went wrong, and the simulator's faults that struck."""
    if evidence.record is None and evidence.events is None and evidence.faults_struck is None:
        return None
    codes = {event.fields["code"] for event in evidence.events or () if "code" in event.fields}
    codes |= {str(each.get("code")) for each in parts_of(evidence.record, "failures")}
    for fault, times in (evidence.faults_struck or {}).items():
        if times:
            codes |= {fault, fault.partition(" at ")[0]}
    return frozenset(codes)


def field_is(expected: float | str, found: str | None) -> bool:
    """Compare a field of the call's hash; text between slashes is a regular expression."""
    if found is None:
        return False
    if isinstance(expected, str) and len(expected) > 1 and expected[0] == expected[-1] == "/":
        return re.search(expected[1:-1], found) is not None
    return _scalars_are_same(expected, found)
