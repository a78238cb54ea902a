"""Metrics of the machine under this process: its clocks, directories, limits and certificate."""

from bridge.telemetry.metrics.families import Families


class NodeMetrics:
    """Troubles of this node that are nobody else's."""

    def __init__(self, make: Families) -> None:
        self._stops = make.counter(
            "process_stops_total", "Times that the process stood still for a second or longer."
        )
        self._clock_sets = make.counter(
            "clock_sets_total", "Times that the wall clock was set by a second or more."
        )
        self._promised = make.gauge(
            "calls_promised", "Calls that settings and PJSIP allow; the limit may be lower."
        )
        self._used_up = make.gauge(
            "descriptors_used_up", "1 while this process can open nothing more."
        )
        self._refused = make.gauge(
            "directory_refused", "1 while a directory takes no files.", "directory"
        )
        self._certificate = make.gauge(
            "certificate_expiry_timestamp_seconds",
            "Unix time at which a certificate that this process shows ends.",
            "of",
        )

    def stopped(self) -> None:
        """Count that the process stood still."""
        self._stops.inc()

    def clock_set(self) -> None:
        """Count that the wall clock was set."""
        self._clock_sets.inc()

    def set_promised(self, calls: int) -> None:
        """Publish how many calls there would be with file descriptors enough."""
        self._promised.set(calls)

    def set_descriptors_used_up(self, *, used_up: bool) -> None:
        """Publish whether a file descriptor can be had."""
        self._used_up.set(used_up)

    def set_refused(self, directory: str, *, refused: bool) -> None:
        """Publish whether a directory takes no files; ``directory`` is what it is for."""
        self._refused.labels(directory).set(refused)

    def set_certificate(self, of: str, ends_at_s: float) -> None:
        """Publish when a certificate ends, Unix time."""
        self._certificate.labels(of).set(ends_at_s)
