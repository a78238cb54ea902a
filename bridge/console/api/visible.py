"""Finds one call for users whom it concerns; for all others there is no such call."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import HTTPException, Path

from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.call_files import CALL_ID, read_record
from bridge.console.services import ConsoleServices

CallId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@dataclass(frozen=True, slots=True)
class VisibleCall:
    """A call that somebody may see.

    Attributes:
        fields: its hash in Redis; empty where that is gone.
        record: its record on this node's disk; None while it goes on, or elsewhere.
    """

    call_id: str
    fields: dict[str, str]
    record: dict[str, Any] | None  # Any: the record's JSON

    @property
    def live(self) -> bool:
        """Whether it goes on."""
        return bool(self.fields) and "ended_at" not in self.fields


async def visible_call(
    call_id: str, principal: Principal, services: ConsoleServices
) -> VisibleCall:
    """Find a call.

    Raises:
        HTTPException: 404: there is none, or it is of a route that does not concern him.
    """
    if not CALL_ID.fullmatch(call_id):
        raise HTTPException(404, "no such call")
    fields = await services.calls.call(call_id) or {}
    record = None
    if "ended_at" in fields or not fields:
        record = await asyncio.to_thread(read_record, services.sources.recordings_dir, call_id)
    route = fields.get("dialplan") or (record or {}).get("route")
    if route is None or not principal.may_see(str(route)):
        raise HTTPException(404, "no such call")
    return VisibleCall(call_id, fields, record)


def may_follow(principal: Principal, call: VisibleCall) -> bool:
    """Return whether somebody who may read transcripts may read this call's, live or over.

    A call that goes on is for those who see live calls, and for the one who has its caller.
    """
    if not call.live:
        return principal.may(Permission.TRANSCRIPT_VIEW)
    if call.fields.get("held_by") == principal.user and principal.may(Permission.QUEUE_ACCEPT):
        return True
    return principal.may(Permission.TRANSCRIPT_VIEW) and principal.may(Permission.CALLS_VIEW)


def require_may_follow(principal: Principal, call: VisibleCall) -> None:
    """Refuse who may not read what is said in a call.

    Raises:
        HTTPException: 403.
    """
    if may_follow(principal, call):
        return
    if call.live and principal.may(Permission.TRANSCRIPT_VIEW):
        raise HTTPException(403, f"the call goes on: it needs {Permission.CALLS_VIEW}")
    raise HTTPException(403, f"your roles don't allow this: it needs {Permission.TRANSCRIPT_VIEW}")


async def find_live_call(
    services: ConsoleServices, principal: Principal, call_id: str
) -> dict[str, str]:
    """Return a call's fields.

    Raises:
        HTTPException: 404 for a call that does not exist, or that is none of the asker's (which,
            the answer does not say); 409 for one that has ended.
    """
    call = await services.calls.call(call_id)
    if call is None or not principal.may_see(call.get("dialplan", "")):
        raise HTTPException(404, "there is no such call")
    if "ended_at" in call:
        raise HTTPException(409, "the call is over")
    return call
