"""The evidence of one played call, from the caller's phone, the gateway and the tool mocks.

The caller's phone reports what it did and heard; the gateway's record, its state and events in
Redis and its wire log show what happened behind it; the tool mocks log how they were called. What
is missing is None, and whatever needs it can't be decided. All ``at_ms`` are ms since the answer on
the clock of the caller's phone; what the gateway stamped is mapped there by wall time, for both run
on one machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from bridge.clock import NS_PER_MS
from bridge.realtime.flavour import PLAIN
from bridge.replay.call.timeline import CallLog
from bridge.replay.persona.outcome import PersonaOutcome
from bridge.replay.results.call import CallOutcome


@dataclass(frozen=True, slots=True)
class CallerEvidence:
    """The evidence of the caller's phone; crosses from its process as JSON.

    Attributes:
        sip_code: last SIP status of the INVITE; 0 if there was none.
        sip_call_id: of the INVITE; the gateway's record names it, too.
        answered_wall_ns: when ms 0 of the call was, by the wall clock; None without an answer.
        log: what was done and heard; None for a call that was not answered.
        recording: stereo WAV, caller left, agent as heard right; None if there is none.
        rtp: figures of the phone's RTP stream; empty where they are not known.
        loss_pct: share of packets lost on the way `to_bridge` and `to_caller`; a way is missing
            where it is not known.
        persona: what became of a caller that was made up; None of one with steps.
    """

    outcome: CallOutcome
    sip_code: int
    sip_call_id: str
    answered_wall_ns: int | None = None
    answered_after_ms: int | None = None
    log: CallLog | None = None
    recording: Path | None = None
    rtp: Mapping[str, float | None] = field(default_factory=dict)
    loss_pct: Mapping[str, float] = field(default_factory=dict)
    persona: PersonaOutcome | None = None


@dataclass(frozen=True, slots=True)
class WireEvent:
    """A Realtime event as the gateway's wire log has it (:mod:`bridge.session.wire_log`).

    Attributes:
        type: as it stands on the wire.
        canonical: name of the canonical event or command; None where the dialect knows none.
        raw: the event; in the place of its audio stands ``{"bytes": n, "ms": m}``.
        fields: names of the canonical event's fields that hold something.
        session: number of the call's connection, from 1.
    """

    at_ns: int
    at_ms: float
    direction: Literal["sent", "received"]
    type: str
    canonical: str | None
    raw: Mapping[str, JsonValue]
    fields: tuple[str, ...] = ()
    session: int = 1


@dataclass(frozen=True, slots=True)
class GatewayEvent:
    """An event summary of the call's stream in Redis."""

    at_ms: float
    kind: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ToolRequestSeen:
    """A request that a tool mock has got.

    Attributes:
        attempt: from 1; a webhook that failed is asked again with the same key.
        output: what was answered; None where nothing was.
    """

    at_ms: float
    name: str
    arguments: Mapping[str, JsonValue]
    attempt: int = 1
    took_ms: float = 0.0
    status: int | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of one call; what is missing is None.

    Attributes:
        run: names the run of the script (``X-Bridge-Replay`` on the INVITE).
        dialect, flavour: of the arm.
        caller: None where the caller's process left no report.
        record: the gateway's ``<call_id>.json``; ``figures``: its ``metrics/session_*.json``.
        state: the call's hash in Redis, after its end; ``events``: its stream.
        wire: every Realtime event of the call, in the order of time.
        recorded: those of the call that a recorded arm was answered from, on this call's clock;
            None where the service was none of a recording.
        tools: requests to the mocks; None where no mocks could be had.
        faults_struck: how often each of the script's Realtime faults struck, by ``kind at moment``;
            None where the Realtime service is not the simulator.
        missing: for what is None: why, by the attribute's name.
    """

    run: str
    arm: str
    dialect: str
    caller: CallerEvidence | None = None
    record: Mapping[str, JsonValue] | None = None
    figures: Mapping[str, JsonValue] | None = None
    state: Mapping[str, str] | None = None
    events: tuple[GatewayEvent, ...] | None = None
    wire: tuple[WireEvent, ...] | None = None
    recorded: tuple[WireEvent, ...] | None = None
    tools: tuple[ToolRequestSeen, ...] | None = None
    faults_struck: Mapping[str, int] | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    flavour: str = PLAIN.name

    @property
    def log(self) -> CallLog | None:
        """What the caller did and heard; None for a call that was not answered."""
        return None if self.caller is None else self.caller.log

    @property
    def silenced_ms(self) -> tuple[float, ...]:
        """When the gateway silenced the agent for its caller; empty without its events."""
        return tuple(each.at_ms for each in self.events or () if each.kind == "interrupted")

    def why_missing(self, source: str) -> str:
        """Return why a source is None, for a check that needs it."""
        return self.missing.get(source, f"there is no {source} of this call")


def at_ms(wall_ns: int, answered_wall_ns: int) -> float:
    """Map a wall time of this machine to the caller's clock, ms since the answer."""
    return round((wall_ns - answered_wall_ns) / NS_PER_MS, 1)
