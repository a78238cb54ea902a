"""Reports the latency of a call's turns: each turn's stages, their percentiles, their drift.

Written into a call's record at its end, and read back out of Redis by `bridge calls show`.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from bridge.telemetry.labels import INFERENCE, TurnStage

TOLERANCE_MS = 0.5
"""Stages add up to their turn within this: each of nine figures is rounded to 0.1 ms."""

DRIFT_TURNS = 6
DRIFT_SPAN_MS = 60_000
"""A drift is reported for so many turns over so long a time at least: a few make any slope."""

_SPANS = (*(stage.value for stage in TurnStage), "inference", "response")


@dataclass(frozen=True, slots=True)
class TurnLatency:
    """A turn of the agent, as the caller felt it.

    Attributes:
        at_ms: from the call's begin (its INVITE) to the first sample of the answer.
        response_ms: the caller's last sound to that sample; None where the former isn't known.
        stages_ms: by :class:`TurnStage`, in order; what was not measured is missing.
    """

    at_ms: int
    response_ms: float | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, at_ms: int, event: Mapping[str, str]) -> Self:
        """Read a `measured` event of a call's stream."""
        stages_ms = {
            stage.value: float(event[f"{stage}_ms"])
            for stage in TurnStage
            if f"{stage}_ms" in event
        }
        response = event.get("response_ms")
        return cls(at_ms, None if response is None else float(response), stages_ms)

    @property
    def inference_ms(self) -> float | None:
        """Append written to first delta received: the service's part; None where not known."""
        parts = [self.stages_ms[stage] for stage in INFERENCE if stage in self.stages_ms]
        return round(sum(parts), 1) if parts else None

    def spans_ms(self) -> dict[str, float]:
        """Return the stages, their sum that is the service's, and the whole."""
        whole = {"inference": self.inference_ms, "response": self.response_ms}
        return {**self.stages_ms, **{k: v for k, v in whole.items() if v is not None}}


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles of a span in milliseconds, and the turns that they are of."""

    turns: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Drift:
    """The change of the time to an answer as a call grows older.

    Attributes:
        ms_per_min: slope of the least squares line; tools are left out of it.
        turns: it is drawn through.
    """

    ms_per_min: float
    turns: int


def percentiles(turns: Iterable[TurnLatency]) -> dict[str, Percentiles]:
    """Return those of each span that was measured: the stages in order, inference, response."""
    spans_ms = defaultdict[str, list[float]](list)
    for turn in turns:
        for name, span_ms in turn.spans_ms().items():
            spans_ms[name].append(span_ms)
    ordered = {name: sorted(spans_ms[name]) for name in _SPANS if spans_ms[name]}
    return {
        name: Percentiles(len(ms), _percentile(ms, 50), _percentile(ms, 95))
        for name, ms in ordered.items()
    }


def _percentile(ordered_ms: Sequence[float], percent: int) -> float:
    return ordered_ms[math.ceil(percent * len(ordered_ms) / 100) - 1]


def drift(turns: Sequence[TurnLatency]) -> Drift | None:
    """Return the drift; None where the turns are too few or too close together."""
    points = [
        (turn.at_ms, turn.response_ms - turn.stages_ms.get(TurnStage.TOOL, 0.0))
        for turn in turns
        if turn.response_ms is not None
    ]
    if len(points) < DRIFT_TURNS or points[-1][0] - points[0][0] < DRIFT_SPAN_MS:
        return None
    ages_min, waits_ms = zip(*((at_ms / 60_000, wait_ms) for at_ms, wait_ms in points), strict=True)
    slope = statistics.linear_regression(ages_min, waits_ms).slope
    return Drift(round(slope, 1), len(points))


def latency_report(turns: Sequence[TurnLatency]) -> dict[str, object]:
    """Return what a record says of the turns, as JSON values; what is not known is null."""
    found = drift(turns)
    return {
        "turns": [
            {"at_ms": turn.at_ms, "response_ms": turn.response_ms, "stages_ms": turn.stages_ms}
            for turn in turns
        ],
        "stages": {
            name: {"turns": of.turns, "p50_ms": round(of.p50_ms, 1), "p95_ms": round(of.p95_ms, 1)}
            for name, of in percentiles(turns).items()
        },
        "drift_ms_per_min": None if found is None else found.ms_per_min,
    }
