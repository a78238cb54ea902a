"""`/api/v1/calls` and `/api/v1/history`: calls that go on or are over, and all of one call."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from bridge.console.access.audit import AuditEntry
from bridge.console.access.door import Allowed, AllowedOrHolding
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.api.visible import require_may_follow, visible_call
from bridge.console.history import WantedCalls
from bridge.console.live_row import hidden_from, live_row, without
from bridge.console.masking import mask_caller, mask_origin, mask_within
from bridge.console.services import ConsoleServices, Using
from bridge.recordings.files import CallFiles
from bridge.routing.numbers import normalise_called, shown_number
from bridge.telemetry.redaction import mask_numbers

router = APIRouter(prefix="/calls", tags=["calls"])
history_router = APIRouter(prefix="/history", tags=["history"])

Json = dict[str, Any]  # Any: JSON of rows, events and records
Viewer = Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW))]
Anybody = Annotated[Principal, Depends(Allowed(Permission.CALLS_VIEW, Permission.HISTORY_VIEW))]
Reader = Annotated[Principal, Depends(AllowedOrHolding(Permission.TRANSCRIPT_VIEW))]
Unmasking = Annotated[Principal, Depends(Allowed(Permission.UNMASK))]
Word = Annotated[str, Query(max_length=120)]

_EVENTS_AT_ONCE = 40
_WAIT_MS = 1_000
_WRAP_UP = ("wrap_up_code", "wrap_up_note", "wrapped_up_by", "handled_by")
_AS_THEY_ARE = frozenset({"id", "at_ms", "kind", "item_id", "text"})
"""Ids are no numbers of people, and what was said is redacted by the dialplan's rules."""


class UnmaskReason(BaseModel):
    """The reason for which somebody has to know a number."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Numbers(BaseModel):
    """A call's whole numbers; empty where the caller withheld his, or none was sent."""

    caller: str
    called: str
    asserted: str


@router.get("")
async def list_live_calls(principal: Viewer, services: Using) -> Json:
    """Return the calls that go on; times are ms since the Unix epoch.

    ``watchers`` is how many people listen or have coached within the last minute, ``watched_by``
    who they are: ``by``, and ``does``: ``listens``, ``whispers`` or ``shows`` a picture (to the
    agent alone), or ``says`` (through the agent, to the caller); the names are for who may listen,
    too. Who listens privately is in neither. ``held_by`` has the caller.
    """
    rows = await services.live.rows(principal.may_see, hidden=hidden_from(principal))
    return {"at_ms": services.now_ms, "calls": rows}


@router.get("/stream")
async def stream_live_calls(principal: Viewer, services: Using) -> StreamingResponse:
    """Stream the calls that go on as Server-Sent Events.

    ``snapshot`` and ``diff`` have ``at_ms``, ``rows`` (new, or other than before) and ``gone``
    (call ids); ``away`` has the reason why nothing can be read now.
    """
    watch = services.live.watch(principal.routes, hidden=hidden_from(principal))
    return _stream(watch)


@router.get("/{call_id}")
async def get_call(call_id: str, principal: Anybody, services: Using) -> Json:
    """Return what is known of a call, live or over; numbers are masked."""
    call = await visible_call(call_id, principal, services)
    if call.live and not principal.may(Permission.CALLS_VIEW):
        raise HTTPException(403, f"the call goes on: it needs {Permission.CALLS_VIEW}")
    found: Json = {"call_id": call_id, "live": call.live, "at_ms": services.now_ms}
    if call.fields:
        row = live_row(call.fields, services.now_ms)
        hidden = hidden_from(principal)
        if not principal.may(Permission.TRANSCRIPT_VIEW):
            hidden |= {"wrap_up_note"}
        found["call"] = without(row | _ending(call.fields), hidden)
    if call.record is not None:
        found["record"] = _shown(call.record, texts=principal.may(Permission.TRANSCRIPT_VIEW))
    files = CallFiles(services.sources.recordings_dir, call_id)
    found["recording"] = not call.live and (
        files.has_audio
        or await services.nodes.has_recording(call.fields.get("node", ""), call_id, principal.user)
    )
    return found


@router.get("/{call_id}/events")
async def get_events(
    call_id: str,
    principal: Reader,
    services: Using,
    after: Annotated[str, Query(pattern=r"^\d{1,19}(-\d{1,19})?$")] = "0",
) -> Json:
    """Return the next events of a call, at most 40; ask again with the last one's id.

    While the call goes on they are for those who see live calls, and for the one who has its
    caller: QA reads calls that are over.
    """
    call = await visible_call(call_id, principal, services)
    require_may_follow(principal, call)
    events = await services.calls.events(call_id, after, most=_EVENTS_AT_ONCE)
    began_ms = int(call.fields.get("started_at", 0))
    return {"events": [_event(event_id, fields, began_ms) for event_id, fields in events]}


@router.get("/{call_id}/stream")
async def stream_call(call_id: str, principal: Reader, services: Using) -> StreamingResponse:
    """Stream a call's events, from its beginning, as Server-Sent Events.

    ``event`` has ``id``, ``at_ms`` (since the call began), ``kind`` and what belongs to it;
    ``beat`` comes once a second; ``ended`` is the last one. Who may read a call that goes on is as
    for ``events``.
    """
    call = await visible_call(call_id, principal, services)
    require_may_follow(principal, call)
    return _stream(_follow(call_id, int(call.fields.get("started_at", 0)), services))


@router.post("/{call_id}/unmask")
async def unmask(
    call_id: str,
    principal: Annotated[Principal, Depends(Allowed(Permission.UNMASK))],
    given: UnmaskReason,
    services: Using,
) -> Numbers:
    """Return a call's whole numbers. Everywhere else they are masked."""
    fields = await services.calls.call(call_id) or {}
    if "dialplan" not in fields or not principal.may_see(fields["dialplan"]):
        raise HTTPException(404, "no such call")
    entry = AuditEntry.by(principal, "unmask", call_id=call_id, params={"reason": given.reason})
    await services.auditor.write(entry)
    return Numbers(
        caller=shown_number(fields.get("from", "")),
        called=normalise_called(fields.get("to", "")),
        asserted=shown_number(fields.get("asserted", "")),
    )


@history_router.get("")
async def find_calls(
    principal: Annotated[Principal, Depends(Allowed(Permission.HISTORY_VIEW))],
    services: Using,
    text: Word = "",
    dialplan: Word = "",
    arm: Word = "",
    outcome: Word = "",
    fault: Word = "",
    since_ms: Annotated[int | None, Query(ge=0)] = None,
    before_ms: Annotated[int | None, Query(ge=0)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Json:
    """Return the latest calls that are over, and where the next page begins (``before_ms``)."""
    wanted = WantedCalls(text, dialplan, arm, outcome, fault, since_ms, before_ms)
    words = principal.may(Permission.TRANSCRIPT_VIEW)
    found = await services.history.find(wanted, limit + 1, principal.may_see, words=words)
    more = found[limit - 1].get("started_at") if len(found) > limit else None
    return {"calls": found[:limit], "more_before_ms": more}


def _stream(events: AsyncIterator[tuple[str, str]]) -> StreamingResponse:
    """Return an answer of Server-Sent Events; their data is JSON, and so has no line break."""
    encoded = (f"event: {event}\ndata: {data}\n\n" async for event, data in events)
    return StreamingResponse(
        encoded, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


async def _follow(
    call_id: str, began_ms: int, services: ConsoleServices
) -> AsyncIterator[tuple[str, str]]:
    after = "0"
    while True:
        events = await services.calls.events(call_id, after, _WAIT_MS, _EVENTS_AT_ONCE)
        for event_id, fields in events:
            after = event_id
            event = _event(event_id, fields, began_ms)
            yield "event", json.dumps(event, ensure_ascii=False)
            if fields.get("kind") == "ended":
                yield "ended", "{}"
                return
        if not events:
            yield "beat", "{}"
            fields = await services.calls.call(call_id) or {"ended_at": "0"}
            if "ended_at" in fields:  # its node died, or Redis was emptied
                yield "ended", "{}"
                return


def _event(event_id: str, fields: Mapping[str, str], began_ms: int) -> Json:
    at_ms = int(event_id.split("-", maxsplit=1)[0]) - began_ms
    shown = {n: v if n in _AS_THEY_ARE else mask_numbers(v) for n, v in fields.items()}
    return {**shown, "id": event_id, "at_ms": at_ms}


def _ending(fields: Mapping[str, str]) -> Json:
    found: Json = {n: fields[n] for n in ("outcome", "fault", "rollout") if fields.get(n)}
    found |= {n: fields[n] for n in _WRAP_UP if fields.get(n)}
    if "ended_at" in fields:
        found["ended_at"] = int(fields["ended_at"])
        found["state"] = "ended"
    return found


def _shown(record: Json, *, texts: bool) -> Json:
    """Return a record without whole numbers; what was said only where that is for him."""
    masked = mask_within({name: each for name, each in record.items() if name != "turns"})
    assert isinstance(masked, dict)
    shown = {
        **masked,
        "called": record.get("called"),  # the line's own
        "turns": record.get("turns", []),  # redacted by the dialplan's rules
        "caller": mask_caller(str(record.get("caller", ""))),
        **mask_origin(record),
    }
    shown["handoffs"] = [
        {**each, "to": mask_caller(str(each.get("to", "")))} for each in record.get("handoffs", [])
    ]
    shown["callbacks"] = [
        {**each, "number": mask_caller(str(each["number"])) if each.get("number") else None}
        for each in record.get("callbacks", [])
    ]
    shown.pop("recording", None)  # a path of this machine
    if not texts:
        shown["turns"] = [{**turn, "text": None} for turn in shown["turns"]]
        shown["supervised"] = [{**each, "text": ""} for each in shown.get("supervised", [])]
        shown["flags"] = [{**each, "note": ""} for each in shown.get("flags", [])]
        shown["callbacks"] = shown["emergencies"] = []
        if shown.get("wrap_up"):
            shown["wrap_up"] = {**shown["wrap_up"], "note": ""}
    return shown
