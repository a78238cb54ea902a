"""Metrics of callers who wait for a person."""

from collections import defaultdict

from bridge.clock import NS_PER_S
from bridge.telemetry.labels import (
    LabelGuard,
)
from bridge.telemetry.metrics.families import (
    QUEUE_S,
    Families,
    current_call,
)


class QueueMetrics:
    """Callers that wait for a person, by the handoff target's name."""

    def __init__(self, make: Families) -> None:
        self._waiting = make.gauge("queue_waiting", "Callers that wait for a person.", "queue")
        self._oldest = make.gauge(
            "queue_oldest_timestamp_seconds",
            "Unix time since when the first of them waits; 0: none does.",
            "queue",
        )
        self._wait = make.histogram(
            "queue_wait_seconds", "Asked for a person to reached or given up.", QUEUE_S, "queue"
        )
        self._queue = LabelGuard(50)
        self._since: defaultdict[str, list[int]] = defaultdict(list)

    def joined(self, queue: str, wall_ns: int) -> None:
        """Note that a caller begins to wait."""
        queue = self._queue(queue)
        self._since[queue].append(wall_ns)
        self._publish(queue)

    def left(self, queue: str, joined_wall_ns: int, waited_ns: int) -> None:
        """Note that a caller who joined at ``joined_wall_ns`` waits no longer."""
        queue = self._queue(queue)
        self._since[queue].remove(joined_wall_ns)
        self._wait.labels(queue).observe(waited_ns / NS_PER_S, exemplar=current_call())
        self._publish(queue)

    def _publish(self, queue: str) -> None:
        since = self._since[queue]
        self._waiting.labels(queue).set(len(since))
        self._oldest.labels(queue).set(min(since, default=0) / NS_PER_S)
