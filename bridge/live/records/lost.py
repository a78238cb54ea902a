"""The record of a call whose node died, made from the call's state in Redis.

Written by the node that swept the call, where it writes its own records. What only the dead process
knew is missing: the figures of its RTP, and what the call was billed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.config.rollouts import RolloutSettings
from bridge.engine.news import Speaker
from bridge.live.records.summary import (
    CallSummary,
    ConsentRecord,
    LostSession,
    SessionUsed,
    ToolRun,
    Turn,
    read_origin_fields,
)
from bridge.recordings.files import CallFiles
from bridge.routing.rollout.observed import CallEntry, Loss, Observed
from bridge.routing.rollout.verdict import Badness
from bridge.routing.verstat import Verstat
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
    kinds = ("session_lost", "tool_ended", "measured", "emergency_heard", "ended")
    events = {kind: list(_events(lost, kind)) for kind in kinds}
    ended_ms = int(fields["ended_at"])
    files = CallFiles(directory, fields["call_id"])
    reasons = [event.get("reason", "") for _, event in events["ended"]]
    silence_ms, silence_cause = _longest_silence(lost)
    return CallSummary(
        call_id=fields["call_id"],
        route=fields.get("dialplan", ""),
        arm=fields.get("arm", ""),
        dialect=fields.get("dialect", ""),
        called=called_by(fields.get("to", "")),
        model=fields.get("model", ""),
        rollout=fields.get("rollout", ""),
        rollout_reason=fields.get("rollout_reason", ""),
        rollout_version=_number(fields, "rollout_version") or 0,
        rescued_by=fields.get("rescued_by", ""),
        verstat=fields.get("verstat", Verstat.NONE.value),
        consent=_consent(lost),
        emergencies=[event.get("phrase", "") for _, event in events["emergency_heard"]],
        sessions=_sessions(lost),
        longest_silence_ms=silence_ms,
        longest_silence_cause=silence_cause,
        greeting_ms=_greeting_ms(lost),
        caller=fields.get("from", ""),
        sip_call_id=fields.get("sip_call_id", ""),
        **read_origin_fields(fields),
        outcome=fields["outcome"],
        fault=fields["fault"],
        reason=(reasons or [NODE_LOST])[-1],
        started_at_ms=lost.started_ms,
        answered_at_ms=_number(fields, "answered_at"),
        ended_at_ms=ended_ms,
        duration_ms=ended_ms - lost.started_ms,
        turns=[_turn(turn) for turn in lost.turns()],
        interruptions=len(list(_events(lost, "interrupted"))),
        recording=str(files.audio) if files.has_audio else None,
        failures=[_session(at_ms, event) for at_ms, event in events["session_lost"]],
        latency=[TurnLatency.of(at_ms, event) for at_ms, event in events["measured"]],
        tools=[_tool(event) for _, event in events["tool_ended"]],
        events_ms=[(lost.at_ms(name), event.get("kind", "")) for name, event in lost.events],
    )


def entry_of(lost: History, plan: RolloutSettings | None) -> CallEntry | None:
    """Return what a lost call says of the arm that it was dealt to.

    That its node died is a bad call of the arm's as every fault of ours is: it harms both arms by
    their shares, unless it is the new arm's traffic that kills nodes.

    Args:
        lost: the call.
        plan: of the flag that dealt it; None where the settings have it no more.

    Returns:
        None where the call says nothing of it, or has said it before its node died: at its rescue.
    """
    fields = lost.fields
    if plan is None or "ended_at" not in fields or fields.get("rescued_by"):
        return None
    seen = _observed(lost)
    if not seen.says_something:
        return None
    share = fields.get("rollout_share", "")
    return CallEntry(
        call_id=fields["call_id"],
        arm=fields.get("arm", ""),
        share=float(share) if share else None,
        version=_number(fields, "rollout_version") or 0,
        at_s=int(fields["ended_at"]) / 1000,
        bad=seen.badness(plan) | {Badness.CONNECTION},
        connected=seen.connected,
        permanent=seen.permanent,
        turns_ms=seen.turns_ms,
        caller=fields.get("rollout_caller", ""),
        code=seen.losses[0].code if seen.losses else NODE_LOST,
    )


def _observed(lost: History) -> Observed:
    kinds = [event.get("kind", "") for _, event in lost.events]
    came_and_went = [kind for kind in kinds if kind in ("session_lost", "session_restored")]
    set_up = bool(lost.fields.get("session_id"))
    greeting_ms = _greeting_ms(lost)
    turns = (TurnLatency.of(at_ms, event) for at_ms, event in _events(lost, "measured"))
    return Observed(
        losses=tuple(_loss(event) for _, event in _events(lost, "session_lost")),
        set_up=set_up,
        connected=set_up and came_and_went[-1:] != ["session_lost"],
        answered="answered_at" in lost.fields,
        silent="silent" in kinds,
        odd="unknown_event" in kinds or "malformed_event" in kinds,
        greeting_ms=None if greeting_ms is None else round(greeting_ms),
        turns_ms=tuple(round(turn.response_ms) for turn in turns if turn.response_ms is not None),
        silence_ms=_longest_silence(lost)[0] or 0,
        handoff_failed=any(
            event.get("reason") != "caller_left" for _, event in _events(lost, "handoff_failed")
        ),
    )


def _loss(event: Mapping[str, str]) -> Loss:
    code, layer, fault = (event.get(name, "") for name in ("code", "layer", "fault"))
    return Loss(code, layer, fault, event.get("permanent") == "1")


def _greeting_ms(lost: History) -> float | None:
    return next((float(event["delay_ms"]) for _, event in _events(lost, "greeted")), None)


def _longest_silence(lost: History) -> tuple[int | None, str | None]:
    """Return the longest silence that was recorded, and what the caller waited for."""
    found = [(int(event["silence_ms"]), event["cause"]) for _, event in _events(lost, "dead_air")]
    return max(found, default=(None, None))


def _sessions(lost: History) -> list[SessionUsed]:
    """Return the sessions that events name; the conversation is known of the last one alone."""
    found: dict[str, SessionUsed] = {}
    for event_id, event in lost.events:
        if session_id := event.get("session_id"):
            found.setdefault(session_id, SessionUsed(lost.at_ms(event_id), session_id))
    last = found.get(lost.fields.get("session_id", ""))
    if last is not None:
        last.conversation_id = lost.fields.get("conversation_id", "")
    return list(found.values())


def _consent(lost: History) -> ConsentRecord | None:
    """Return the announcement to the caller and their answer; None where there was neither."""
    state, version = lost.fields.get("consent"), lost.fields.get("consent_version", "")
    if state is None:
        return None
    consent = ConsentRecord(version, None, given={"given": True, "refused": False}.get(state))
    for at_ms, event in _events(lost, "disclosure_spoken"):
        consent.language = event.get("language")
        consent.disclosed_at_ms = lost.started_ms + at_ms
    for kind in ("consent_given", "consent_refused"):
        for at_ms, event in _events(lost, kind):
            consent.how = event.get("how")
            consent.settled_at_ms = lost.started_ms + at_ms
    return consent


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
    names = ("code", "layer", "fault", "cure", "session_id")
    values = (event.get(name, "") for name in names)
    return LostSession(at_ms, *values)


def _tool(event: Mapping[str, str]) -> ToolRun:
    return ToolRun.of(event["tool"], event["result"], int(event["took_ms"]))


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None
