"""Reads calls that the gateway recorded, if they may be used; makes scripts of a whole day's.

The recording and its markers say what happened and where; the record says how it ended. Events in
Redis stand in for markers that a full disk left out. Everything here blocks.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.audio.markers import Markers, decode
from bridge.audio.wav import read_wav
from bridge.errors import ConfigError
from bridge.recordings.files import StoredCall, stored_calls
from bridge.recordings.playback import opened_recording
from bridge.recordings.retention import StoredPart, overdue
from bridge.replay.importing.importing import import_call
from bridge.replay.importing.markers import MarkedCall, markers_of
from bridge.replay.importing.recorded import (
    CallerAct,
    RecordedCall,
    spans_of,
    utterances_of,
)
from bridge.store.reader import History

Record = Mapping[str, Any]  # Any: the gateway's JSON record, looked at field by field


class MayNotBeUsedError(ConfigError):
    """A recorded call whose caller has not agreed, or whose time is over."""


def read_gateway_call(
    call: StoredCall,
    now_ms: int,
    events: History | None = None,
    identities_file: Path | None = None,
) -> RecordedCall:
    """Read a call.

    Args:
        call: its files.
        now_ms: wall time, ms since the Unix epoch.
        events: the call in Redis, where it is still there.
        identities_file: opens an encrypted recording.

    Raises:
        MayNotBeUsedError: the caller did not agree, or the call was to be gone by now.
        ConfigError: it goes on, has no recording, or an encrypted one that nothing here opens.
        InfrastructureError: its encrypted recording is damaged.
    """
    record = _read_record(call)
    _check_may_be_used(call, record, now_ms)
    with opened_recording(call.files, identities_file) as path:
        sound, rate_hz = read_wav(path)
    if sound.shape[1] != 2:
        raise ConfigError(
            f"{sound.shape[1]} channels: the caller can't be told from the agent",
            path=str(call.files.audio),
        )
    header, markers = _read_markers(call)
    began_ms = _number(header, "started_at_ms") or int(record["started_at_ms"])
    marked = MarkedCall(markers or markers_of(events, began_ms))
    caller, agent = sound[:, 0], sound[:, 1]
    agent_spans = spans_of(agent, rate_hz)
    utterances = utterances_of(caller, rate_hz, agent_spans)
    acts: list[CallerAct] = [
        *marked.speeches(utterances, agent_spans),
        *marked.keys(),
        *marked.holds(),
    ]
    bridge_left = record["reason"] != "caller_hung_up"
    return RecordedCall(
        name=call.files.call_id,
        consent=_consent(record),
        keep_until=_keep_until(call),
        caller=caller,
        agent=agent,
        rate_hz=rate_hz,
        answered_ms=max(0, int(record["answered_at_ms"]) - began_ms),
        ended_ms=sound.shape[0] * 1000 // rate_hz,
        acts=tuple(sorted(acts, key=lambda act: act.start_ms)),
        words=tuple(marked.words()),
        tools=tuple(marked.tools()),
        agent_spans=agent_spans,
        prompted_ms=tuple(
            int(each["at_ms"]) for each in marked.of_kind("caller_silent") if each["step"] != "cap"
        ),
        route=record["route"],
        called=record["called"],
        codec=record["codec"] or None,
        state=record["outcome"],
        ended_by="bridge" if bridge_left else "caller",
    )


def _read_record(call: StoredCall) -> Record:
    name = call.files.call_id
    if call.going_on:
        raise ConfigError(f"{name} goes on", remedy="import it when it is over")
    try:
        record: Record = json.loads(call.files.record.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise MayNotBeUsedError(
            f"{name} has no record, so nothing says that its caller agreed",
            remedy="use another call; a gateway that was killed leaves none",
        ) from error
    if not call.files.has_audio or record.get("answered_at_ms") is None:
        raise ConfigError(
            f"{name} has no recording",
            remedy="use a call whose dialplan has recording.enabled, before recording.keep_days",
        )
    return record


def _check_may_be_used(call: StoredCall, record: Record, now_ms: int) -> None:
    name = call.files.call_id
    over = overdue(call, now_ms) & {StoredPart.AUDIO, StoredPart.TRANSCRIPT, StoredPart.EVENTS}
    if over:
        what = " and ".join(sorted(over))
        raise MayNotBeUsedError(
            f"the {what} of {name} was to be kept until {_keep_until(call)}",
            remedy="use a later call; 'bridge recordings sweep' deletes this one",
        )
    consent = record.get("consent")
    if consent is None or consent.get("given") is None:
        raise MayNotBeUsedError(
            f"nothing says that the caller of {name} agreed to its recording",
            remedy="have the dialplan ask or tell (consent.consent: ask, or notice), or record a"
            " call of your own: bridge call URI --record call.wav --events > call.jsonl",
        )
    if consent["given"] is not True:
        raise MayNotBeUsedError(
            f"the caller of {name} refused ({consent['how']})", remedy="use another call"
        )


def _consent(record: Record) -> str:
    consent = record["consent"]
    day = datetime.fromtimestamp(consent["settled_at_ms"] / 1000, UTC).date()
    return f"given on {day} by {consent['how']}, text {consent['version']}"


def _keep_until(call: StoredCall) -> str | None:
    days = [call.keep_days.audio, call.keep_days.transcript, call.keep_days.events]
    shortest = min((each for each in days if each is not None), default=None)
    if shortest is None:
        return None
    began = datetime.fromtimestamp(call.started_at_ms / 1000, UTC)
    return (began + timedelta(days=shortest)).date().isoformat()


def _number(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) else None


def _read_markers(call: StoredCall) -> Markers:
    try:
        return decode(call.files.markers.read_bytes())
    except FileNotFoundError:
        return Markers({}, ())


@dataclass(frozen=True, slots=True)
class Shadowed:
    """The scripts that a day's calls became, and the calls that were left out.

    Attributes:
        scripts: of those that may be played, in the order of their begin.
        left_out: the others, each with the reason.
    """

    scripts: tuple[Path, ...]
    left_out: tuple[str, ...]


def shadow_calls(
    directory: Path, day: date, now: datetime, out: Path, identities_file: Path | None = None
) -> Shadowed:
    """Make scripts of the calls of one day.

    Args:
        directory: a gateway's recordings.
        day: on which they began, in the time zone of ``now``.
        now: with its zone; by it a call's time may be over.
        out: where the scripts go.
        identities_file: opens encrypted recordings.

    Raises:
        ConfigError: there was no call on that day.
        InfrastructureError: a script can't be written.
    """
    calls = [call for call in stored_calls(directory) if _day_of(call, now) == day]
    if not calls:
        raise ConfigError(
            f"holds no call of {day}",
            path=str(directory),
            remedy="name the gateway's recordings, or another day with --day",
        )
    scripts: list[Path] = []
    left_out: list[str] = []
    for call in sorted(calls, key=lambda each: each.started_at_ms):
        path = out / f"{call.files.call_id}.yaml"
        try:
            recorded = read_gateway_call(
                call, round(now.timestamp() * 1000), identities_file=identities_file
            )
            scripts.append(import_call(recorded, path).path)
        except ConfigError as error:
            left_out.append(f"{call.files.call_id}: {error}")
    return Shadowed(tuple(scripts), tuple(left_out))


def yesterday_of(now: datetime) -> date:
    """Return the day before, in the zone of ``now``."""
    return (now - timedelta(days=1)).date()


def _day_of(call: StoredCall, now: datetime) -> date:
    return datetime.fromtimestamp(call.started_at_ms / 1000, now.tzinfo).date()
