"""Reads a soak's traces: records on the disk, calls in Redis, the log, and what is held."""

import json
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from bridge.bench.parts import BenchTarget
from bridge.bench.soak.figures import HeldResources, Records
from bridge.config.settings import RedisSettings
from bridge.processes.child import Child
from bridge.processes.usage import handles_of
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
    async with aclosing(RedisLink(redis_url, timeout_s=settings.connect_timeout_s)) as link:
        names = await link.ask(["KEYS", Keys(settings.prefix).call("c_*")])
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
    """Count the lines of a JSON log that report something wrong; no JSON is a traceback."""
    found: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            found["not a log line"] += bool(line.strip())
            continue
        event = str(entry.get("event"))
        if entry.get("level") in _SERIOUS and not any(each in event for each in _EXPECTED):
            found[event] += 1
    return found


async def held_by(gateway: BenchTarget, simulator: Child) -> HeldResources:
    """Look up what the gateway holds, from outside and by its own word."""
    scrape = await gateway.scrape()
    assert scrape is not None
    handles, upstream = handles_of(gateway.child.pid), handles_of(simulator.pid)
    return HeldResources(
        calls=int(scrape.value("bridge_calls_active")),
        tasks=int(scrape.value("bridge_loop_tasks")),
        files=handles.files,
        sockets=handles.sockets,
        unix_sockets=handles.unix_sockets,
        threads=handles.threads,
        rows=int(scrape.value("bridge_ring_rows_in_use")),
        conference_ports=int(scrape.value("bridge_conference_ports")),
        sessions=upstream.sockets,
        pending_writes=int(scrape.value("bridge_store_pending_writes")),
    )


def is_like(held: HeldResources, wanted: HeldResources) -> bool:
    """Return whether a gateway is back where it was, but for what may grow up to a bound."""
    return (
        replace(
            held,
            threads=wanted.threads,
            conference_ports=wanted.conference_ports,
            unix_sockets=wanted.unix_sockets,
        )
        == wanted
    )


def in_short(held: HeldResources) -> str:
    """Return what is held in one line."""
    return (
        f"{held.calls} calls, {held.tasks} tasks, {held.files} files, {held.sockets} sockets, "
        f"{held.unix_sockets} to Redis, {held.threads} threads, {held.rows} rows, "
        f"{held.conference_ports} conference ports, {held.sessions} at the simulator"
    )
