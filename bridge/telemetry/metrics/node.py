"""Metrics of the machine under this process: clocks, directories, limits, certificate; workers."""

from collections.abc import Iterable

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


class WorkerMetrics:
    """A machine's workers, as their supervisor sees them.

    Args:
        make: makes the families.
        states: all that a worker can be in.
        names: of all workers, the replacement's too.
    """

    def __init__(self, make: Families, states: Iterable[str], names: Iterable[str]) -> None:
        self._count = make.gauge("workers", "Workers of this machine, by state.", "state")
        self._deaths = make.counter(
            "worker_deaths_total",
            "Times that a worker ended without an order, or did not start.",
            "worker",
        )
        self._missed = make.counter(
            "worker_scrapes_missed_total",
            "Scrapes that a worker's metrics are missing from: its answer was late.",
            "worker",
        )
        self._states = tuple(states)
        self.set_states(())
        for name in names:
            self._deaths.labels(name)
            self._missed.labels(name)

    def set_states(self, found: Iterable[str]) -> None:
        """Publish the state of each worker."""
        found = list(found)
        for state in self._states:
            self._count.labels(state).set(found.count(state))

    def died(self, worker: str) -> None:
        """Count an end that nobody ordered."""
        self._deaths.labels(worker).inc()

    def scrape_missed(self, worker: str) -> None:
        """Count an answer for `/metrics` that did not come in time."""
        self._missed.labels(worker).inc()
