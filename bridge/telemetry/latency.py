"""Percentiles of the latest latencies, for the tables that `bench` and `demo` print.

Bounded: the oldest sample makes room for the newest. Prometheus has its own histograms; this is for
numbers exact to the sample.
"""

import math
from dataclasses import dataclass

from bridge.clock import NS_PER_MS


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Nearest-rank percentiles in milliseconds.

    Attributes:
        count: samples ever added.
        kept: samples that the percentiles are of.
    """

    count: int
    kept: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class LatencyWindow:
    """The latest latencies.

    Args:
        capacity: samples kept; 4096 appends of 20 ms are 82 s of one call.
    """

    def __init__(self, capacity: int = 4096) -> None:
        if capacity < 1:
            raise ValueError(f"a window holds at least one sample, not {capacity}")
        self._capacity = capacity
        self._samples_ns: list[int] = []
        self._count = 0

    def add(self, ns: int) -> None:
        """Add one latency in nanoseconds."""
        if len(self._samples_ns) < self._capacity:
            self._samples_ns.append(ns)
        else:
            self._samples_ns[self._count % self._capacity] = ns
        self._count += 1

    def summary(self) -> LatencySummary | None:
        """Return the percentiles of what is kept; None if nothing was ever added."""
        if not self._samples_ns:
            return None
        ordered = sorted(self._samples_ns)

        def percentile_ms(percent: int) -> float:
            return ordered[math.ceil(percent * len(ordered) / 100) - 1] / NS_PER_MS

        return LatencySummary(
            count=self._count,
            kept=len(ordered),
            p50_ms=percentile_ms(50),
            p95_ms=percentile_ms(95),
            p99_ms=percentile_ms(99),
            max_ms=ordered[-1] / NS_PER_MS,
        )
