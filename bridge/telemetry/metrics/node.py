"""Metrics of the machine under this process: its clocks, directories, limits and certificate."""

from bridge.telemetry.metrics.families import Families


class NodeMetrics:
    """Troubles of this node that are nobody else's."""

    def __init__(self, make: Families) -> None:
        self.stopped = make.counter(
            "process_stops_total", "Times that the process stood still for a second or longer."
        ).inc
        self.clock_set = make.counter(
            "clock_sets_total", "Times that the wall clock was set by a second or more."
        ).inc
        self.set_promised = make.gauge(
            "calls_promised", "Calls that settings and PJSIP allow; the limit may be lower."
        ).set
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
        self._spans = make.counter(
            "trace_spans_total",
            "Spans that a collector took, or that were lost.",
            "result",
        )
        for result in ("exported", "failed", "dropped"):
            self._spans.labels(result)

    def count_spans(self, result: str, spans: int) -> None:
        """Count spans that were ``exported``, ``failed`` with a collector or ``dropped``."""
        self._spans.labels(result).inc(spans)

    def set_descriptors_used_up(self, *, used_up: bool) -> None:
        """Publish whether a file descriptor can be had."""
        self._used_up.set(used_up)

    def set_refused(self, directory: str, *, refused: bool) -> None:
        """Publish whether a directory takes no files; ``directory`` is what it is for."""
        self._refused.labels(directory).set(refused)

    def set_certificate(self, of: str, ends_at_s: float) -> None:
        """Publish when a certificate ends, Unix time."""
        self._certificate.labels(of).set(ends_at_s)
