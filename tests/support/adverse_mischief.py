"""The mischief of the adverse service: what goes wrong in a turn, or as a session opens. Pure.

It shares no code with the product.
"""

import base64
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

Event = dict[str, Any]  # Any: JSON as it is on the wire
RATE_HZ = 24_000
_DELTA_BYTES = RATE_HZ // 10 * 2


class Mischief(Enum):
    """What goes wrong in one turn."""

    NONE = "nothing"
    # The connection.
    CLOSE_IN_SPEECH = "closes while the caller speaks"
    CLOSE_AFTER_SPEECH = "closes when the caller has stopped"
    CLOSE_AFTER_COMMIT = "closes with the turn committed"
    CLOSE_BEFORE_AUDIO = "closes with the response begun"
    CLOSE_MID_AUDIO = "closes in the middle of the answer"
    CLOSE_AFTER_DONE = "closes as soon as the answer is over"
    EXPIRES = "session_expired, and closes"
    DEAF = "reads nothing any more, and answers no ping"
    NO_PONGS = "answers no ping any more"
    # The turn.
    NEVER_STOPS = "never says that the caller has stopped"
    NEVER_COMMITS = "never commits the turn"
    NEVER_ANSWERS = "commits, and no response ever begins"
    CLAIMS_ACTIVE = "claims a response that does not run"
    OWN_ANSWER = "answers by itself, though told not to"
    DEAF_TRANSCRIPT = "the transcription fails"
    NO_TRANSCRIPT = "the transcription never comes"
    LATE_TRANSCRIPT = "the transcription comes after the answer"
    # The answer's end.
    DONE_WITHOUT_AUDIO = "completed without a sound"
    INCOMPLETE = "incomplete without a sound"
    CANCELLED = "cancelled by itself, without a sound"
    FAILED = "failed: server_error"
    RATE_LIMITED = "failed: rate_limit_exceeded"
    STATUS_OF_TOMORROW = "a status of tomorrow, no output"
    STATUS_NULL = "a status of null, output of null"
    EMPTY_ITEM = "an item without a sound"
    STALLS_BEFORE_AUDIO = "a response that says nothing more"
    STALLS_MID_AUDIO = "the answer stops in its middle for ever"
    NO_DONE = "the answer's end is never told"
    # The audio.
    ODD_BYTES = "deltas cut at odd bytes"
    ONE_BYTE = "deltas of one byte"
    EMPTY_DELTAS = "empty deltas among the others"
    UNPADDED = "base64 without padding"
    URL_SAFE = "base64 in the url-safe alphabet"
    SLOW = "deltas at half of real time's speed for a second"
    DUPLICATES = "each delta twice, under one event id"
    # The events.
    RUBBISH = "a frame that is no JSON"
    NO_OBJECT = "frames of JSON that is no event"
    STRANGE_EVENTS = "events that nobody knows"
    STRANGE_FIELDS = "fields that nobody knows"
    NULL_FIELDS = "fields of null"
    NO_RESPONSE_ID = "deltas without response_id"
    NO_ITEM_ID = "deltas without item_id"
    NO_EVENT_ID = "events without event_id"
    CREATED_TWICE = "response.created twice"
    CREATED_LATE = "response.created after the first deltas"
    ITEM_LATE = "the item added after its deltas"
    TRANSCRIPT_FIRST = "the transcript's end before the audio"
    DONE_EARLY = "response.done before the audio's end is told"
    DONE_BEFORE_LAST_AUDIO = "response.done before the last deltas"
    DONE_TWICE = "response.done twice"
    FOREIGN_DELTAS = "deltas of a response that was never announced"
    ERROR_EVENT = "an error in the answer, with nothing of use in it"
    ERROR_WITH_EVENT_ID = "an error that blames a command"
    ERROR_NULL = "an error of null"
    ODD_LIMITS = "rate_limits.updated with odd values"
    # The frames.
    CONTINUATION = "messages in continuation frames"
    PING_INSIDE = "a ping between the frames of a message"
    SHREDDED = "TCP segments of a few bytes"
    BINARY = "events in binary frames"
    LARGE = "a frame of a megabyte"
    TOO_LARGE = "a frame beyond all bounds"
    COMPRESSED = "a compressed frame, though nobody agreed to that"
    MASKED = "a masked frame"
    BAD_UTF8 = "a text frame that is no UTF-8"


class Opening(Enum):
    """What goes wrong as a session opens, or with what it says of itself."""

    PLAIN = "nothing"
    REFUSED = "503 at the handshake"
    REFUSED_FOR_A_SECOND = "503 at the handshake, Retry-After: 1"
    LIMITED = "429 at the handshake"
    CUT = "cut within the handshake"
    HALF_A_RESPONSE = "cut within its own response"
    UNANSWERED = "the handshake is never answered"
    FALSE_ACCEPT = "101 with a false Sec-WebSocket-Accept"
    DEFLATES = "101 with a compression that nobody offered"
    SILENT = "101, then silence"
    CLOSES = "101, then a close"
    CREATED_AND_GONE = "session.created, then a close"
    ERROR = "server_error for the session's settings"
    NEVER_UPDATED = "session.updated never comes"
    UPDATED_TWICE = "session.updated twice"
    EXPIRED = "expires_at in the past"
    SKEWED = "expires_at by a clock of tomorrow"
    EXPIRES_ODDLY = "expires_at of null, then of words"


SILENT = {
    Mischief.DONE_WITHOUT_AUDIO: ("completed", ""),
    Mischief.INCOMPLETE: ("incomplete", "max_output_tokens"),
    Mischief.CANCELLED: ("cancelled", "turn_detected"),
    Mischief.FAILED: ("failed", "server_error"),
    Mischief.RATE_LIMITED: ("failed", "rate_limit_exceeded"),
    Mischief.STATUS_OF_TOMORROW: ("of_tomorrow", ""),
    Mischief.STATUS_NULL: (None, ""),
    Mischief.EMPTY_ITEM: ("completed", ""),
}
"""Answers without a sound: the status that ends them, and the reason."""

CLOSE_CODES = (1000, 1001, 1002, 1007, 1009, 1011, 1012, 1013, 4999, None)
"""None cuts the connection without a close, and TLS without its close_notify."""


def merge(config: Event, update: Event) -> None:
    """Take what an update names, and leave the rest."""
    for name, value in update.items():
        if isinstance(value, dict) and isinstance(config.get(name), dict):
            merge(config[name], value)
        else:
            config[name] = value


def cut(audio: bytes, mischief: Mischief) -> list[str]:
    """Return the deltas of an answer, cut and encoded as the mischief wants it."""
    if mischief is Mischief.ONE_BYTE:
        cuts = [*range(400), *range(400, len(audio), _DELTA_BYTES - 1)]
    else:
        step = _STEPS.get(mischief, _DELTA_BYTES)
        cuts = list(range(0, len(audio), step))
    encode = base64.urlsafe_b64encode if mischief is Mischief.URL_SAFE else base64.b64encode
    pieces = [audio[at:end] for at, end in zip(cuts, [*cuts[1:], len(audio)], strict=True)]
    deltas = [encode(piece).decode() for piece in pieces]
    if mischief is Mischief.UNPADDED:
        return [each.rstrip("=") for each in deltas]
    if mischief is Mischief.EMPTY_DELTAS:
        return [text for each in deltas for text in ("", each)]
    return deltas


_STEPS = {
    Mischief.ODD_BYTES: 4001,
    Mischief.UNPADDED: 4000,  # no multiple of three: there is padding to leave out
    Mischief.URL_SAFE: 4000,
    Mischief.LARGE: RATE_HZ * 60,
}


def order(events: list[Event], mischief: Mischief) -> list[Event]:
    """Return the events of one answer in the order, and as often, as the mischief has it."""
    moved = _MOVED.get(mischief)
    return moved(events) if moved is not None else events


def edit(event: Event, mischief: Mischief) -> Event:
    """Return an event of an answer with what the mischief does to its fields."""
    edited = _EDITED.get(mischief)
    return edited(event) if edited is not None else event


def _named(event: Event, *ends: str) -> bool:
    return str(event["type"]).endswith(ends)


def _places(events: list[Event], *ends: str) -> list[int]:
    return [at for at, event in enumerate(events) if _named(event, *ends)]


def _late(events: list[Event], end: str) -> list[Event]:
    """Move an event behind the third delta."""
    at, behind = _places(events, end)[0], _places(events, "audio.delta")[2]
    return [*events[:at], *events[at + 1 : behind + 1], events[at], *events[behind + 1 :]]


def _first(events: list[Event], end: str, before: str) -> list[Event]:
    """Move an event before another."""
    at, ahead = _places(events, end)[0], _places(events, before)[0]
    return [*events[:ahead], events[at], *events[ahead:at], *events[at + 1 :]]


def _done_before_last_audio(events: list[Event]) -> list[Event]:
    at = _places(events, "audio.delta")[-3]
    done = _places(events, "response.done")[0]
    return [*events[:at], events[done], *events[at:done], *events[done + 1 :]]


def _twice(events: list[Event], *ends: str) -> list[Event]:
    return [each for event in events for each in [event] * (1 + _named(event, *ends))]


def _with_foreign(events: list[Event]) -> list[Event]:
    """Follow each third delta with the same one of a response that nobody announced."""
    out: list[Event] = []
    for number, event in enumerate(events):
        out.append(event)
        if _named(event, "audio.delta") and number % 3 == 0:
            foreign = {"response_id": "resp_foreign", "item_id": "item_foreign"}
            out.append({**event, **foreign, "event_id": f"{event['event_id']}_foreign"})
    return out


_MOVED: Mapping[Mischief, Callable[[list[Event]], list[Event]]] = {
    Mischief.CREATED_TWICE: lambda events: _twice(events, "response.created"),
    Mischief.CREATED_LATE: lambda events: _late(events, "response.created"),
    Mischief.ITEM_LATE: lambda events: _late(events, "output_item.added"),
    Mischief.TRANSCRIPT_FIRST: lambda events: _first(events, "transcript.done", "audio.delta"),
    Mischief.DONE_EARLY: lambda events: _first(events, "response.done", "audio.done"),
    Mischief.DONE_BEFORE_LAST_AUDIO: _done_before_last_audio,
    Mischief.DONE_TWICE: lambda events: _twice(events, "response.done"),
    Mischief.DUPLICATES: lambda events: _twice(events, "audio.delta"),
    Mischief.FOREIGN_DELTAS: _with_foreign,
    Mischief.NO_DONE: lambda events: [e for e in events if not _named(e, "response.done")],
}


def _without(name: str, *ends: str) -> Callable[[Event], Event]:
    def edited(event: Event) -> Event:
        left_out = name if not ends or _named(event, *ends) else ""
        return {key: value for key, value in event.items() if key != left_out}

    return edited


def _strange(event: Event) -> Event:
    strange = {"mood": {"is": ["good"]}, "next": None, "": 7}
    nested = {key: {**value, **strange} for key, value in event.items() if isinstance(value, dict)}
    return {**event, **nested, **strange}


_NULLED = ("previous_item_id", "output_index", "content_index", "conversation_id", "obfuscation")
_NULLED_INSIDE = ("status_details", "usage", "metadata", "conversation_id", "output", "content")


def _nulled(event: Event) -> Event:
    inside = dict.fromkeys(_NULLED_INSIDE)
    nested = {key: {**value, **inside} for key, value in event.items() if isinstance(value, dict)}
    return {**event, **nested, **dict.fromkeys(_NULLED)}


_EDITED: Mapping[Mischief, Callable[[Event], Event]] = {
    Mischief.STRANGE_FIELDS: _strange,
    Mischief.NULL_FIELDS: _nulled,
    Mischief.NO_RESPONSE_ID: _without("response_id", "audio.delta"),
    Mischief.NO_ITEM_ID: _without("item_id", "audio.delta"),
    Mischief.NO_EVENT_ID: _without("event_id"),
    Mischief.LARGE: lambda event: (
        {**event, "padding": "x" * 1_000_000} if _named(event, "audio.delta") else event
    ),
}

STRAYS: Mapping[Mischief, tuple[Event, ...]] = {
    Mischief.STRANGE_EVENTS: (
        {"type": "response.mood.changed", "mood": {"is": ["good"]}},
        {"type": "session.warmed", "at": None},
    ),
    Mischief.ERROR_EVENT: ({"type": "error", "error": {"type": "server_error", "message": "no"}},),
    Mischief.ERROR_WITH_EVENT_ID: (
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "code": "a_code_of_tomorrow",
                "message": "no",
                "param": "session.audio",
                "event_id": "cmd_1",
            },
        },
    ),
    Mischief.ERROR_NULL: ({"type": "error", "error": None}, {"type": "error"}),
    Mischief.ODD_LIMITS: (
        {"type": "rate_limits.updated", "rate_limits": None},
        {"type": "rate_limits.updated"},
        {
            "type": "rate_limits.updated",
            "rate_limits": [
                {"name": "moods", "limit": -1, "remaining": None, "reset_seconds": "soon"},
                {"name": "tokens", "limit": 1e12, "remaining": -5, "reset_seconds": 0.001},
                None,
            ],
        },
    ),
}
"""Events that come in the middle of an answer."""
