"""One call, for those whom it concerns: for the others there is no such call."""

import asyncio
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException

from bridge.console.access.principal import Principal
from bridge.console.call_files import CALL_ID, read_record
from bridge.console.services import Services


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


async def visible_call(call_id: str, principal: Principal, services: Services) -> VisibleCall:
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
