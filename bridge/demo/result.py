"""The demo's result, as JSON and as the rows of its summary. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict, JsonValue

from bridge.demo.figures import Figures
from bridge.demo.verdict import RecordedTurn


class DemoCall(BaseModel):
    """The call: what the demo reads of the gateway's JSON, and what the caller's end adds.

    Attributes:
        recording: stereo WAV: caller left, agent as heard right; None if there is none.
        agent_heard_ms: the agent's speech that reached the caller's ear.
        record: the gateway's JSON of the call.
        caller_recording: the same call as the caller recorded it.
    """

    model_config = ConfigDict(frozen=True)

    call_id: str
    arm: str
    dialect: str
    outcome: str
    turns: tuple[RecordedTurn, ...]
    recording: Path | None
    agent_heard_ms: int = 0
    interruptions: int
    duration_ms: int
    record: Path = Path()
    caller_recording: Path | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return what ``--json`` prints of it."""
        return self.model_dump(
            mode="json",
            exclude={
                "turns": {"__all__": {"interrupted": True}},
                "duration_ms": True,
                "record": True,
                "caller_recording": True,
            },
        )


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Outcome of the demo; ``call`` is None if the gateway never took one."""

    call: DemoCall | None
    faults: Sequence[str]
    figures: Figures = field(default_factory=Figures)

    @property
    def ok(self) -> bool:
        """Whether the call passed its check."""
        return self.call is not None and not self.faults

    def to_json(self) -> dict[str, JsonValue]:
        """Return what ``--json`` prints."""
        return {"ok": self.ok, "calls": [] if self.call is None else [self.call.to_json()]}


def summary_rows(result: DemoResult) -> Iterator[tuple[str, str]]:
    """Yield (name, value) for a reader."""
    call = result.call
    if call is None:
        yield "outcome", "the gateway took no call"
        return
    yield "outcome", f"{call.outcome} after {seconds(call.duration_ms)}"
    agent = [turn for turn in call.turns if turn.speaker == "agent"]
    yield "turns", f"{len(call.turns) - len(agent)} of the caller, {len(agent)} of the agent"
    latencies = [turn.latency_ms for turn in agent if turn.latency_ms is not None]
    if latencies:
        yield "agent latency", f"median {median(latencies):.0f} ms, longest {max(latencies)} ms"
    yield "agent heard", f"{seconds(call.agent_heard_ms)} of speech, at the caller's ear"
    yield "interruptions", str(call.interruptions)
    yield from _figure_rows(result.figures)
    yield "recording", "none" if call.recording is None else f"{call.recording}"
    yield "call record", str(call.record)
    if call.caller_recording is not None:
        yield "caller's own", str(call.caller_recording)


def _figure_rows(figures: Figures) -> Iterator[tuple[str, str]]:
    added = [
        f"{what} {_bound(bound_ms)}"
        for what, bound_ms in (
            ("caller to AI", figures.uplink_p95_ms),
            ("AI to caller", figures.downlink_p95_ms),
        )
        if bound_ms is not None
    ]
    if added:
        yield "bridge adds", f"{', '.join(added)} (p95)"
    if figures.loop_lag_p99_ms is not None:
        yield "tick lag", f"{_bound(figures.loop_lag_p99_ms)} (p99)"


def _bound(bound_ms: float) -> str:
    return "beyond measure" if math.isinf(bound_ms) else f"under {bound_ms:g} ms"


def seconds(ms: int) -> str:
    """Return a duration as people read it: ``12.3 s``."""
    return f"{ms / 1000:.1f} s"
