"""Makes metric families on a registry, with shared buckets, labels and exemplars."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from structlog.contextvars import get_contextvars

from bridge.errors import Fault
from bridge.realtime.failures import TABLE, Place

Buckets = tuple[float, ...]

# fmt: off
TURN_S: Buckets = (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 8, 13)
# fmt: on
# The bridge's own stages are tens of ms (60 ms each way is the limit), the service's up to seconds.
# fmt: off
STAGE_S: Buckets = (
    0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.5, 3, 5, 8,
)
# fmt: on
BARGE_IN_S: Buckets = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2)
SETUP_S: Buckets = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30)
DEAD_AIR_S: Buckets = (1, 2, 3, 4, 5, 7, 10, 15, 30)
TOOL_S: Buckets = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 15, 30)
QUEUE_S: Buckets = (1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 1800)
FULL_TURN_S: Buckets = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 45, 60)
DURATION_S: Buckets = (5, 10, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)
JITTER_S: Buckets = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
LOSS_RATIO: Buckets = (0, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
MOS: Buckets = (1, 2, 2.5, 3, 3.1, 3.6, 4, 4.3, 4.5)
LOOP_LAG_S: Buckets = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1)
ADDED_LATENCY_S: Buckets = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.5)

EVENT_TYPES_KEPT = 100
"""The GA dialect has 46 server event types (`PROTOCOL.md` section 3); room for every dialect."""

ARM_STOPPING: tuple[str, ...] = tuple(
    sorted(
        code
        for (place, code), row in TABLE.items()
        if place is Place.LOSS and (row.permanent or row.blames_key)
    )
)
"""Reasons of failed connections after which no call of the arm can work until a person acts."""

EXPECTED_FAILURES = (
    *ARM_STOPPING,
    *("http_429", "no_descriptors", "rate_limit_exceeded", "token_limited"),
)
"""Published as 0 from the start: a counter that first appears as 1 has no increase to alert on."""

TOKEN_FAILURES: tuple[str, ...] = tuple(
    sorted(code for place, code in TABLE if place is Place.LOSS and code.startswith("token_"))
)
"""Why a token could not be fetched; published as 0 from the start, likewise."""

BAD = frozenset({Fault.BRIDGE, Fault.PROVIDER, Fault.TOOL, Fault.CONFIG})
"""Whose fault makes a call a bad one; the caller's, the carrier's and a supervisor's don't."""

LEAVING = frozenset({"draining", "shutdown"})
"""A node that leaves refuses calls for other nodes to take; nobody is harmed."""


def current_call() -> dict[str, str] | None:
    """Return the exemplar of what happens now: the call's id, None outside of a call.

    It takes 1 us: not for what happens with every frame.
    """
    call_id = get_contextvars().get("call_id")
    return {"call_id": call_id} if isinstance(call_id, str) else None


class Families:
    """Makes metric families on one registry, all names prefixed ``bridge_``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.labels: dict[str, tuple[str, ...]] = {}
        self._registry = registry
        # Each counter's creation time would double the series, and nobody reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client

    def counter(self, name: str, what: str, *labels: str) -> Counter:
        """Make a counter."""
        self.labels[f"bridge_{name}"] = labels
        return Counter(f"bridge_{name}", what, labels, registry=self._registry)

    def gauge(self, name: str, what: str, *labels: str) -> Gauge:
        """Make a gauge."""
        self.labels[f"bridge_{name}"] = labels
        return Gauge(f"bridge_{name}", what, labels, registry=self._registry)

    def histogram(self, name: str, what: str, buckets: Buckets, *labels: str) -> Histogram:
        """Make a histogram."""
        for part in ("", "_sum", "_count"):
            self.labels[f"bridge_{name}{part}"] = labels
        self.labels[f"bridge_{name}_bucket"] = (*labels, "le")
        return Histogram(f"bridge_{name}", what, labels, buckets=buckets, registry=self._registry)
