"""Reads the audit for `bridge calls audit`: prints its entries, or checks their chain."""

import json
import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict
from datetime import UTC, datetime

import click

from bridge.cli.calls_list import clock_time
from bridge.config.settings import RedisSettings
from bridge.console.access.audit_head import HeadFile
from bridge.console.access.audit_search import MISSING, ChainVerdict, verify
from bridge.errors import ConfigError
from bridge.store.audit_log import AuditLog
from bridge.store.client import RedisLink
from bridge.store.keys import Keys

_SPAN = re.compile(r"(\d+)([mhd])")
_SPAN_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_CHAIN = frozenset({"at_ms", "previous", "hash", "action", "actor"})


def begin_of(text: str | None, now_ms: int) -> int:
    """Return since when entries are looked at, ms since the Unix epoch; 0 for all.

    Args:
        text: ``30m``, ``24h``, ``7d``, or an ISO 8601 date or time (UTC where it names no zone).
        now_ms: the time.

    Raises:
        ConfigError: it is neither.
    """
    if text is None:
        return 0
    if span := _SPAN.fullmatch(text):
        return max(1, now_ms - int(span[1]) * _SPAN_MS[span[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--since {text} is no time", remedy="write 30m, 24h, 7d or 2026-11-21T08:00"
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


async def read_audit(
    redis: RedisSettings,
    url: str,
    head: HeadFile,
    since_ms: int,
    *,
    verifies: bool,
    as_json: bool,
) -> bool:
    """Print the entries since then, or check their chain; False where it is broken.

    Raises:
        RedisUnavailableError: Redis is away.
    """
    async with aclosing(RedisLink(url, timeout_s=redis.connect_timeout_s)) as link:
        audit = AuditLog(link, Keys(redis.prefix))
        if verifies:
            return not (await _print_verdict(audit, head, since_ms, as_json=as_json)).broken_at
        await _print_entries(audit, since_ms, as_json=as_json)
        return True


async def _print_entries(audit: AuditLog, since_ms: int, *, as_json: bool) -> None:
    """Print the entries, the oldest first."""
    async for entry_id, fields in audit.read(since_ms):
        if as_json:
            click.echo(json.dumps({"id": entry_id, **fields}, ensure_ascii=False))
        else:
            click.echo(_line(fields))


async def _print_verdict(
    audit: AuditLog, head: HeadFile, since_ms: int, *, as_json: bool
) -> ChainVerdict:
    """Print whether the chain holds, and whether the node's own last entry is in it."""
    own = head.read()
    verdict = await verify(audit, own, since_ms)
    if as_json:
        checked = None if own is None else own.id
        found = {"holds": not verdict.broken_at, **asdict(verdict), "head_checked": checked}
        click.echo(json.dumps(found))
    elif verdict.broken_at:
        click.echo(
            f"BROKEN at entry {verdict.broken_at}, after {verdict.entries} were read: {verdict.why}"
        )
        if verdict.why == MISSING:
            click.echo(f"where Redis was emptied on purpose, delete {head.path}")
    else:
        click.echo(f"the chain holds: {verdict.entries} entries, the last hash {verdict.newest}")
        click.echo(
            f"no head is kept at {head.path}: a chain made anew would not be seen from here;"
            " run this with the --config of a node that writes the audit"
            if own is None
            else f"entry {own.id}, the last that this node wrote, is in it as it was written"
        )
    return verdict


def _line(fields: Mapping[str, str]) -> str:
    rest = "  ".join(f"{name}={text}" for name, text in fields.items() if name not in _CHAIN)
    at = clock_time(int(fields.get("at_ms", 0)))
    return f"{at}  {fields.get('actor') or '-':<12}{fields.get('action', ''):<16}{rest}"
