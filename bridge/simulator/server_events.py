"""Server events as both dialects write them, but for spelling (`PROTOCOL.md` sections 3, 6 and 7).

Pure functions from canonical events to JSON objects, without ``event_id``. They share nothing with
the adapters that read them in :mod:`bridge.realtime`.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from bridge.realtime import events as e
from bridge.realtime.items import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    McpApproval,
    McpApprovalRequest,
    McpCall,
    McpToolList,
    Message,
    OpaqueItem,
    Part,
    PartKind,
)
from bridge.realtime.session_config import ResponseConfig
from bridge.simulator.mcp_events import write_mcp_item
from bridge.simulator.wire import Identity, WireObject

TOKEN_LIMIT = 1_000_000
TOKEN_WINDOW_S = 60.0

# content_part events say text and audio in both dialects, whatever items say.
_PART_EVENT_TYPES = {PartKind.OUTPUT_TEXT: "text", PartKind.OUTPUT_AUDIO: "audio"}
_AUDIO_KINDS = frozenset({PartKind.INPUT_AUDIO, PartKind.OUTPUT_AUDIO})
# Of a failed response, as captured: the type of the error, and its text.
_FAILURES = {
    "rate_limit_exceeded": ("tokens", "Rate limit reached. Please try again later."),
    "insufficient_quota": ("insufficient_quota", "You exceeded your current quota."),
}
_FAILED = ("server_error", "The server had an error while processing your request.")

InputEvent = (
    e.InputCommitted
    | e.InputCleared
    | e.SpeechStarted
    | e.SpeechStopped
    | e.InputTranscriptDelta
    | e.InputTranscriptCompleted
    | e.InputTranscriptFailed
)
ItemEvent = e.ItemRetrieved | e.ItemTruncated | e.ItemDeleted
ContentEvent = (
    e.ContentPartAdded
    | e.ContentPartDone
    | e.TextDelta
    | e.TextDone
    | e.AudioDelta
    | e.AudioDone
    | e.TranscriptDelta
    | e.TranscriptDone
)
OutputEvent = (
    e.OutputItemAdded | e.OutputItemDone | e.FunctionArgumentsDelta | e.FunctionArgumentsDone
)
SharedEvent = InputEvent | ItemEvent | ContentEvent | OutputEvent | e.ErrorReported


@dataclass(frozen=True, slots=True)
class Spelling:
    """Where the dialects write the same thing differently.

    Attributes:
        names: of the six renamed events, ``<text>.delta`` and so on without their endings.
        parts: the types of content in items.
        item: what every item says of itself.
        hides_sizes: text deltas come with filler.
        names_calls: finished arguments come with the function's name.
    """

    text: str
    audio: str
    transcript: str
    parts: Mapping[PartKind, str]
    item: WireObject
    hides_sizes: bool
    names_calls: bool


@dataclass(frozen=True, slots=True)
class SessionState:
    """What events repeat of the session.

    Attributes:
        session: the session object of the wire.
        asked: what each response that has begun was asked to be.
    """

    identity: Identity
    session: WireObject
    asked: Mapping[str, ResponseConfig]


def write_shared(event: SharedEvent, spelling: Spelling) -> WireObject:
    """Write an event that has the same fields in every dialect."""
    if isinstance(event, ContentEvent):
        return _content_event(event, spelling)
    if isinstance(event, OutputEvent):
        return _output_event(event, spelling)
    if isinstance(event, InputEvent):
        return _input_event(event, spelling)
    match event:
        case e.ItemRetrieved(item=item):
            return {"type": "conversation.item.retrieved", "item": write_item(item, spelling)}
        case e.ItemTruncated():
            return {
                "type": "conversation.item.truncated",
                "item_id": event.item_id,
                "content_index": event.content_index,
                "audio_end_ms": event.audio_end_ms,
            }
        case e.ItemDeleted(item_id=item_id):
            return {"type": "conversation.item.deleted", "item_id": item_id}
        case e.ErrorReported(error=error):
            return {"type": "error", "error": _error(error, event_id=error.client_event_id)}
        case _:
            assert_never(event)


def write_placed(kind: str, event: e.ItemAdded | e.ItemDone, spelling: Spelling) -> WireObject:
    """Write that an item is in the conversation, and after which other one."""
    item = write_item(event.item, spelling)
    return {"type": kind, "previous_item_id": event.previous_item_id, "item": item}


def write_outcome(event: e.ResponseDone, spelling: Spelling) -> WireObject:
    """Write what of a response object is known only at its end."""
    details: WireObject = {"type": event.status.value}
    if event.reason is not None:
        details["reason"] = event.reason
    if event.error_code is not None:
        kind, message = _FAILURES.get(event.error_code, _FAILED)
        details["error"] = {"type": kind, "code": event.error_code, "message": message}
    completed = event.status is e.ResponseStatus.COMPLETED
    return {
        "status": event.status.value,
        "status_details": None if completed else details,
        "output": [write_item(item, spelling) for item in event.output],
    }


def write_usage(usage: e.Usage) -> WireObject:
    """Write the tokens of a response, without images."""
    return {
        "total_tokens": usage.total,
        "input_tokens": usage.input_text + usage.input_audio + usage.input_image,
        "output_tokens": usage.output_text + usage.output_audio,
        "input_token_details": {
            "text_tokens": usage.input_text,
            "audio_tokens": usage.input_audio,
            "cached_tokens": usage.cached_text + usage.cached_audio + usage.cached_image,
            "cached_tokens_details": {
                "text_tokens": usage.cached_text,
                "audio_tokens": usage.cached_audio,
            },
        },
        "output_token_details": {
            "text_tokens": usage.output_text,
            "audio_tokens": usage.output_audio,
        },
    }


def write_limit(name: str, limit: int, used: int) -> WireObject:
    """Write one entry of ``rate_limits``."""
    return {
        "name": name,
        "limit": limit,
        "remaining": max(0, limit - used),
        "reset_seconds": round(TOKEN_WINDOW_S * used / limit, 3),
    }


def write_item(item: Item, spelling: Spelling) -> WireObject:
    """Write an item as it stands."""
    match item:
        case Message():
            kind: WireObject = {
                "type": "message",
                "role": item.role.value,
                "content": [_item_part(part, spelling) for part in item.parts],
            }
            status = item.status
        case FunctionCall():
            kind = {
                "type": "function_call",
                "call_id": item.call_id,
                "name": item.name,
                "arguments": item.arguments,
            }
            status = item.status
        case FunctionCallOutput():
            kind = {
                "type": "function_call_output",
                "call_id": item.call_id,
                "output": item.output,
            }
            status = ItemStatus.COMPLETED
        case McpToolList() | McpCall() | McpApprovalRequest() | McpApproval():
            return write_mcp_item(item)
        case OpaqueItem():
            return {"id": item.item_id, "type": item.type}
        case _:
            assert_never(item)
    standing = (status or ItemStatus.COMPLETED).value
    return {"id": item.item_id, **spelling.item, "status": standing, **kind}


def _input_event(event: InputEvent, spelling: Spelling) -> WireObject:
    match event:
        case e.SpeechStarted(item_id=item_id, audio_start_ms=start_ms):
            fields: WireObject = {"item_id": item_id, "audio_start_ms": start_ms}
            return {"type": "input_audio_buffer.speech_started", **fields}
        case e.SpeechStopped(item_id=item_id, audio_end_ms=end_ms):
            fields = {"item_id": item_id, "audio_end_ms": end_ms}
            return {"type": "input_audio_buffer.speech_stopped", **fields}
        case e.InputCommitted(item_id=item_id, previous_item_id=previous):
            fields = {"item_id": item_id, "previous_item_id": previous}
            return {"type": "input_audio_buffer.committed", **fields}
        case e.InputCleared():
            return {"type": "input_audio_buffer.cleared"}
        case _:
            return _transcription_event(event, spelling)


def _transcription_event(
    event: e.InputTranscriptDelta | e.InputTranscriptCompleted | e.InputTranscriptFailed,
    spelling: Spelling,
) -> WireObject:
    place: WireObject = {"item_id": event.item_id, "content_index": event.content_index}
    match event:
        case e.InputTranscriptDelta(delta=delta):
            end, fields = "delta", _text_delta(delta, spelling)
        case e.InputTranscriptCompleted(transcript=transcript, usage=usage):
            seconds = usage.seconds if usage else 0
            end = "completed"
            fields = {"transcript": transcript, "usage": {"type": "duration", "seconds": seconds}}
        case e.InputTranscriptFailed(error=error):
            end, fields = "failed", {"error": _error(error)}
        case _:
            assert_never(event)
    return {"type": f"conversation.item.input_audio_transcription.{end}", **place, **fields}


def _content_event(event: ContentEvent, spelling: Spelling) -> WireObject:
    place: WireObject = {
        "response_id": event.response_id,
        "item_id": event.item_id,
        "output_index": event.output_index,
        "content_index": event.content_index,
    }
    kind, fields = _content_payload(event, spelling)
    return {"type": kind, **place, **fields}


def _content_payload(event: ContentEvent, spelling: Spelling) -> tuple[str, WireObject]:
    match event:
        case e.AudioDelta(audio=audio):
            return f"{spelling.audio}.delta", {"delta": base64.b64encode(audio).decode()}
        case e.AudioDone():
            return f"{spelling.audio}.done", {}
        case e.TranscriptDelta(delta=delta):
            return f"{spelling.transcript}.delta", _text_delta(delta, spelling)
        case e.TranscriptDone(transcript=transcript):
            return f"{spelling.transcript}.done", {"transcript": transcript}
        case e.TextDelta(delta=delta):
            return f"{spelling.text}.delta", _text_delta(delta, spelling)
        case e.TextDone(text=text):
            return f"{spelling.text}.done", {"text": text}
        case e.ContentPartAdded(part=part):
            return "response.content_part.added", {"part": _event_part(part)}
        case e.ContentPartDone(part=part):
            return "response.content_part.done", {"part": _event_part(part)}
        case _:
            assert_never(event)


def _text_delta(delta: str, spelling: Spelling) -> WireObject:
    """Return a delta, where the dialect has it with filler that hides its size."""
    if not spelling.hides_sizes:
        return {"delta": delta}
    return {"delta": delta, "obfuscation": secrets.token_urlsafe(8)}


def _output_event(event: OutputEvent, spelling: Spelling) -> WireObject:
    place: WireObject = {"response_id": event.response_id, "output_index": event.output_index}
    match event:
        case e.OutputItemAdded(item=item):
            fields: WireObject = {"item": write_item(item, spelling)}
            return {"type": "response.output_item.added", **place, **fields}
        case e.OutputItemDone(item=item):
            fields = {"item": write_item(item, spelling)}
            return {"type": "response.output_item.done", **place, **fields}
        case e.FunctionArgumentsDelta(item_id=item_id, call_id=call_id, delta=delta):
            text = _text_delta(delta, spelling)
            fields = {"item_id": item_id, "call_id": call_id, **text}
            return {"type": "response.function_call_arguments.delta", **place, **fields}
        case e.FunctionArgumentsDone(item_id=item_id, call_id=call_id):
            fields = {"item_id": item_id, "call_id": call_id, "arguments": event.arguments}
            if spelling.names_calls:
                fields["name"] = event.name
            return {"type": "response.function_call_arguments.done", **place, **fields}
        case _:
            assert_never(event)


def _error(error: e.ApiError, **event_id: object) -> WireObject:
    return {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        **event_id,
    }


def _item_part(part: Part, spelling: Spelling) -> WireObject:
    kind = spelling.parts[part.kind]
    if part.kind in _AUDIO_KINDS:
        return {"type": kind, "transcript": part.text}
    if part.kind is PartKind.INPUT_IMAGE:
        return {"type": kind, "image_url": part.image_url}
    return {"type": kind, "text": part.text}


def _event_part(part: Part) -> WireObject:
    field = "transcript" if part.kind in _AUDIO_KINDS else "text"
    return {"type": _PART_EVENT_TYPES[part.kind], field: part.text}
