"""The record of a call whose node died, from what Redis has of it.

Written by the node that swept the call, where it writes its own records. What only the dead process
knew is missing: the figures of its RTP, and what the call was billed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.engine.news import Speaker
from bridge.live.summary import CallSummary, LostSession, ToolRun, Turn, write_files
from bridge.sip.addresses import called_by
from bridge.store.reader import History
from bridge.telemetry.turn_latency import TurnLatency

NODE_LOST = "node_lost"


def summary_of(lost: History, directory: Path) -> CallSummary:
    """Return what is known of a lost call.

    Args:
        lost: the call; it has been ended in Redis.
        directory: of the recordings; one is named if it is there (the node was restarted).
    """
    fields = lost.fields
    told = ("session_lost", "tool_ended", "measured", "ended")
    events = {kind: list(_events(lost, kind)) for kind in told}
    ended_ms = int(fields["ended_at"])
    recording = directory / f"{fields['call_id']}.wav"
    reasons = [event.get("reason", "") for _, event in events["ended"]]
    return CallSummary(
        call_id=fields["call_id"],
        route=fields.get("dialplan", ""),
        arm=fields.get("arm", ""),
        dialect=fields.get("dialect", ""),
        called=called_by(fields.get("to", "")),
        model=fields.get("model", ""),
        caller=fields.get("from", ""),
        outcome=fields["outcome"],
        fault=fields["fault"],
        reason=(reasons or [NODE_LOST])[-1],
        started_at_ms=lost.started_ms,
        answered_at_ms=_number(fields, "answered_at"),
        ended_at_ms=ended_ms,
        duration_ms=ended_ms - lost.started_ms,
        turns=[_turn(turn) for turn in lost.turns()],
        interruptions=len(list(_events(lost, "interrupted"))),
        recording=str(recording) if recording.exists() else None,
        failures=[_session(at_ms, event) for at_ms, event in events["session_lost"]],
        latency=[TurnLatency.of(at_ms, event) for at_ms, event in events["measured"]],
        tools=[_tool(event) for _, event in events["tool_ended"]],
        events_ms=[(lost.at_ms(name), event.get("kind", "")) for name, event in lost.events],
    )


def write_lost(lost: History, directory: Path) -> None:
    """Write a lost call's files. Blocks: call it in a worker thread.

    Raises:
        OSError: one could not be written.
    """
    if "ended_at" in lost.fields:  # else Redis has forgotten it meanwhile
        write_files(summary_of(lost, directory), directory)


def _events(lost: History, kind: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    for event_id, event in lost.events:
        if event.get("kind") == kind:
            yield lost.at_ms(event_id), event


def _turn(turn: Mapping[str, str]) -> Turn:
    return Turn(
        Speaker(turn["speaker"]),
        turn.get("text", ""),
        _number(turn, "latency_ms"),
        _number(turn, "heard_ms"),
        turn.get("interrupted") == "1",
    )


def _session(at_ms: int, event: Mapping[str, str]) -> LostSession:
    told = (event.get(name, "") for name in ("code", "layer", "fault", "cure"))
    return LostSession(at_ms, *told)


def _tool(event: Mapping[str, str]) -> ToolRun:
    return ToolRun.of(event["tool"], event["result"], int(event["took_ms"]))


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None
