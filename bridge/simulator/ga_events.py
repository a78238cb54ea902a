"""Server events of the GA dialect, written (`protocol.md` sections 3, 5, 6 and 7).

Pure functions from canonical events to JSON objects, without ``event_id``. They share nothing with
the adapter that reads them in :mod:`bridge.realtime`.
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
    Message,
    OpaqueItem,
    Part,
    PartKind,
)
from bridge.simulator.wire import WireObject

# content_part events say text and audio where items say output_text and output_audio.
_PART_EVENT_TYPES = {PartKind.OUTPUT_TEXT: "text", PartKind.OUTPUT_AUDIO: "audio"}
_AUDIO_KINDS = frozenset({PartKind.INPUT_AUDIO, PartKind.OUTPUT_AUDIO})
_TOKEN_LIMIT = 1_000_000
_TOKEN_WINDOW_S = 60.0

_SessionEvent = e.SessionCreated | e.SessionUpdated
_InputEvent = (
    e.InputCommitted
    | e.InputCleared
    | e.SpeechStarted
    | e.SpeechStopped
    | e.InputTranscriptCompleted
    | e.InputTranscriptFailed
)
_ItemEvent = e.ItemAdded | e.ItemDone | e.ItemRetrieved | e.ItemTruncated | e.ItemDeleted
_ContentEvent = (
    e.ContentPartAdded
    | e.ContentPartDone
    | e.TextDelta
    | e.TextDone
    | e.AudioDelta
    | e.AudioDone
    | e.TranscriptDelta
    | e.TranscriptDone
)
_OutputEvent = (
    e.OutputItemAdded | e.OutputItemDone | e.FunctionArgumentsDelta | e.FunctionArgumentsDone
)


@dataclass(frozen=True, slots=True)
class SessionState:
    """What events repeat of the session; ``session`` is the session object of the wire."""

    session: WireObject
    conversation_id: str


def write_event(event: e.ServerEvent, state: SessionState) -> list[WireObject]:
    """Write one event.

    Returns:
        The objects to send in order; ``response.done`` brings ``rate_limits.updated`` with it.

    Raises:
        AssertionError: an event that this simulator never makes.
    """
    if isinstance(event, _ContentEvent):
        return [_content_event(event)]
    if isinstance(event, _OutputEvent):
        return [_output_event(event)]
    if isinstance(event, _ItemEvent):
        return [_item_event(event)]
    if isinstance(event, _InputEvent):
        return [_input_event(event)]
    match event:
        case e.SessionCreated():
            return [{"type": "session.created", "session": state.session}]
        case e.SessionUpdated():
            return [{"type": "session.updated", "session": state.session}]
        case e.ErrorReported(error=error):
            return [{"type": "error", "error": _error(error, event_id=error.client_event_id)}]
        case e.ResponseCreated():
            return [_response_created(event, state)]
        case e.ResponseDone():
            return [_response_done(event, state), _rate_limits(event.usage)]
        case _:
            raise AssertionError(f"the simulator makes no {type(event).__name__}")


def _input_event(event: _InputEvent) -> WireObject:
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
        case e.InputTranscriptCompleted():
            return {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": event.item_id,
                "content_index": event.content_index,
                "transcript": event.transcript,
                "usage": {"type": "duration", "seconds": event.usage.seconds if event.usage else 0},
            }
        case e.InputTranscriptFailed():
            return {
                "type": "conversation.item.input_audio_transcription.failed",
                "item_id": event.item_id,
                "content_index": event.content_index,
                "error": _error(event.error),
            }
        case _:
            assert_never(event)


def _item_event(event: _ItemEvent) -> WireObject:
    match event:
        case e.ItemAdded(item=item, previous_item_id=previous):
            return _placed("conversation.item.added", item, previous)
        case e.ItemDone(item=item, previous_item_id=previous):
            return _placed("conversation.item.done", item, previous)
        case e.ItemRetrieved(item=item):
            return {"type": "conversation.item.retrieved", "item": _item(item)}
        case e.ItemTruncated():
            return {
                "type": "conversation.item.truncated",
                "item_id": event.item_id,
                "content_index": event.content_index,
                "audio_end_ms": event.audio_end_ms,
            }
        case e.ItemDeleted(item_id=item_id):
            return {"type": "conversation.item.deleted", "item_id": item_id}
        case _:
            assert_never(event)


def _placed(kind: str, item: Item, previous: str | None) -> WireObject:
    return {"type": kind, "previous_item_id": previous, "item": _item(item)}


def _content_event(event: _ContentEvent) -> WireObject:
    place: WireObject = {
        "response_id": event.response_id,
        "item_id": event.item_id,
        "output_index": event.output_index,
        "content_index": event.content_index,
    }
    kind, fields = _content_payload(event)
    return {"type": kind, **place, **fields}


def _content_payload(event: _ContentEvent) -> tuple[str, WireObject]:
    match event:
        case e.AudioDelta(audio=audio):
            return "response.output_audio.delta", {"delta": base64.b64encode(audio).decode()}
        case e.AudioDone():
            return "response.output_audio.done", {}
        case e.TranscriptDelta(delta=delta):
            return "response.output_audio_transcript.delta", _text_delta(delta)
        case e.TranscriptDone(transcript=transcript):
            return "response.output_audio_transcript.done", {"transcript": transcript}
        case e.TextDelta(delta=delta):
            return "response.output_text.delta", _text_delta(delta)
        case e.TextDone(text=text):
            return "response.output_text.done", {"text": text}
        case e.ContentPartAdded(part=part):
            return "response.content_part.added", {"part": _event_part(part)}
        case e.ContentPartDone(part=part):
            return "response.content_part.done", {"part": _event_part(part)}
        case _:
            assert_never(event)


def _text_delta(delta: str) -> WireObject:
    """Return a delta and filler that hides its size, as the service sends with text."""
    return {"delta": delta, "obfuscation": secrets.token_urlsafe(8)}


def _output_event(event: _OutputEvent) -> WireObject:
    place: WireObject = {"response_id": event.response_id, "output_index": event.output_index}
    match event:
        case e.OutputItemAdded(item=item):
            return {"type": "response.output_item.added", **place, "item": _item(item)}
        case e.OutputItemDone(item=item):
            return {"type": "response.output_item.done", **place, "item": _item(item)}
        case e.FunctionArgumentsDelta(item_id=item_id, call_id=call_id, delta=delta):
            fields: WireObject = {"item_id": item_id, "call_id": call_id, **_text_delta(delta)}
            return {"type": "response.function_call_arguments.delta", **place, **fields}
        case e.FunctionArgumentsDone(item_id=item_id, call_id=call_id):
            fields = {
                "item_id": item_id,
                "call_id": call_id,
                "name": event.name,
                "arguments": event.arguments,
            }
            return {"type": "response.function_call_arguments.done", **place, **fields}
        case _:
            assert_never(event)


def _response_created(event: e.ResponseCreated, state: SessionState) -> WireObject:
    response = _response(event.response_id, "in_progress", event.metadata, state)
    return {"type": "response.created", "response": response}


def _response_done(event: e.ResponseDone, state: SessionState) -> WireObject:
    details: WireObject = {"type": event.status.value}
    if event.reason is not None:
        details["reason"] = event.reason
    if event.error_code is not None:
        details["error"] = {"type": "server_error", "code": event.error_code}
    completed = event.status is e.ResponseStatus.COMPLETED
    response = _response(event.response_id, event.status.value, event.metadata, state)
    response["status_details"] = None if completed else details
    response["output"] = [_item(item) for item in event.output]
    response["usage"] = _usage(event.usage) if event.usage is not None else None
    return {"type": "response.done", "response": response}


def _response(
    response_id: str, status: str, metadata: Mapping[str, str], state: SessionState
) -> WireObject:
    """Return a response object without an outcome."""
    session = state.session
    audio = session["audio"]
    output = audio["output"] if isinstance(audio, dict) else {}
    return {
        "object": "realtime.response",
        "id": response_id,
        "status": status,
        "status_details": None,
        "output": [],
        "conversation_id": state.conversation_id,
        "output_modalities": session["output_modalities"],
        "max_output_tokens": session["max_output_tokens"],
        "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
        "usage": None,
        "metadata": dict(metadata) or None,
    }


def _usage(usage: e.Usage) -> WireObject:
    return {
        "total_tokens": usage.total,
        "input_tokens": usage.input_text + usage.input_audio + usage.input_image,
        "output_tokens": usage.output_text + usage.output_audio,
        "input_token_details": {
            "text_tokens": usage.input_text,
            "audio_tokens": usage.input_audio,
            "image_tokens": usage.input_image,
            "cached_tokens": usage.cached_text + usage.cached_audio + usage.cached_image,
            "cached_tokens_details": {
                "text_tokens": usage.cached_text,
                "audio_tokens": usage.cached_audio,
                "image_tokens": usage.cached_image,
            },
        },
        "output_token_details": {
            "text_tokens": usage.output_text,
            "audio_tokens": usage.output_audio,
        },
    }


def _rate_limits(usage: e.Usage | None) -> WireObject:
    """Write the limits that follow a response; only tokens are seen on the GA wire."""
    used = usage.total if usage is not None else 0
    limit: WireObject = {
        "name": "tokens",
        "limit": _TOKEN_LIMIT,
        "remaining": max(0, _TOKEN_LIMIT - used),
        "reset_seconds": round(_TOKEN_WINDOW_S * used / _TOKEN_LIMIT, 3),
    }
    return {"type": "rate_limits.updated", "rate_limits": [limit]}


def _error(error: e.ApiError, **event_id: object) -> WireObject:
    return {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        **event_id,
    }


def _item(item: Item) -> WireObject:
    """Write an item; GA items have no ``object``."""
    match item:
        case Message():
            kind: WireObject = {
                "type": "message",
                "role": item.role.value,
                "content": [_item_part(part) for part in item.parts],
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
        case OpaqueItem():
            return {"id": item.item_id, "type": item.type}
        case _:
            assert_never(item)
    return {"id": item.item_id, "status": (status or ItemStatus.COMPLETED).value, **kind}


def _item_part(part: Part) -> WireObject:
    if part.kind in _AUDIO_KINDS:
        return {"type": part.kind.value, "transcript": part.text}
    if part.kind is PartKind.INPUT_IMAGE:
        return {"type": part.kind.value, "image_url": part.image_url}
    return {"type": part.kind.value, "text": part.text}


def _event_part(part: Part) -> WireObject:
    field = "transcript" if part.kind in _AUDIO_KINDS else "text"
    return {"type": _PART_EVENT_TYPES[part.kind], field: part.text}
