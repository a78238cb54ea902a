"""The SIP messages of one call, as they are kept beside its record in ``<call_id>.sip.jsonl``.

The first line says whose they are, as a recording's markers do, so that they can be found and
deleted without the record. Each further line is a message, in the order of their times:

    {"at_ns": wall time, "sent": by the bridge, "party": "caller" | "person" | "supervisor",
     "local": "host:port", "far_end": "host:port", "transport": "UDP", "left_out": 0, "text": "..."}

A retransmission has ``"repeats": n`` in the place of its text: the line that it repeats, counted
from 0. Bytes that are no UTF-8 are escaped as half surrogate pairs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CALLER, PERSON, SUPERVISOR = "caller", "person", "supervisor"
"""The parties of a call beside the bridge."""

LONGEST_CHARS = 16 * 1024
"""What is kept of one message: more than an INVITE that a carrier sends has."""


@dataclass(frozen=True, slots=True)
class TraceBounds:
    """The most that is kept.

    Attributes:
        messages, size_bytes: of one call.
        all_bytes: of all calls that go on or have just ended.
    """

    messages: int
    size_bytes: int
    all_bytes: int


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """One message of a call, as it passed the wire.

    Attributes:
        at_ns: wall time, ns since the Unix epoch.
        sent: by the bridge.
        party: whose dialog it belongs to.
        local, far_end: ``host:port``, an IPv6 address in brackets.
        transport: as its topmost Via names it: UDP, TCP, TLS.
        text: its beginning, at most :data:`LONGEST_CHARS`.
        repeats: a message before it, in the same direction, had the same bytes.
        left_out: messages before it that were not kept.
    """

    at_ns: int
    sent: bool
    party: str
    local: str
    far_end: str
    transport: str
    text: str
    repeats: bool = False
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class CallTrace:
    """All kept messages of a call.

    Attributes:
        about: whose call it is: ``call_id``, ``caller``, ``asserted``, ``keep_days``,
            ``started_at_ms``.
    """

    about: Mapping[str, Any]  # Any: JSON of the file's first line
    messages: Sequence[TracedMessage] = field(default_factory=tuple)


def encode_trace(trace: CallTrace) -> bytes:
    """Return the content of a call's file."""
    lines: list[Mapping[str, object]] = [trace.about]
    first: dict[tuple[bool, str], int] = {}
    for number, message in enumerate(trace.messages):
        fields: dict[str, object] = {
            "at_ns": message.at_ns,
            "sent": message.sent,
            "party": message.party,
            "local": message.local,
            "far_end": message.far_end,
            "transport": message.transport,
            "left_out": message.left_out,
        }
        known = first.setdefault((message.sent, message.text), number)
        repeats = message.repeats and known != number
        lines.append(fields | ({"repeats": known} if repeats else _text(message)))
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def decode_trace(content: bytes) -> CallTrace:
    """Read a call's file; a line that is torn ends it.

    Raises:
        ValueError: it is no such file.
    """
    first, *rest = content.splitlines() or [b""]
    about = json.loads(first)
    if not isinstance(about, dict):
        raise ValueError("the first line of a file of SIP messages is no JSON object")
    messages: list[TracedMessage] = []
    for line in rest:
        try:
            messages.append(_message(json.loads(line), messages))
        except (ValueError, KeyError, TypeError, IndexError):
            break
    return CallTrace(about, tuple(messages))


def _text(message: TracedMessage) -> dict[str, object]:
    repeated = {"repeated": True} if message.repeats else {}
    return {**repeated, "text": message.text}


def _message(
    fields: Mapping[str, Any], before: Sequence[TracedMessage]
) -> TracedMessage:  # Any: JSON
    repeats = fields.get("repeats")
    return TracedMessage(
        at_ns=int(fields["at_ns"]),
        sent=bool(fields["sent"]),
        party=str(fields["party"]),
        local=str(fields["local"]),
        far_end=str(fields["far_end"]),
        transport=str(fields["transport"]),
        text=str(fields["text"]) if repeats is None else before[int(repeats)].text,
        repeats=repeats is not None or bool(fields.get("repeated")),
        left_out=int(fields["left_out"]),
    )


def in_order(messages: Iterable[TracedMessage]) -> tuple[TracedMessage, ...]:
    """Return messages by their times; those of one moment stay as they came."""
    return tuple(sorted(messages, key=lambda message: message.at_ns))
