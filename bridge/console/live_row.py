"""One row of the list of live calls, with the fields that its reader may see. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from bridge.console.access.principal import Principal
from bridge.console.masking import mask_caller
from bridge.telemetry.health import Health, while_silent
from bridge.telemetry.redaction import mask_numbers

_LOST_AFTER_MS = 5_000
"""A node says once a second that its calls go on."""

_TEXTS = (
    *("call_id", "node", "dialplan", "arm", "rescued_by", "dialect", "model", "state"),
    *("verstat", "consent", "held_by", "handled_by", "hold", "handoff_result"),
)
SUMMARY = "handoff_summary"
_WORDS = ("handoff_target", SUMMARY)
"""Texts that a number may stand in."""

_WATCHED_BY = "watched_by"
_WATCHED = frozenset({"watchers", _WATCHED_BY})

HIDEABLE = frozenset({SUMMARY, _WATCHED_BY})
"""What of a row is not for everybody who sees the call."""

_NUMBERS = (
    *("started_at", "answered_at", "state_since_at", "silent_since_at", "waiting_since_at"),
    *(
        "watchers",
        "muted",
        "flagged",
        "sensitive",
        "last_turn_ms",
        "interruptions_caller",
        "interruptions_agent",
        "tool_failures",
    ),
)
FIELDS = (
    *_TEXTS,
    *_WORDS,
    *_NUMBERS,
    _WATCHED_BY,
    "watched_since",
    "from",
    "to",
    "health",
    "health_reasons",
    "updated_at",
    "ended_at",
)
"""What is read of each call."""

_WAITS_QUIETLY = frozenset({"ringing", "transferring", "human", "bridged", "ended"})
"""States in which silence on the agent's side says nothing."""

Row = dict[str, object]


def live_row(fields: Mapping[str, str], now_ms: int) -> Row:
    """Return what a list shows of a live call, from its hash.

    Times are ms since the Unix epoch; what is not known is missing. ``watched_by`` is a list of
    ``by``, ``does`` (``listens``, ``whispers``, ``shows``, ``says``) and ``since_at``,
    where that is known.
    """
    row: Row = {name: fields[name] for name in _TEXTS if fields.get(name)}
    row.update({name: int(fields[name]) for name in _NUMBERS if fields.get(name, "0") != "0"})
    row.update({name: mask_numbers(fields[name]) for name in _WORDS if fields.get(name)})
    row["from"] = mask_caller(fields.get("from", ""))
    row["to"] = mask_caller(fields.get("to", ""), whole=True)
    row["state"] = fields.get("state") or fields.get("phase", "")
    reasons = tuple(each for each in fields.get("health_reasons", "").split("; ") if each)
    health = Health(int(fields.get("health", 100)), reasons)
    silent_since_ms = int(fields.get("silent_since_at", 0))
    if silent_since_ms and row["state"] not in _WAITS_QUIETLY:
        health = while_silent(health, now_ms - silent_since_ms)
    row["health"], row["health_reasons"] = health.score, list(health.reasons)
    row["lost"] = is_lost(fields, now_ms)
    if row["lost"] or "ended_at" in fields:  # nobody hears anything there
        return without(row, _WATCHED)
    if watched := fields.get(_WATCHED_BY):
        does, since = json.loads(watched), json.loads(fields.get("watched_since") or "{}")
        row[_WATCHED_BY] = [
            {"by": by, "does": does[by]} | ({"since_at": since[by]} if by in since else {})
            for by in sorted(does)
        ]
    return row


def watched_by(row: Row) -> list[dict[str, Any]]:  # Any: of JSON
    """Return who watches a call, as a row has it."""
    found = row.get(_WATCHED_BY, [])
    assert isinstance(found, list)
    return found


def hidden_from(principal: Principal) -> frozenset[str]:
    """Return what of a row is not for somebody who sees the call."""
    shown = {SUMMARY: principal.reads_summaries, _WATCHED_BY: principal.knows_watchers}
    return frozenset(name for name in HIDEABLE if not shown[name])


def without(row: Row, hidden: frozenset[str]) -> Row:
    """Return a row without some of its fields; the same one where it has none of them."""
    if hidden.isdisjoint(row):
        return row
    return {name: each for name, each in row.items() if name not in hidden}


def is_lost(fields: Mapping[str, str], now_ms: int) -> bool:
    """Return whether its node has said nothing of a call for too long."""
    return now_ms - int(fields.get("updated_at", now_ms)) > _LOST_AFTER_MS
