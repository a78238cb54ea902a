"""Rows that the beta and GA dialects share: events and commands of the same name and shape.

Each dialect's tables are these plus its own (`PROTOCOL.md` sections 2, 3, 5 and 7).
"""

from collections.abc import Mapping

import pybase64

from bridge.realtime.commands import (
    AppendAudio,
    CancelResponse,
    ClearInput,
    ClearOutput,
    CommitInput,
    ContinueDelegated,
    DeclineDelegated,
    DeleteItem,
    EndSession,
    RetrieveItem,
    StartSession,
    TruncateItem,
)
from bridge.realtime.duplex_events import (
    CallerTranscriptDelta,
    ContextAppended,
    DelegatedCreated,
    DelegatedDone,
    DelegatedItemDone,
    DelegatedProgressed,
    NoticeGiven,
    SessionClosed,
    SessionTimeUsed,
    VoiceDelta,
    VoiceTranscriptDelta,
    WorkDelegated,
)
from bridge.realtime.event_values import ApiError, RateLimit, ResponseStatus, Usage
from bridge.realtime.events import (
    ContentPartAdded,
    ContentPartDone,
    ConversationCreated,
    ErrorReported,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptDelta,
    InputTranscriptFailed,
    ItemAdded,
    ItemDeleted,
    ItemRetrieved,
    ItemTruncated,
    OutputBufferChanged,
    OutputItemAdded,
    OutputItemDone,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SpeechStarted,
    SpeechStopped,
)
from bridge.realtime.items import Item
from bridge.realtime.wire import (
    Reader,
    WireObject,
    at,
    constant,
    count,
    default_to,
    each,
    enum_or,
    given,
    inside,
    inside_if_any,
    nested,
    optional,
    optional_str,
    require_int,
    require_number,
    require_str,
)
from bridge.realtime.wire_items import read_item, read_part
from bridge.realtime.wire_tables import (
    CommandRow,
    CommandTable,
    EventTable,
    command,
    event,
)


def _label(obj: WireObject, key: str) -> str | None:
    # An error that we fail to read is worse than one with an odd code: compatible servers send
    # numbers here.
    value = obj.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1_000_000:
        return str(value)
    return require_str(obj, key) if isinstance(value, str) else None


def read_error(obj: WireObject) -> ApiError:
    """Read an error object, forgiving everything but its being no object."""
    return ApiError(
        type=_label(obj, "type") or "error",
        message=_label(obj, "message") or "",
        code=_label(obj, "code"),
        param=_label(obj, "param"),
        client_event_id=_label(obj, "event_id"),
    )


def _input_tokens(kind: str) -> Reader[int]:
    return inside_if_any("input_token_details", at(kind, count))


def _cached_tokens(kind: str) -> Reader[int]:
    cached = inside_if_any("cached_tokens_details", at(kind, count))
    return inside_if_any("input_token_details", cached)


def _output_tokens(kind: str) -> Reader[int]:
    return inside_if_any("output_token_details", at(kind, count))


_output_text = _output_tokens("text_tokens")
_TOKENS: Mapping[str, Reader[int]] = {
    "input_text": _input_tokens("text_tokens"),
    "input_audio": _input_tokens("audio_tokens"),
    "input_image": _input_tokens("image_tokens"),
    "cached_text": _cached_tokens("text_tokens"),
    "cached_audio": _cached_tokens("audio_tokens"),
    "cached_image": _cached_tokens("image_tokens"),
    # A transcription's output is text and comes without details.
    "output_text": lambda obj, key: (
        _output_text(obj, key) if obj.get("output_token_details") else count(obj, "output_tokens")
    ),
    "output_audio": _output_tokens("audio_tokens"),
    "total": at("total_tokens", count),
}
_seconds = default_to(0.0, require_number)


def read_usage(obj: WireObject) -> Usage:
    """Read what a response or a transcription cost; counters left out are 0."""
    tokens = {name: read(obj, name) for name, read in _TOKENS.items()}
    return Usage(**tokens, seconds=_seconds(obj, "seconds"))


_pairs = optional(nested(lambda obj: obj))


def _metadata(obj: WireObject, key: str) -> dict[str, str]:
    pairs = _pairs(obj, key) or {}
    return {
        name: require_str(pairs, name) for name, value in pairs.items() if isinstance(value, str)
    }


def _read_error_code(details: WireObject) -> str | None:
    error = _optional_error(details, "error")
    return (error.code or error.type) if error else None


def _read_reason(details: WireObject) -> str | None:
    return optional_str(details, "reason")


def _read_rate_limit(obj: WireObject) -> RateLimit:
    return RateLimit(
        name=require_str(obj, "name"),
        limit=require_int(obj, "limit"),
        remaining=require_int(obj, "remaining"),
        reset_s=require_number(obj, "reset_seconds"),
    )


_error = nested(read_error)
_optional_error = optional(_error)
_item = nested(read_item)
_no_items: tuple[Item, ...] = ()
_output = default_to(_no_items, each(read_item))
_usage = optional(nested(read_usage))

CONTENT: Mapping[str, Reader[object]] = {
    "response_id": require_str,
    "item_id": require_str,
    "output_index": count,
    "content_index": count,
}
"""Where an event of an answer's content belongs; `**CONTENT` in a row."""

OUTPUT: Mapping[str, Reader[object]] = {
    "response_id": require_str,
    "item_id": require_str,
    "output_index": count,
}
"""Where an event of an output item belongs; `**OUTPUT` in a row."""

_TRANSCRIBED: Mapping[str, Reader[object]] = {"item_id": require_str, "content_index": count}

LIVE_ALONE: frozenset[type[ServerEvent]] = frozenset(
    {
        VoiceDelta,
        VoiceTranscriptDelta,
        CallerTranscriptDelta,
        WorkDelegated,
        DelegatedCreated,
        DelegatedItemDone,
        DelegatedDone,
        DelegatedProgressed,
        ContextAppended,
        SessionTimeUsed,
        SessionClosed,
        NoticeGiven,
    }
)
"""Events that neither beta nor GA has: each of its services answers, and says so."""

UNSAID: Mapping[type[object], str] = {
    StartSession: "a session exists once the connection stands; session.update sets it up",
    EndSession: "closing the connection ends the session",
    DeclineDelegated: "the model gives no work away",
    ContinueDelegated: "the model calls its tools itself; response.create has it go on",
}
"""Commands that neither beta nor GA has a word for."""

SHARED_EVENTS: EventTable = {
    "error": event(ErrorReported, error=_error),
    "conversation.created": event(
        ConversationCreated, conversation_id=inside("conversation", at("id", require_str))
    ),
    "conversation.item.created": event(ItemAdded, item=_item, previous_item_id=optional_str),
    "conversation.item.retrieved": event(ItemRetrieved, item=_item),
    "conversation.item.truncated": event(
        ItemTruncated, item_id=require_str, content_index=count, audio_end_ms=require_int
    ),
    "conversation.item.deleted": event(ItemDeleted, item_id=require_str),
    "conversation.item.input_audio_transcription.delta": event(
        InputTranscriptDelta, **_TRANSCRIBED, delta=default_to("", require_str)
    ),
    "conversation.item.input_audio_transcription.completed": event(
        InputTranscriptCompleted, **_TRANSCRIBED, transcript=require_str, usage=_usage
    ),
    "conversation.item.input_audio_transcription.failed": event(
        InputTranscriptFailed, **_TRANSCRIBED, error=_error
    ),
    "input_audio_buffer.committed": event(
        InputCommitted, item_id=require_str, previous_item_id=optional_str
    ),
    "input_audio_buffer.cleared": event(InputCleared),
    "input_audio_buffer.speech_started": event(
        SpeechStarted, item_id=require_str, audio_start_ms=optional(require_int)
    ),
    "input_audio_buffer.speech_stopped": event(
        SpeechStopped, item_id=require_str, audio_end_ms=optional(require_int)
    ),
    "response.created": event(
        ResponseCreated,
        response_id=inside("response", at("id", require_str)),
        metadata=inside("response", _metadata),
        conversation_id=inside("response", optional_str),
    ),
    "response.done": event(
        ResponseDone,
        response_id=inside("response", at("id", require_str)),
        status=inside("response", enum_or(ResponseStatus, ResponseStatus.OTHER)),
        output=inside("response", _output),
        reason=inside("response", at("status_details", optional(nested(_read_reason)))),
        error_code=inside("response", at("status_details", optional(nested(_read_error_code)))),
        usage=inside("response", _usage),
        metadata=inside("response", _metadata),
    ),
    "response.output_item.added": event(
        OutputItemAdded, response_id=require_str, output_index=count, item=_item
    ),
    "response.output_item.done": event(
        OutputItemDone, response_id=require_str, output_index=count, item=_item
    ),
    "response.content_part.added": event(ContentPartAdded, **CONTENT, part=nested(read_part)),
    "response.content_part.done": event(ContentPartDone, **CONTENT, part=nested(read_part)),
    "response.function_call_arguments.delta": event(
        FunctionArgumentsDelta, **OUTPUT, call_id=require_str, delta=require_str
    ),
    "response.function_call_arguments.done": event(
        FunctionArgumentsDone,
        **OUTPUT,
        call_id=require_str,
        arguments=require_str,
        name=optional_str,
    ),
    "rate_limits.updated": event(
        RateLimitsUpdated, limits=at("rate_limits", each(_read_rate_limit))
    ),
    "output_audio_buffer.started": event(
        OutputBufferChanged, response_id=require_str, change=constant("started")
    ),
    "output_audio_buffer.stopped": event(
        OutputBufferChanged, response_id=require_str, change=constant("stopped")
    ),
    "output_audio_buffer.cleared": event(
        OutputBufferChanged, response_id=require_str, change=constant("cleared")
    ),
}


def _append_audio(value: AppendAudio) -> WireObject:
    return {"audio": pybase64.b64encode_as_string(value.audio)}


def _clear_output(_value: ClearOutput) -> WireObject:
    # A plain WebSocket client plays out by itself (`PROTOCOL.md` section 2).
    raise ValueError("output_audio_buffer.clear is for WebRTC and SIP sessions; flush our playout")


SHARED_COMMANDS: CommandTable = dict(
    [
        (ClearOutput, CommandRow(("output_audio_buffer.clear",), _clear_output, sent=False)),
        command(AppendAudio, "input_audio_buffer.append", _append_audio),
        command(CommitInput, "input_audio_buffer.commit", lambda c: {}),
        command(ClearInput, "input_audio_buffer.clear", lambda c: {}),
        command(RetrieveItem, "conversation.item.retrieve", lambda c: {"item_id": c.item_id}),
        command(
            TruncateItem,
            "conversation.item.truncate",
            lambda c: {
                "item_id": c.item_id,
                "content_index": c.content_index,
                "audio_end_ms": c.audio_end_ms,
            },
        ),
        command(DeleteItem, "conversation.item.delete", lambda c: {"item_id": c.item_id}),
        command(CancelResponse, "response.cancel", lambda c: given(response_id=c.response_id)),
    ]
)
