"""Reads a soak's traces: records on the disk, calls in Redis, errors in the log."""

import json
from collections import Counter
from pathlib import Path

from bridge.bench.soak.figures import Records
from bridge.config.settings import RedisSettings
from bridge.store.client import RedisLink
from bridge.store.keys import Keys
from bridge.store.reader import CallReader

Line = dict[str, object]
"""A line of calls.jsonl, or a call in the callers' report."""

_SERIOUS = frozenset({"error", "critical"})
_EXPECTED = ("session_given_up", "call state is kept in memory", "has lost what it held")
"""Parts of lines about a session that was not to be had again, and a Redis away or emptied."""


async def look_at_records(lines: list[Line], calls: list[Line], redis_url: str) -> Records:
    """Compare the calls that were placed with their records, on the disk and in Redis."""
    found = Counter(name_in(str(line["from"])) for line in lines)
    taken = [str(call["name"]) for call in calls if call["status"] in (0, 487)]
    active, unended = await _look_at_redis(redis_url)
    return Records(
        lines=len(lines),
        missing=[name for name in taken if not found[name]],
        twice=[name for name, count in found.items() if count > 1],
        no_outcome=[str(line["call_id"]) for line in lines if not line["outcome"]],
        active=active,
        unended=unended,
    )


async def _look_at_redis(redis_url: str) -> tuple[list[str], list[str]]:
    """Return the calls that Redis has as active, and those whose hash has no end."""
    settings = RedisSettings()
    link = RedisLink(redis_url, timeout_s=settings.connect_timeout_s)
    try:
        names = await link.ask(["KEYS", Keys(settings.prefix).call("c_*")])
    finally:
        await link.aclose()
    assert isinstance(names, list)
    prefix = Keys(settings.prefix).call("")
    call_ids = [str(name).removeprefix(prefix) for name in names]
    call_ids = [call_id for call_id in call_ids if ":" not in call_id]
    async with CallReader(settings, redis_url) as reader:
        calls = await reader.calls(call_ids)
        return await reader.active(), [
            call["call_id"] for call in calls if not (call.get("ended_at") and call.get("outcome"))
        ]


def lines_of(path: Path) -> list[Line]:
    """Read calls.jsonl; no file, no calls."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def name_in(uri: str) -> str:
    """Return the caller's name: `"..." <sip:soak-3-1@host>` or without brackets."""
    return uri.partition("sip:")[2].partition("@")[0]


def errors_in(path: Path) -> Counter[str]:
    """Count the lines of a JSON log that tell of something wrong; no JSON is a traceback."""
    found: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            found["not a log line"] += bool(line.strip())
            continue
        event = str(told.get("event"))
        if told.get("level") in _SERIOUS and not any(each in event for each in _EXPECTED):
            found[event] += 1
    return found
