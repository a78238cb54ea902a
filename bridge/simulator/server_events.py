"""Server events as JSON objects, without ``event_id``: one row for each, for beta and GA.

`PROTOCOL.md` sections 3 and 7. Pure. A row names the event and its fields in the order of the wire;
``{...}`` in a name stands for what the dialect calls it (:class:`bridge.simulator.dialects.Names`).
"""

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bridge.realtime import events as e
from bridge.realtime.event_values import ApiError, Usage
from bridge.simulator.dialects import DIALECTS, DialectTable
from bridge.simulator.server_items import write_event_part, write_item
from bridge.simulator.server_responses import write_created, write_done
from bridge.simulator.wire import DialectName, WireObject, WireState

_PART = "response_id item_id output_index content_index"
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_ARGUMENTS = "response.function_call_arguments"
ROWS: Mapping[type, tuple[str, str]] = {
    e.ItemAdded: ("{item_added}", "previous_item_id item"),
    e.ItemDone: ("{item_done}", "previous_item_id item"),
    e.ItemRetrieved: ("conversation.item.retrieved", "item"),
    e.ItemTruncated: ("conversation.item.truncated", "item_id content_index audio_end_ms"),
    e.ItemDeleted: ("conversation.item.deleted", "item_id"),
    e.SpeechStarted: ("input_audio_buffer.speech_started", "item_id audio_start_ms"),
    e.SpeechStopped: ("input_audio_buffer.speech_stopped", "item_id audio_end_ms"),
    e.InputCommitted: ("input_audio_buffer.committed", "item_id previous_item_id"),
    e.InputCleared: ("input_audio_buffer.cleared", ""),
    e.InputTimedOut: (
        "input_audio_buffer.timeout_triggered",
        "item_id audio_start_ms audio_end_ms",
    ),
    e.InputTranscriptDelta: (f"{_TRANSCRIPTION}.delta", "item_id content_index delta"),
    e.InputTranscriptCompleted: (
        f"{_TRANSCRIPTION}.completed",
        "item_id content_index transcript usage",
    ),
    e.InputTranscriptFailed: (f"{_TRANSCRIPTION}.failed", "item_id content_index error"),
    e.ContentPartAdded: ("response.content_part.added", f"{_PART} part"),
    e.ContentPartDone: ("response.content_part.done", f"{_PART} part"),
    e.TextDelta: ("{text}.delta", f"{_PART} delta"),
    e.TextDone: ("{text}.done", f"{_PART} text"),
    e.AudioDelta: ("{audio}.delta", f"{_PART} audio"),
    e.AudioDone: ("{audio}.done", _PART),
    e.TranscriptDelta: ("{transcript}.delta", f"{_PART} delta"),
    e.TranscriptDone: ("{transcript}.done", f"{_PART} transcript"),
    e.OutputItemAdded: ("response.output_item.added", "response_id output_index item"),
    e.OutputItemDone: ("response.output_item.done", "response_id output_index item"),
    e.FunctionArgumentsDelta: (
        f"{_ARGUMENTS}.delta",
        "response_id output_index item_id call_id delta",
    ),
    e.FunctionArgumentsDone: (
        f"{_ARGUMENTS}.done",
        "response_id output_index item_id call_id arguments name",
    ),
    e.McpToolsListed: ("mcp_list_tools.{{event.phase}}", "item_id"),
    e.McpCallChanged: ("response.mcp_call.{{event.phase}}", "item_id output_index"),
    e.McpArgumentsDelta: (
        "response.mcp_call_arguments.delta",
        "response_id item_id output_index delta",
    ),
    e.McpArgumentsDone: (
        "response.mcp_call_arguments.done",
        "response_id item_id output_index arguments",
    ),
}


def _text_delta(delta: str, dialect: DialectTable) -> WireObject:
    """Return a delta, where the dialect has it with filler that hides its size."""
    if not dialect.hides_sizes:
        return {"delta": delta}
    return {"delta": delta, "obfuscation": secrets.token_urlsafe(8)}


def _error(error: ApiError, **event_id: object) -> WireObject:
    return {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        **event_id,
    }


def _duration(usage: Usage | None) -> WireObject:
    return {"type": "duration", "seconds": usage.seconds if usage else 0}


# Any: the field's own type, which its event says.
_FIELDS: Mapping[str, Callable[[Any, DialectTable], WireObject]] = {
    "item": lambda item, dialect: {"item": write_item(item, dialect)},
    "part": lambda part, _: {"part": write_event_part(part)},
    "delta": _text_delta,
    "audio": lambda audio, _: {"delta": base64.b64encode(audio).decode()},
    "usage": lambda usage, _: {"usage": _duration(usage)},
    "error": lambda error, _: {"error": _error(error)},
    "name": lambda name, dialect: {"name": name} if dialect.names_calls else {},
}
"""The fields that are not written as they are."""


def _rows_of(dialect: DialectTable) -> Mapping[type, tuple[str, Sequence[str]]]:
    names = asdict(dialect.names)
    return {
        kind: (name.format(**names), fields.split())
        for kind, (name, fields) in ROWS.items()
        if kind not in dialect.lacks
    }


_ROWS_OF: Mapping[DialectName, Mapping[type, tuple[str, Sequence[str]]]] = {
    name: _rows_of(dialect) for name, dialect in DIALECTS.items()
}


def write_event(event: e.ServerEvent, dialect: DialectTable, state: WireState) -> list[WireObject]:
    """Write one event.

    Returns:
        The objects to send in order: with one of a response the rate limits; none where the dialect
        has no such event.

    Raises:
        AssertionError: an event that this simulator never makes.
    """
    session = dialect.names.session[state.identity.kind]
    match event:
        case e.SessionCreated():
            return [{"type": f"{session}.created", "session": state.session}]
        case e.SessionUpdated():
            return [{"type": f"{session}.updated", "session": state.session}]
        case e.ResponseCreated():
            return write_created(event, dialect, state)
        case e.ResponseDone():
            return write_done(event, dialect, state)
        case e.ErrorReported(error=error):
            return [{"type": "error", "error": _error(error, event_id=error.client_event_id)}]
        case _:
            return _write_row(event, dialect)


def _write_row(event: e.ServerEvent, dialect: DialectTable) -> list[WireObject]:
    if type(event) not in _ROWS_OF[dialect.name]:
        raise AssertionError(f"the simulator makes no {type(event).__name__} in {dialect.name}")
    name, fields = _ROWS_OF[dialect.name][type(event)]
    if not name:
        return []
    written: WireObject = {"type": name.format(event=event)}
    for field in fields:
        value = getattr(event, field)
        written |= _FIELDS[field](value, dialect) if field in _FIELDS else {field: value}
    return [written]
