"""Gathers the evidence of a call that is over: files of the gateway, Redis, tool mocks."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from bridge.config.settings import RedisSettings
from bridge.errors import ConfigError, InfrastructureError
from bridge.realtime.dialect import Dialect
from bridge.recordings.files import CDR_FILE, CallFiles
from bridge.replay.call.fillers import with_phrases
from bridge.replay.checks.divergence import on_the_clock_of
from bridge.replay.environment.environment import Environment, GatewayTraces
from bridge.replay.environment.tapes import Tapes
from bridge.replay.environment.tool_mocks import ToolMocks
from bridge.replay.evidence.evidence import CallerEvidence, Evidence, GatewayEvent, WireEvent, at_ms
from bridge.replay.runs.agenda import Job
from bridge.store.reader import CallReader

_WRITTEN_WITHIN_S = 15.0
"""A gateway writes a call's record when its session and its tools are closed."""
_REFUSED_WITHIN_S = 3.0
"""What is refused at the door has no record."""
_LOOK_EVERY_S = 0.05

_JSON = TypeAdapter(dict[str, JsonValue])
_WIRE_LINE = TypeAdapter(WireEvent)
_NO_TRACES = "the gateway is another's, and its {what} is not to be seen from here"


async def gather(
    job: Job,
    service: Dialect,
    caller: CallerEvidence | None,
    environment: Environment,
    mocks: ToolMocks | None,
) -> Evidence:
    """Collect everything that is known of a call.

    Args:
        job: the call; service: of its arm.
        caller: what its caller reported; None where it reported nothing.
        environment: that answered it.
        mocks: of its tools; None where they can't be had.
    """
    traces = environment.traces
    struck = await environment.faults_struck()
    missing = {} if caller is not None else {"caller": "the caller's process left no report"}
    nothing = Evidence(
        job.run,
        job.arm,
        service.name,
        caller,
        faults_struck=struck,
        flavour=service.flavour.name,
    )
    if caller is None or caller.sip_call_id == "":
        return replace(nothing, missing=missing)
    call_id = await _find_call(traces, caller, missing)
    if call_id is None:
        return replace(nothing, missing=missing)
    zero_ns = caller.answered_wall_ns or 0
    record, figures = await asyncio.to_thread(_read_record, traces, call_id, missing)
    wire = await asyncio.to_thread(_read_wire, traces, call_id, zero_ns, missing)
    state, events = await _read_redis(traces, call_id, zero_ns, missing)
    caller = with_phrases(caller, events or ())
    if mocks is None:
        missing["tools"] = "tools can't be mocked in another's gateway"
    return replace(
        nothing,
        caller=caller,
        record=record,
        figures=figures,
        state=state,
        events=events,
        wire=wire,
        tools=None if mocks is None else mocks.seen(call_id, zero_ns),
        missing=missing,
    )


def with_recording(evidence: Evidence, tapes: Tapes, script: str) -> Evidence:
    """Return a call's evidence with the wire log that it was answered from. Blocks.

    Raises:
        ConfigError: that can't be read any more.
    """
    path = tapes.of(script)
    if path is None or evidence.wire is None:
        return evidence
    try:
        recorded = read_wire(path, 0)
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"is no wire log any more: {type(error).__name__}", path=str(path)
        ) from None
    return replace(evidence, recorded=on_the_clock_of(evidence.wire, recorded))


async def _find_call(
    traces: GatewayTraces, caller: CallerEvidence, missing: dict[str, str]
) -> str | None:
    """Return the gateway's id of the call, once it has written its record."""
    if traces.recordings is None:
        for what in ("record", "figures", "wire", "state", "events"):
            missing[what] = _NO_TRACES.format(what=what)
        return None
    answered = caller.answered_wall_ns is not None
    within_s = _WRITTEN_WITHIN_S if answered else _REFUSED_WITHIN_S
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                found = _called(traces.recordings / CDR_FILE, caller.sip_call_id)
                if found is not None:
                    return found
                await asyncio.sleep(_LOOK_EVERY_S)
    for what in ("record", "figures", "wire", "state", "events"):
        missing[what] = "the gateway has no record of this call"
    return None


def _called(path: Path, sip_call_id: str) -> str | None:
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            if sip_call_id in line and (entry := json.loads(line))["sip_call_id"] == sip_call_id:
                return str(entry["call_id"])
    return None


def _read_record(
    traces: GatewayTraces, call_id: str, missing: dict[str, str]
) -> tuple[Mapping[str, JsonValue] | None, Mapping[str, JsonValue] | None]:
    assert traces.recordings is not None
    files = CallFiles(traces.recordings, call_id)
    found: list[dict[str, JsonValue] | None] = []
    for what, path in (("record", files.record), ("figures", files.figures)):
        try:
            found.append(_JSON.validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            found.append(None)
            missing[what] = f"the gateway left no readable {path.name}"
    return found[0], found[1]


def _read_wire(
    traces: GatewayTraces, call_id: str, zero_ns: int, missing: dict[str, str]
) -> tuple[WireEvent, ...] | None:
    if traces.wire is None:
        missing["wire"] = _NO_TRACES.format(what="wire log")
        return None
    try:
        return read_wire(traces.wire / f"{call_id}.jsonl", zero_ns)
    except (OSError, ValidationError) as error:
        missing["wire"] = f"the gateway left no wire log that can be read: {type(error).__name__}"
        return None


def read_wire(path: Path, zero_ns: int) -> tuple[WireEvent, ...]:
    """Read a wire log.

    Args:
        path: its file.
        zero_ns: wall time of ms 0.

    Raises:
        OSError: it can't be read.
        ValidationError: it is none.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    raw = [_JSON.validate_json(line) for line in lines]
    return tuple(
        _WIRE_LINE.validate_python({**line, "at_ms": at_ms(int(str(line["at_ns"])), zero_ns)})
        for line in raw
    )


async def _read_redis(
    traces: GatewayTraces, call_id: str, zero_ns: int, missing: dict[str, str]
) -> tuple[Mapping[str, str] | None, tuple[GatewayEvent, ...] | None]:
    if traces.redis_url is None:
        missing["state"] = missing["events"] = "no Redis is known: set BRIDGE_REDIS_URL"
        return None, None
    try:
        async with CallReader(RedisSettings(), traces.redis_url) as reader:
            history = await reader.history(call_id)
    except InfrastructureError as error:
        missing["state"] = missing["events"] = str(error)
        return None, None
    if not history.fields:
        missing["state"] = missing["events"] = "Redis has nothing of this call"
        return None, None
    return history.fields, tuple(
        GatewayEvent(
            at_ms(int(entry.partition("-")[0]) * 1_000_000, zero_ns), fields["kind"], fields
        )
        for entry, fields in history.events
    )
