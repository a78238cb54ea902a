"""Looking things up in the audit: the newest first, a page at a time."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.console.access.audit_head import Head
from bridge.console.masking import mask_within
from bridge.store.audit import FIRST, ChainCheck
from bridge.store.audit_log import AuditLog
from bridge.telemetry.redaction import mask_numbers

COLUMNS = (
    *("id", "at_ms", "actor", "roles", "address", "action", "target", "call_id", "detail"),
    *("result", "hash"),
)
_PAGE = 200
_MOST_READ = 20_000
"""Entries that one search reads; its answer says where to go on."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for a formula at a cell's begin."""

Shown = dict[str, str]


@dataclass(frozen=True, slots=True)
class WantedEntries:
    """A filter of entries; "" and 0 ask for nothing.

    Attributes:
        actor: a user.
        action: what an action begins with.
        target: a user, a flag.
        call_id: a call.
        since_ms: not before, ms since the Unix epoch.
        until_ms: before.
    """

    actor: str = ""
    action: str = ""
    target: str = ""
    call_id: str = ""
    since_ms: int = 0
    until_ms: int = 0

    def takes(self, entry: Mapping[str, str]) -> bool:
        """Return whether an entry is wanted, its time aside."""
        exact = (("actor", self.actor), ("target", self.target), ("call_id", self.call_id))
        return entry.get("action", "").startswith(self.action) and all(
            not wanted or entry.get(name) == wanted for name, wanted in exact
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A page of entries.

    Attributes:
        entries: the newest first, numbers masked.
        before: where to go on; "" where there is nothing more.
    """

    entries: list[Shown]
    before: str


async def search(audit: AuditLog, wanted: WantedEntries, most: int, before: str = "") -> Found:
    """Return the latest wanted entries.

    Args:
        audit: where.
        wanted: which.
        most: how many.
        before: the :attr:`Found.before` of the page before.
    """
    at = before or (f"{wanted.until_ms}-0" if wanted.until_ms else "+")
    found: list[Shown] = []
    for _ in range(_MOST_READ // _PAGE):
        page = await audit.latest(_PAGE, at)
        for entry_id, fields in page:
            if int(entry_id.partition("-")[0]) < wanted.since_ms:
                return Found(found, "")
            at = entry_id
            if wanted.takes(fields):
                found.append(shown(entry_id, fields))
                if len(found) == most:
                    return Found(found, at)
        if len(page) < _PAGE:
            return Found(found, "")
        await asyncio.sleep(0)
    return Found(found, at)


def shown(entry_id: str, fields: Mapping[str, str]) -> Shown:
    """Return an entry as it is shown: whole numbers of callers are not in it."""
    masked = {name: mask_numbers(fields[name]) for name in ("target", "result") if name in fields}
    if "detail" in fields:
        masked["detail"] = json.dumps(mask_within(json.loads(fields["detail"])), ensure_ascii=False)
    return {"id": entry_id, **fields, **masked}


async def export(audit: AuditLog, wanted: WantedEntries, *, as_csv: bool) -> AsyncIterator[bytes]:
    """Yield the wanted entries, the oldest first, as CSV or as JSON lines."""
    if as_csv:
        yield _csv_line(COLUMNS)
    async for entry_id, fields in audit.read(wanted.since_ms):
        if wanted.until_ms and id_ms(entry_id) >= wanted.until_ms:
            return
        if wanted.takes(fields):
            entry = shown(entry_id, fields)
            yield (
                _csv_line([entry.get(name, "") for name in COLUMNS])
                if as_csv
                else json.dumps(entry, ensure_ascii=False).encode() + b"\n"
            )


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The result of checking the chain of hashes.

    Attributes:
        entries: that were read.
        broken_at: the id of the first entry that is not as it was written, or does not continue the
            one before it; "" where all do.
        newest: the hash of the last one; kept elsewhere, it shows later whether all of this is
            still there.
        why: what is wrong there, "" where nothing is.
    """

    entries: int
    broken_at: str
    newest: str
    why: str = ""


CHANGED = "it was changed, or one before it was taken out or put in"
REWRITTEN = "this node wrote another entry there: the chain was made anew"
MISSING = "this node wrote it, and it is gone: the chain was cut, or Redis was emptied"


async def verify(audit: AuditLog, head: Head | None, since_ms: int = 0) -> ChainVerdict:
    """Check the chain from its first entry on, or from a time on.

    Args:
        audit: where it is.
        head: what this node knows that it wrote last.
        since_ms: ms since the Unix epoch; the first entry from then on is believed as to what was
            before it.
    """
    check, count, newest = ChainCheck(None if since_ms else FIRST), 0, ""
    sought = head if head is not None and id_ms(head.id) >= since_ms else None
    async for entry_id, fields in audit.read(since_ms):
        count += 1
        if not check.holds(fields):
            return ChainVerdict(count, entry_id, newest, CHANGED)
        newest = fields["hash"]
        if sought is not None and entry_id == sought.id:
            if newest != sought.hash:
                return ChainVerdict(count, entry_id, newest, REWRITTEN)
            sought = None
        if count % _PAGE == 0:
            await asyncio.sleep(0)
    if sought is not None:
        return ChainVerdict(count, sought.id, newest, MISSING)
    return ChainVerdict(count, "", newest)


def id_ms(entry_id: str) -> int:
    """Return when an entry of a stream was added, by its id: ms since the Unix epoch."""
    return int(entry_id.partition("-")[0])


def _csv_line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    # All quoted: where a semicolon parts cells, one inside of a cell would begin another.
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return text.getvalue().encode()
