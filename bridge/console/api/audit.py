"""`/api/v1/audit`: decisions of people and of the bridge itself."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from bridge.console.access.audit import AuditEntry
from bridge.console.access.audit_search import WantedEntries, export, search, verify
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from bridge.console.access.roles import Permission
from bridge.console.services import Using

router = APIRouter(prefix="/audit", tags=["audit"])

Auditing = Annotated[Principal, Depends(Allowed(Permission.AUDIT_READ))]
Text = Annotated[str, Query(max_length=100)]
Time = Annotated[int, Query(ge=0, le=10**14)]

_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


class AuditPage(BaseModel):
    """Entries, the newest first.

    Attributes:
        before: for the next page; empty where there is none.
    """

    entries: list[dict[str, str]]
    before: str


class ChainView(BaseModel):
    """The result of checking the audit's chain of hashes.

    Attributes:
        broken_at: the first entry that does not; empty where all do.
        newest: the hash of the last one.
        why: what is wrong there; empty where nothing is.
    """

    entries: int
    broken_at: str
    newest: str
    why: str


def wanted_of(
    actor: Text = "",
    action: Text = "",
    target: Text = "",
    call_id: Text = "",
    since_ms: Time = 0,
    until_ms: Time = 0,
) -> WantedEntries:
    """Read which entries are asked for; ``action`` is what an action begins with."""
    return WantedEntries(actor, action, target, call_id, since_ms, until_ms)


Asked = Annotated[WantedEntries, Depends(wanted_of)]


@router.get("")
async def list_entries(
    _: Auditing,
    services: Using,
    wanted: Asked,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[str, Query(pattern=r"^(\d{1,19}-\d{1,19})?$")] = "",
) -> AuditPage:
    """Return the latest entries; numbers of callers are masked."""
    found = await search(services.auditor.audit, wanted, limit, before)
    return AuditPage(entries=found.entries, before=found.before)


@router.get("/export")
async def export_entries(
    auditor: Auditing,
    services: Using,
    wanted: Asked,
    form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
) -> StreamingResponse:
    """Return all wanted entries as a file, the oldest first; that it was taken is put down."""
    asked = {name: value for name, value in asdict(wanted).items() if value}
    entry = AuditEntry.by(auditor, "audit export", params={"format": form, **asked})
    await services.auditor.write(entry)
    return StreamingResponse(
        export(services.auditor.audit, wanted, as_csv=form == "csv"),
        media_type=_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="audit.{form}"'},
    )


@router.get("/verify")
async def verify_chain(_: Auditing, services: Using, since_ms: Time = 0) -> ChainView:
    """Check that no entry was changed, taken out or put in, and that this node's last is there."""
    head = await asyncio.to_thread(services.audit_head.read)
    return ChainView(**asdict(await verify(services.auditor.audit, head, since_ms)))
