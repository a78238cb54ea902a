"""The Live dialect, of full-duplex models: its two tables (`PROTOCOL.md` section 11).

Its service streams one voice, silences included, and decides alone when that speaks, stops and
answers. So it has no responses, no items and no turns, and none are made up here: what is theirs in
the other dialects is absent, and the engine finds by ear what it needs of it. Pure and stateless.
"""

from collections.abc import Mapping, Sequence

import pybase64

from bridge.realtime import commands as say
from bridge.realtime import duplex_events as duplex
from bridge.realtime import events
from bridge.realtime.confirmed import Difference, differences, pick
from bridge.realtime.dialect import Awaited, ServiceTraits
from bridge.realtime.event_values import ApiError, ResponseStatus, Usage
from bridge.realtime.items import (
    FunctionCallOutput,
    Item,
    McpApproval,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.live_session import (
    MAX_APPEND_TOKENS,
    PATHS,
    encode_start,
    read_session,
    said_by,
    sayable_in_live,
    unsupported_fields,
    within_tokens,
)
from bridge.realtime.session_config import SessionConfig, SessionInfo
from bridge.realtime.wire import (
    Reader,
    WireObject,
    at,
    constant,
    count,
    default_to,
    given,
    inside,
    inside_if_any,
    nested,
    optional,
    optional_str,
    require_base64,
    require_int,
    require_number,
    require_str,
)
from bridge.realtime.wire_frames import TableDialect
from bridge.realtime.wire_items import encode_item, read_item
from bridge.realtime.wire_rows import read_error
from bridge.realtime.wire_tables import CommandRow, CommandTable, EventRow, Tables, command, event

NESTED = "response.event"
"""An event of the backend's, in an envelope; its row's name is both types."""

_session = nested(read_session)
_seconds = inside_if_any("usage", default_to(0.0, require_number))


def _error(obj: WireObject) -> ApiError:
    named = {"event_id": obj.get("client_event_id")}
    return read_error({**obj, **named})


def _item(obj: WireObject) -> Item:
    # A call of the Responses API may have no id of its own beside its `call_id`.
    return read_item(obj if obj.get("id") else {**obj, "id": obj.get("call_id")})


def _usage(obj: WireObject) -> Usage:
    cached = inside_if_any("input_tokens_details", at("cached_tokens", count))(obj, "")
    return Usage(
        input_text=count(obj, "input_tokens"),
        cached_text=cached,
        output_text=count(obj, "output_tokens"),
        total=count(obj, "total_tokens"),
    )


def _code_of(details: WireObject) -> str | None:
    return optional_str(details, "code") or optional_str(details, "reason")


def _of_response(read: Reader[object]) -> Reader[object]:
    return inside("event", inside("response", read))


_response_id = _of_response(at("id", require_str))
_of_delegation: Mapping[str, Reader[object]] = {"delegation_id": optional_str}


def _delegated_done(status: ResponseStatus, details: str) -> EventRow:
    return event(
        duplex.DelegatedDone,
        response_id=_response_id,
        status=constant(status),
        error_code=_of_response(at(details, optional(nested(_code_of)))),
        usage=_of_response(optional(nested(_usage))),
        **_of_delegation,
    )


def _words(kind: type[events.ServerEvent]) -> EventRow:
    return event(kind, delta=require_str, start_ms=require_int, end_ms=require_int)


_EVENTS = {
    "session.started": event(events.SessionCreated, session=_session),
    "session.updated": event(events.SessionUpdated, session=_session),
    "session.closed": event(duplex.SessionClosed, reason=require_str, seconds=_seconds),
    "session.usage.updated": event(
        duplex.SessionTimeUsed,
        seconds=_seconds,
        context_ratio=inside_if_any("context_window", at("usage_ratio", optional(require_number))),
    ),
    "session.output_audio.delta": event(duplex.VoiceDelta, audio=at("delta", require_base64)),
    "session.output_transcript.delta": _words(duplex.VoiceTranscriptDelta),
    "session.input_transcript.delta": _words(duplex.CallerTranscriptDelta),
    "session.instructions.appended": event(duplex.ContextAppended),
    "session.thinking.appended": event(duplex.ContextAppended),
    "session.commentary.appended": event(duplex.ContextAppended),
    "session.delegation.created": event(
        duplex.WorkDelegated,
        delegation_id=inside("delegation", at("id", require_str)),
        target=inside("delegation", require_str),
    ),
    f"{NESTED}/response.created": event(
        duplex.DelegatedCreated, response_id=_response_id, **_of_delegation
    ),
    f"{NESTED}/response.output_item.done": event(
        duplex.DelegatedItemDone, item=inside("event", nested(_item)), **_of_delegation
    ),
    f"{NESTED}/response.completed": _delegated_done(ResponseStatus.COMPLETED, "error"),
    f"{NESTED}/response.incomplete": _delegated_done(
        ResponseStatus.INCOMPLETE, "incomplete_details"
    ),
    f"{NESTED}/response.failed": _delegated_done(ResponseStatus.FAILED, "error"),
    NESTED: event(
        duplex.DelegatedProgressed,
        progress=inside("event", at("type", require_str)),
        **_of_delegation,
    ),
    "error": event(events.ErrorReported, error=nested(_error)),
    "info": event(duplex.NoticeGiven, code=require_str),
}

_ABSENT: frozenset[type[events.ServerEvent]] = frozenset(
    {
        events.ConversationCreated,
        events.ItemAdded,
        events.ItemDone,
        events.ItemRetrieved,
        events.ItemTruncated,
        events.ItemDeleted,
        events.InputTranscriptDelta,
        events.InputTranscriptCompleted,
        events.InputTranscriptFailed,
        events.InputTranscriptSegment,
        events.InputCommitted,
        events.InputCleared,
        events.SpeechStarted,
        events.SpeechStopped,
        events.InputTimedOut,
        events.DtmfReceived,
        events.ResponseCreated,
        events.ResponseDone,
        events.OutputItemAdded,
        events.OutputItemDone,
        events.ContentPartAdded,
        events.ContentPartDone,
        events.TextDelta,
        events.TextDone,
        events.AudioDelta,
        events.AudioDone,
        events.TranscriptDelta,
        events.TranscriptDone,
        events.FunctionArgumentsDelta,
        events.FunctionArgumentsDone,
        events.RateLimitsUpdated,
        events.OutputBufferChanged,
        events.McpToolsListed,
        events.McpArgumentsDelta,
        events.McpArgumentsDone,
        events.McpCallChanged,
    }
)

# Commands

_INSTRUCTIONS, _THINKING = "session.instructions.append", "session.thinking.append"
_COMMENTARY, _BACKEND_ITEM = "session.commentary.append", "response.item.create"
_SPEAK = "Speak to the caller now, and do not wait for them to speak first."
_ANSWER = "Answer the caller now, in the light of what you were told last."

_DECLINED = (
    "Nobody here can do work for you. Answer from what you know, or say plainly that you can't."
)


_CREATES = frozenset({PartKind.INPUT_TEXT, PartKind.OUTPUT_TEXT})


def _append(text: str) -> WireObject:
    # Null, where the work of no delegation is meant: the key itself is required.
    return {"delegation_id": None, "content": within_tokens(text, MAX_APPEND_TOKENS)}


def _create_item(value: say.CreateItem) -> WireObject:
    """Spell an item: a tool's output goes to the backend, anything else is context of the voice."""
    match value.item:
        case FunctionCallOutput() as output:
            return {"type": _BACKEND_ITEM, "item": encode_item(output, {})}
        case McpApproval() as approval:
            spelt = given(
                type=approval.type,
                approval_request_id=approval.approval_request_id,
                approve=approval.approve,
                reason=approval.reason,
            )
            return {"type": _BACKEND_ITEM, "item": spelt}
        case Message(role=Role.SYSTEM) as note:
            return {"type": _INSTRUCTIONS, **_append(said_by(note)[1])}
        case item:
            _refuse_unsayable(item)
            role, text = said_by(item)
            if not text:
                raise ValueError("a Live session takes words; this item has none")
            speaker = {"user": "Caller: ", "assistant": "You: "}.get(role, "")
            return {"type": _THINKING, **_append(speaker + text)}


def _refuse_unsayable(item: Item) -> None:
    parts = item.parts if isinstance(item, Message) else ()
    for part in parts:
        if part.kind not in _CREATES:
            raise ValueError(f"a client cannot create {part.kind} parts in Live; send text")


def _create_response(value: say.CreateResponse) -> WireObject:
    """Spell the wish that the agent speaks: something to say is what makes it do so."""
    wanted = value.config.instructions
    return _append(_ANSWER if wanted is None else f"{wanted}\n{_SPEAK}")


def _decline(value: say.DeclineDelegated) -> WireObject:
    return {"delegation_id": value.delegation_id, "content": _DECLINED}


def _start(value: say.StartSession) -> WireObject:
    return {"session": encode_start(value.config, value.model, value.talk)}


_COMMANDS: CommandTable = {
    say.CreateItem: CommandRow((_INSTRUCTIONS, _THINKING, _BACKEND_ITEM), _create_item),
    **dict(
        [
            command(say.StartSession, "session.start", _start),
            command(say.EndSession, "session.close", lambda c: {}),
            command(
                say.AppendAudio,
                "session.input_audio.append",
                lambda c: {"audio": pybase64.b64encode_as_string(c.audio)},
            ),
            command(say.CreateResponse, _COMMENTARY, _create_response),
            command(say.DeclineDelegated, _COMMENTARY, _decline),
            command(say.ContinueDelegated, "response.create", lambda c: {}),
        ]
    ),
}

_UNSAID: Mapping[type[object], str] = {
    say.UpdateSession: "a Live session is set up by session.start, once and for all",
    say.ProbeSession: "a Live service that lives streams its voice all the time",
    say.CommitInput: "Live hears by itself where a turn ends",
    say.ClearInput: "Live has heard what it was sent",
    say.RetrieveItem: "Live has no items",
    say.TruncateItem: "Live has no items, and streams no faster than it is heard",
    say.DeleteItem: "a Live session keeps what it was given",
    say.CancelResponse: "Live stops by itself when it hears the caller",
    say.ClearOutput: "what is yet to be heard lies here alone",
}

TABLES = Tables(_EVENTS, _COMMANDS, _ABSENT, _UNSAID)

_CAPABILITIES = ServiceTraits(
    opening=(say.StartSession, Awaited((events.SessionCreated,), "session.started")),
    farewell=say.EndSession,
    unsayable=TABLES.unsayable,
    names_model=False,
    reports_turns=False,
    takes_talk_later=False,
    needs_sound=True,
    creates=_CREATES,
)


class LiveDialect(TableDialect):
    """The dialect of GPT-Live on a primary WebSocket, since 2026-09; its URL names it."""

    tables = TABLES

    @property
    def name(self) -> str:
        """``live``."""
        return "live"

    @property
    def capabilities(self) -> ServiceTraits:
        """What its service can be asked for, and what it reports."""
        return _CAPABILITIES

    def name_of(self, event_type: str, obj: WireObject) -> str:
        """Return the name of an event's row; one of the backend's has its own type in it."""
        inner = obj.get("event") if event_type == NESTED else None
        if not isinstance(inner, dict):
            return event_type
        name = f"{NESTED}/{inner.get('type')}"
        return name if name in TABLES.events else NESTED

    def handshake_headers(self) -> Mapping[str, str]:
        """Return no header: the URL's path is all that chooses Live."""
        return {}

    def sayable(self, config: SessionConfig) -> SessionConfig:
        """Return a session without the settings that Live has no word for."""
        return sayable_in_live(config)

    def unsupported(self, config: SessionConfig) -> Mapping[str, str]:
        """Name the fields of ``config`` that Live has no word for, and why."""
        return unsupported_fields(config)

    def differences(self, config: SessionConfig, info: SessionInfo) -> Sequence[Difference]:
        """Name what was confirmed otherwise than ``config`` asked for."""
        asked = encode_start(sayable_in_live(config), "")
        return differences(pick(asked, PATHS), info.settings)
