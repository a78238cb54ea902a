"""Metrics of Redis: writes on their way there, its absence, calls of dead nodes."""

from bridge.telemetry.metrics.families import Families


class StoreMetrics:
    """Writes on their way to Redis."""

    def __init__(self, make: Families) -> None:
        self._reasons: set[str] = set()
        self._pending = make.gauge("store_pending_writes", "Writes waiting for Redis.")
        self._away = make.gauge(
            "store_away", "1 for the reason why Redis takes no writes now.", "reason"
        )
        self._dropped = make.counter("store_dropped_writes_total", "Writes given up.")
        self._swept = make.counter(
            "store_swept_calls_total", "Calls of dead nodes that were ended as node_lost."
        )
        self._emptied = make.counter(
            "store_emptied_total", "Times that Redis had lost what it held when it was asked next."
        )
        self._records_waiting = make.gauge(
            "records_waiting", "Records of calls that the disk has refused so far."
        )
        self._records_dropped = make.counter(
            "records_dropped_total", "Records of calls that the disk refused until they were lost."
        )
        self._audit_failed = make.counter(
            "audit_write_failures_total", "Entries of the audit, or their copies, not written."
        )

    def set_records_waiting(self, records: int) -> None:
        """Publish how many records of calls wait for the disk."""
        self._records_waiting.set(records)

    def records_dropped(self, records: int) -> None:
        """Count records of calls that were given up: too many waited, or for too long."""
        self._records_dropped.inc(records)

    def audit_failed(self) -> None:
        """Count an entry of the audit that could not be written."""
        self._audit_failed.inc()

    def set_pending(self, writes: int) -> None:
        """Publish how many writes wait."""
        self._pending.set(writes)

    def set_away(self, reason: str | None) -> None:
        """Say why Redis takes no writes, None where it does; a reason has its series from then."""
        if reason is not None:
            self._reasons.add(reason)
        for each in self._reasons:
            self._away.labels(each).set(each == reason)

    def dropped(self, writes: int = 1) -> None:
        """Count writes that were given up."""
        self._dropped.inc(writes)

    def emptied(self, times: int = 1) -> None:
        """Count that Redis had lost what it held."""
        self._emptied.inc(times)

    def swept(self, calls: int = 1) -> None:
        """Count calls that this node ended in a dead one's place."""
        self._swept.inc(calls)
