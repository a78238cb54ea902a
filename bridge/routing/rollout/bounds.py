"""Bounds for promotion, which wants evidence of no harm, and the comparison of latencies.

Wilson 1927 for a rate, Newcombe 1998 (method 10) for a difference of rates, a percentile bootstrap
resampled by call for p95 (`NEEDS.md` section 4, rules 3 and 4).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z_95 = 1.6448536269514722
"""One-sided 95% of the normal distribution."""

_RESAMPLES = 2000
_CHUNK = 50
"""Resamples at once: in a worker thread, no step keeps the interpreter for longer than 2 ms."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``bad`` of ``calls``."""

    bad: int
    calls: int

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.calls:
            raise ValueError(f"{self.bad} bad calls of {self.calls}")

    @property
    def value(self) -> float:
        """The rate; NaN without calls."""
        return self.bad / self.calls if self.calls else math.nan

    def upper(self, z: float = Z_95) -> float:
        """Return the upper Wilson bound; 1 without calls: nothing is known."""
        return self._wilson(z) if self.calls else 1.0

    def lower(self, z: float = Z_95) -> float:
        """Return the lower Wilson bound; 0 without calls."""
        return self._wilson(-z) if self.calls else 0.0

    def _wilson(self, z: float) -> float:
        n, p = self.calls, self.value
        centre = p + z * z / (2 * n)
        spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return min(max((centre + spread) / (1 + z * z / n), 0.0), 1.0)


def difference_upper(treatment: Rate, control: Rate, z: float = Z_95) -> float:
    """Return Newcombe's upper bound of (treatment - control); 1 where either has no calls."""
    if not treatment.calls or not control.calls:
        return 1.0
    worse = treatment.upper(z) - treatment.value
    better = control.value - control.lower(z)
    return treatment.value - control.value + math.hypot(worse, better)


@dataclass(frozen=True, slots=True)
class LatencyDifference:
    """Treatment's p95 less control's, ms, with its 95% interval."""

    difference_ms: float
    low_ms: float
    high_ms: float
    control_p95_ms: float

    @property
    def convicts(self) -> bool:
        """Whether the treatment is worse by more than 20% and 150 ms, beyond chance."""
        return (
            self.low_ms > 0
            and self.difference_ms > 150
            and self.difference_ms > 0.2 * self.control_p95_ms
        )


def compare_p95(
    treatment: Sequence[Sequence[float]],
    control: Sequence[Sequence[float]],
    rng: np.random.Generator,
) -> LatencyDifference | None:
    """Compare the 95th percentile of turn latency, resampling whole calls.

    Args:
        treatment, control: turn latencies of each call, ms; calls without turns are left out.
        rng: draws the samples.

    Returns:
        None where an arm has fewer than 20 turns: too few for a p95.
    """
    arms = [[np.asarray(call, float) for call in arm if len(call)] for arm in (treatment, control)]
    if any(sum(len(call) for call in arm) < 20 for arm in arms):
        return None
    points = [float(np.percentile(np.concatenate(arm), 95)) for arm in arms]
    resampled = [_resampled_p95(arm, rng) for arm in arms]
    low, high = np.percentile(resampled[0] - resampled[1], [2.5, 97.5])
    return LatencyDifference(points[0] - points[1], float(low), float(high), points[1])


def _resampled_p95(
    calls: list[npt.NDArray[np.float64]], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw calls with replacement, so often; return the p95 of each drawing's turns.

    A call that is drawn k times gives its turns the weight k; the percentile is the first turn, by
    length, at which 95% of the weight is reached.
    """
    turns = np.concatenate(calls)
    call_of_turn = np.repeat(np.arange(len(calls)), [len(call) for call in calls])
    order = np.argsort(turns, kind="stable")
    turns, call_of_turn = turns[order], call_of_turn[order]
    even = np.full(len(calls), 1 / len(calls))
    found = []
    for _ in range(0, _RESAMPLES, _CHUNK):
        drawn = rng.multinomial(len(calls), even, size=_CHUNK)
        weight = np.cumsum(drawn[:, call_of_turn], axis=1)
        found.append(turns[np.argmax(weight >= 0.95 * weight[:, -1:], axis=1)])
    return np.concatenate(found)
