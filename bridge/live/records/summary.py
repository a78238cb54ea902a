"""The summary of a call at its end, and the files that hold it.

Beside the recording lie ``<call_id>.json``, everything; ``metrics/session_<call_id>.json``, the
figures that a report wants; and ``calls.jsonl``, one line a call (the call detail record).
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from bridge.engine.news import Speaker
from bridge.errors import Fault
from bridge.realtime.failures import classify_tool
from bridge.recordings.record_files import RecordFiles
from bridge.routing.verstat import Verstat
from bridge.telemetry.labels import BilledToken, Modality
from bridge.telemetry.turn_latency import TurnLatency, latency_report, percentiles


@dataclass(slots=True)
class Turn:
    """A line of the conversation, the caller's or the agent's."""

    speaker: Speaker
    text: str
    latency_ms: int | None = None
    heard_ms: int | None = None
    interrupted: bool = False


@dataclass(slots=True)
class SessionUsed:
    """A Realtime session that the call had, until the next one.

    Attributes:
        at_ms: when the call took it.
        conversation_id: of its default conversation; empty before its first response.
    """

    at_ms: int
    session_id: str
    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class LostSession:
    """A classified failure of the call's session; without a session_id there was none yet."""

    at_ms: int
    code: str
    layer: str
    fault: str
    cure: str
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A finished run of a tool, with its result.

    Attributes:
        result: ``ok``, or why there is no good output.
        fault: whose doing that is (:class:`bridge.errors.Fault`); ``none`` where it is no failure,
            as the output came or nobody waited for it any more.
    """

    name: str
    ok: bool
    took_ms: int
    result: str = "ok"
    fault: str = Fault.NONE.value

    @classmethod
    def of(cls, name: str, result: str, took_ms: int) -> Self:
        """Make it from how the tool ended."""
        failure = classify_tool(result)
        fault = Fault.NONE if failure is None else failure.fault
        return cls(name, failure is None, took_ms, result, fault.value)

    @property
    def failed(self) -> bool:
        """Whether somebody has to act on it."""
        return self.fault != Fault.NONE


@dataclass(slots=True)
class HandedOver:
    """A hand-off of the call to a person or queue, with its result.

    Attributes:
        way: ``blind`` (REFER), ``bridged`` (dialled by the bridge) or ``warm``, as it ended.
        result: ``started``, ``completed``, or why it failed.
        talked_ms: with the person, where the caller came back.
    """

    at_ms: int
    to: str
    target: str = ""
    way: str = ""
    result: str = "started"
    talked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReplacedCaller:
    """The caller whose place another has taken, as in an attended transfer.

    Attributes:
        at_ms: when, from the call's begin.
    """

    at_ms: int
    caller: str
    sip_call_id: str


@dataclass(frozen=True, slots=True)
class SupervisorAct:
    """An action of a supervisor, with its words."""

    at_ms: int
    by: str
    action: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class FlaggedMoment:
    """A moment that a supervisor wants to be looked at."""

    at_ms: int
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class WrapUp:
    """The wrap-up that the person who had the caller gave; ``at_ms``: since the Unix epoch."""

    code: str
    note: str
    by: str
    at_ms: int


@dataclass(slots=True)
class ConsentRecord:
    """The disclosure of the AI and the recording to the caller, and the caller's answer to it.

    Attributes:
        version: of the text; ``language``: BCP 47.
        disclosed_at_ms: when it had been heard to its end, wall time; None where it was not.
        given: None where they were not asked, or have not answered.
        how: see :class:`bridge.engine.news.ConsentSettled`.
        settled_at_ms: when they answered, wall time.
    """

    version: str
    language: str | None
    disclosed_at_ms: int | None = None
    given: bool | None = None
    how: str | None = None
    settled_at_ms: int | None = None


@dataclass(slots=True)
class CallSummary:
    """The content of a call's JSON record.

    Attributes:
        arm: that the call was given; ``dialect`` and ``model`` are those of the arm in use.
        rollout: the flag that chose it, why, and at which version; empty without one.
        rescued_by: the arm that took over before the greeting; empty where none had to.
        called, caller: as SIP named them; the last caller, where one took another's place.
        sip_call_id: the Call-ID of the INVITE, which the other end knows, too; likewise.
        far_end_reason: Reason header of the far end's BYE or CANCEL (RFC 3326), redacted.
        replaced: the callers before, in order.
        verstat: what the carrier says of the caller's number.
        asserted, privacy, diversion, history_info, user_to_user, headers: see
            :class:`bridge.routing.origin.Origin`; the last two redacted.
        consent: None where nothing was to be announced to the caller.
        emergencies: phrases of an emergency that the caller said.
        started_at_ms, answered_at_ms, ended_at_ms: wall time, ms since the Unix epoch.
        recording_stopped: why it ended before the call did.
        keep_days: how long audio, transcript and events are kept; None for ever.
        sessions: in the order in which the call had them.
        callbacks: wishes to be called back, in the caller's words.
        longest_silence_ms: of all that the caller hears while the agent owes them something; None
            where there was none. ``longest_silence_cause``: what they waited for.
        greeting_ms: answer to the greeting's first sample.
        latency: where the time of the agent's turns went.
        mos: estimated, for the directions ``in`` and ``out``.
        tokens: of responses; ``transcription_tokens`` and ``transcription_s`` (billed by time) are
            those of the caller's transcription, by ``transcription_model``; ``backend_tokens``
            those of a full-duplex service's backend, by ``backend_model``.
        cost_usd: None where the table of models has no price for the conversation. It holds
            ``transcription_cost_usd`` and ``backend_cost_usd``, which are None where nothing was
            used of them, or the table has no price for that.
    """

    call_id: str
    route: str
    arm: str
    dialect: str
    called: str
    model: str = ""
    rollout: str = ""
    rollout_reason: str = ""
    rollout_version: int = 0
    rescued_by: str = ""
    caller: str = ""
    sip_call_id: str = ""
    far_end_reason: str = ""
    replaced: list[ReplacedCaller] = field(default_factory=list)
    verstat: str = Verstat.NONE.value
    asserted: str = ""
    privacy: str = ""
    diversion: str = ""
    history_info: str = ""
    user_to_user: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    codec: str = ""
    outcome: str = ""
    fault: str = ""
    reason: str = ""
    started_at_ms: int = 0
    answered_at_ms: int | None = None
    ended_at_ms: int = 0
    duration_ms: int = 0
    turns: list[Turn] = field(default_factory=list)
    interruptions: int = 0
    recording: str | None = None
    consent: ConsentRecord | None = None
    emergencies: list[str] = field(default_factory=list)
    recording_stopped: str | None = None
    keep_days: dict[str, int | None] = field(default_factory=dict)
    sessions: list[SessionUsed] = field(default_factory=list)
    failures: list[LostSession] = field(default_factory=list)
    handoffs: list[HandedOver] = field(default_factory=list)
    tools: list[ToolRun] = field(default_factory=list)
    supervised: list[SupervisorAct] = field(default_factory=list)
    flags: list[FlaggedMoment] = field(default_factory=list)
    wrap_up: WrapUp | None = None
    callbacks: list[dict[str, str | None]] = field(default_factory=list)
    tokens: Counter[tuple[BilledToken, Modality]] = field(default_factory=Counter)
    cost_usd: float | None = None
    transcription_model: str = ""
    transcription_tokens: Counter[tuple[BilledToken, Modality]] = field(default_factory=Counter)
    transcription_s: float = 0.0
    transcription_cost_usd: float | None = None
    backend_model: str = ""
    backend_tokens: Counter[tuple[BilledToken, Modality]] = field(default_factory=Counter)
    backend_cost_usd: float | None = None
    longest_silence_ms: int | None = None
    longest_silence_cause: str | None = None
    greeting_ms: float | None = None
    latency: list[TurnLatency] = field(default_factory=list)
    mos: dict[str, float | None] = field(default_factory=dict)
    events_ms: list[tuple[int, str]] = field(default_factory=list)

    @property
    def arm_in_use(self) -> str:
        """The arm that the call uses: the one that it was given, or the one that took over."""
        return self.rescued_by or self.arm

    @property
    def in_session_s(self) -> float:
        """Seconds from the call's first session to its end; 0 where it had none."""
        return (self.duration_ms - self.sessions[0].at_ms) / 1000 if self.sessions else 0.0

    @property
    def average_latency_ms(self) -> float | None:
        """Mean time from the caller's last sound to the agent's first; None without such a turn."""
        known = [turn.latency_ms for turn in self.turns if turn.latency_ms is not None]
        return sum(known) / len(known) if known else None

    @property
    def turns_of_talk(self) -> int:
        """How many turns caller and agent had; announcements and supervisors' notes are none."""
        return sum(turn.speaker in (Speaker.CALLER, Speaker.AGENT) for turn in self.turns)

    @property
    def tool_success_rate(self) -> float | None:
        """Share of tool calls that gave a good output, 0 to 1; None without any.

        Those that were stopped because nobody waited any more count neither way.
        """
        ended = [tool.ok for tool in self.tools if tool.ok or tool.failed]
        return sum(ended) / len(ended) if ended else None

    def figures(self) -> dict[str, str | int | None]:
        """Return the figures for the call's last event in Redis."""
        latency_ms, rate = self.average_latency_ms, self.tool_success_rate
        response = percentiles(self.latency).get("response")
        return {
            "turns": self.turns_of_talk,
            "interruptions": self.interruptions,
            "average_response_ms": None if latency_ms is None else round(latency_ms),
            "response_p95_ms": None if response is None else round(response.p95_ms),
            "tool_success_rate": None if rate is None else f"{rate:.3f}",
            "tokens": (self.tokens + self.backend_tokens).total(),
            "cost_usd": None if self.cost_usd is None else f"{self.cost_usd:.6f}",
            "longest_silence_ms": self.longest_silence_ms,
            "longest_silence_cause": self.longest_silence_cause,
            **{f"mos_{way}": str(mos) for way, mos in self.mos.items() if mos is not None},
        }


_ORIGIN = ("asserted", "privacy", "diversion", "history_info", "user_to_user")


def origin_fields(summary: CallSummary) -> dict[str, str]:
    """Return what the call's hash holds of its origin; ``headers`` as JSON."""
    found = {name: getattr(summary, name) for name in _ORIGIN if getattr(summary, name)}
    if summary.headers:
        found["headers"] = json.dumps(summary.headers, ensure_ascii=False)
    return found


def read_origin_fields(fields: Mapping[str, str]) -> dict[str, Any]:  # by field of the summary
    """Return what a call's hash holds of its origin, as the summary has it."""
    found: dict[str, Any] = {name: fields[name] for name in _ORIGIN if name in fields}
    return {**found, "headers": json.loads(fields.get("headers", "{}"))}


def session_metrics(summary: CallSummary) -> dict[str, object]:
    """Return what ``metrics/session_<call_id>.json`` holds.

    ``latency`` has each turn's stages in ms (:class:`bridge.telemetry.labels.TurnStage`) and their
    percentiles. ``average_response_latency`` is in seconds, ``estimated_cost`` in US dollars by the
    prices of `bridge/config/models.yaml`, ``function_success_rate`` from 0 to 1. What is not known
    is null.
    """
    latency_ms = summary.average_latency_ms
    return {
        "call_id": summary.call_id,
        "sip_call_id": summary.sip_call_id,
        "arm": summary.arm,
        "dialect": summary.dialect,
        "model": summary.model,
        "sessions": [asdict(session) for session in summary.sessions],
        "outcome": summary.outcome,
        "fault": summary.fault,
        "reason": summary.reason,
        "duration_ms": summary.duration_ms,
        "average_response_latency": None if latency_ms is None else round(latency_ms / 1000, 3),
        "estimated_cost": None if summary.cost_usd is None else round(summary.cost_usd, 6),
        "function_success_rate": summary.tool_success_rate,
        "function_calls": len(summary.tools),
        "tokens": _by_kind(summary.tokens),
        "transcription_tokens": _by_kind(summary.transcription_tokens),
        "transcription_seconds": round(summary.transcription_s, 3),
        "transcription_cost": summary.transcription_cost_usd,
        "backend_model": summary.backend_model,
        "backend_tokens": _by_kind(summary.backend_tokens),
        "backend_cost": summary.backend_cost_usd,
        "turns": summary.turns_of_talk,
        "interruptions": summary.interruptions,
        "longest_silence_ms": summary.longest_silence_ms,
        "longest_silence_cause": summary.longest_silence_cause,
        "greeting_ms": summary.greeting_ms,
        "latency": latency_report(summary.latency),
        "estimated_mos": summary.mos,
    }


def call_detail_record(summary: CallSummary) -> dict[str, object]:
    """Return the call's line of ``calls.jsonl``; times are ISO 8601 in UTC."""
    return {
        "call_id": summary.call_id,
        "sip_call_id": summary.sip_call_id,
        "route": summary.route,
        "arm": summary.arm,
        "dialect": summary.dialect,
        "model": summary.model,
        "rollout": summary.rollout,
        "rollout_reason": summary.rollout_reason,
        "rollout_version": summary.rollout_version,
        "rescued_by": summary.rescued_by,
        "from": summary.caller,
        "to": summary.called,
        "verstat": summary.verstat,
        "asserted": summary.asserted,
        "privacy": summary.privacy,
        "diversion": summary.diversion,
        "codec": summary.codec,
        "started_at": _iso(summary.started_at_ms),
        "answered_at": None if summary.answered_at_ms is None else _iso(summary.answered_at_ms),
        "ended_at": _iso(summary.ended_at_ms),
        "duration_ms": summary.duration_ms,
        "talk_ms": 0
        if summary.answered_at_ms is None
        else summary.ended_at_ms - summary.answered_at_ms,
        "outcome": summary.outcome,
        "fault": summary.fault,
        "reason": summary.reason,
        "far_end_reason": summary.far_end_reason,
        "sessions": [asdict(session) for session in summary.sessions],
        "recording": summary.recording,
        "consent": None if summary.consent is None else asdict(summary.consent),
        "emergencies": len(summary.emergencies),
        "handoffs": [asdict(handoff) for handoff in summary.handoffs],
        **summary.figures(),
    }


def record_files(summary: CallSummary) -> RecordFiles:
    """Return the call's files, ready to be written."""
    record = {
        **asdict(summary),
        "tokens": _by_kind(summary.tokens),
        "transcription_tokens": _by_kind(summary.transcription_tokens),
        "backend_tokens": _by_kind(summary.backend_tokens),
    }
    figures, line = session_metrics(summary), call_detail_record(summary)
    return RecordFiles(summary.call_id, record, figures, line)


def _by_kind(tokens: Counter[tuple[BilledToken, Modality]]) -> dict[str, dict[str, int]]:
    """Return the tokens as kind -> modality -> count."""
    found: dict[str, dict[str, int]] = {kind.value: {} for kind in BilledToken}
    for (kind, modality), count in sorted(tokens.items()):
        found[kind.value][modality.value] = count
    return found


def _iso(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="milliseconds")
