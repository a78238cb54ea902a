"""Metrics of what is kept: writes on their way to Redis, calls of dead nodes, recordings."""

from collections.abc import Callable

from bridge.telemetry.metrics.families import Families


def audit_failures(make: Families) -> Callable[[], None]:
    """Return what counts an entry of the audit that could not be written."""
    return make.counter(
        "audit_write_failures_total", "Entries of the audit, or their copies, not written."
    ).inc


class StoreMetrics:
    """Writes on their way to Redis."""

    def __init__(self, make: Families) -> None:
        self._reasons: set[str] = set()
        self.set_pending = make.gauge("store_pending_writes", "Writes waiting for Redis.").set
        self._away = make.gauge(
            "store_away", "1 for the reason why Redis takes no writes now.", "reason"
        )
        self.dropped = make.counter("store_dropped_writes_total", "Writes given up.").inc
        self.swept = make.counter(
            "store_swept_calls_total", "Calls of dead nodes that were ended as node_lost."
        ).inc
        self.emptied = make.counter(
            "store_emptied_total", "Times that Redis had lost what it held when it was asked next."
        ).inc
        self.set_records_waiting = make.gauge(
            "records_waiting", "Records of calls that the disk has refused so far."
        ).set
        self.records_dropped = make.counter(
            "records_dropped_total", "Records of calls that the disk refused until they were lost."
        ).inc
        self.audit_failed = audit_failures(make)

    def set_away(self, reason: str | None) -> None:
        """Say why Redis takes no writes, None where it does; a reason has its series from then."""
        if reason is not None:
            self._reasons.add(reason)
        for each in self._reasons:
            self._away.labels(each).set(each == reason)


class ArchiveMetrics:
    """Recordings of calls that are over, on this node's disk."""

    def __init__(self, make: Families) -> None:
        self._recordings = make.gauge(
            "recordings", "Finished recordings on the disk, by state.", "state"
        )
        self._oldest = make.gauge(
            "recordings_oldest_seconds",
            "How long ago the call of the oldest recording in a state ended; 0 without one.",
            "state",
        )
        self.set_failing = make.gauge(
            "recordings_archive_failing", "1 while recordings are not taken on, for an error."
        ).set

        self.set_ships = make.gauge(
            "recordings_ship", "1 where encrypted recordings are to go to a bucket."
        ).set

    def set_recordings(self, state: str, count: int, oldest_s: int) -> None:
        """Publish how many recordings are in a state, and the age of the oldest."""
        self._recordings.labels(state).set(count)
        self._oldest.labels(state).set(oldest_s)
