"""All metrics of one process, and their text exposition."""

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from datetime import UTC, date, datetime, time
from urllib.parse import urlsplit

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from bridge.clock import NS_PER_S
from bridge.telemetry.labels import (
    ReloadResult,
)
from bridge.telemetry.metrics.calls import CallMetrics, QueueMetrics, SupervisionMetrics
from bridge.telemetry.metrics.families import (
    LOOP_LAG_S,
    Families,
)
from bridge.telemetry.metrics.media import MediaMetrics
from bridge.telemetry.metrics.node import NodeMetrics, WorkerMetrics
from bridge.telemetry.metrics.rollouts import RolloutMetrics
from bridge.telemetry.metrics.sip import SipMetrics
from bridge.telemetry.metrics.store import ArchiveMetrics, StoreMetrics, audit_failures
from bridge.telemetry.metrics.tools import ToolMetrics
from bridge.telemetry.metrics.turns import TurnMetrics
from bridge.telemetry.metrics.upstream import UpstreamMetrics


class Format(enum.Enum):
    """The form of an exposition; the value is the content type."""

    TEXT = CONTENT_TYPE_LATEST
    OPEN_METRICS = openmetrics.CONTENT_TYPE_LATEST
    """With exemplars."""

    @classmethod
    def wanted(cls, accept: str) -> "Format":
        """Choose by an HTTP ``Accept`` header: OpenMetrics for whoever names it, as Prometheus."""
        named = {each.partition(";")[0].strip() for each in accept.split(",")}
        return cls.OPEN_METRICS if "application/openmetrics-text" in named else cls.TEXT


_OPEN_METRICS_END = b"# EOF\n"
_HEADER = re.compile(rb"\A(?:# .*\n)+")
_SAMPLES_A_PIECE = 60
"""With exemplars 0.7 ms; the stages of two arms' turns have 304."""


class Metrics:
    """All metrics of one process; build it once.

    Args:
        version: of the bridge, for ``bridge_build_info``.
    """

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._families = make = Families(self._registry)
        make.gauge("build_info", "Version, always 1.", "version").labels(version).set(1)
        self._arm_info = make.gauge(
            "arm_info", "Arms, always 1.", "arm", "dialect", "endpoint", "model"
        )
        self._shutdown = make.gauge(
            "arm_shutdown_timestamp_seconds",
            "Unix time from which on the arm's model is no more, where that is known.",
            *("arm", "model"),
        )
        self._reloaded = make.gauge(
            "config_last_reload_timestamp_seconds", "Unix time of the last good configuration."
        )
        self._reloads = make.counter(
            "dialplan_reloads_total", "Dialplans read again, or kept as bad ones came.", "result"
        )
        self._trunk_reloads = make.counter(
            "trunk_reloads_total", "Trunks put in force on request, or kept.", "result"
        )
        for result in ReloadResult:
            self._reloads.labels(result)
            self._trunk_reloads.labels(result)
        self._loop_lag = make.histogram("loop_lag_seconds", "How late the tick ran.", LOOP_LAG_S)
        self._tick = make.histogram("tick_seconds", "How long a tick worked.", LOOP_LAG_S)
        self._long_ticks = make.counter(
            "long_ticks_total", "Ticks that worked for longer than their period."
        )
        self._log_lines_left_out = make.counter(
            "log_lines_left_out_total", "Lines of log that came too often to be written.", "level"
        )
        for level in ("info", "warning", "error"):
            self._log_lines_left_out.labels(level)
        self.watch_tasks = make.gauge(
            "loop_tasks", "Asyncio tasks; without calls always as many."
        ).set_function
        self.sip = SipMetrics(make)
        self.calls = CallMetrics(make)
        self.queues = QueueMetrics(make)
        self.turns = TurnMetrics(make)
        self.upstream = UpstreamMetrics(make)
        self.media = MediaMetrics(make)
        self.tools = ToolMetrics(make)
        self.supervision = SupervisionMetrics(make)
        self.rollouts = RolloutMetrics(make)
        self.store = StoreMetrics(make)
        self.archive = ArchiveMetrics(make)
        self.node = NodeMetrics(make)

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The labels of every series by its full name (``..._bucket``, ``..._total``)."""
        return self._families.labels

    def set_arm(
        self, arm: str, *, dialect: str, url: str, model: str, shutdown: date | None = None
    ) -> None:
        """Publish an arm, and its series before its first call.

        Args:
            url: only scheme, host, port and path are shown.
            shutdown: first day without the model.
        """
        if shutdown is not None:
            self.set_shutdown(arm, model, shutdown)
        for each in (self.calls, self.turns, self.upstream, self.media):
            each.expect(arm)
        parts = urlsplit(url)
        endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._arm_info.labels(arm, dialect, endpoint, model).set(1)

    def set_shutdown(self, arm: str, model: str, day: date) -> None:
        """Publish the first day without an arm's model."""
        midnight = datetime.combine(day, time(), UTC)
        self._shutdown.labels(arm, model).set(midnight.timestamp())

    def config_loaded(self, wall_ns: int) -> None:
        """Publish when the configuration was last read."""
        self._reloaded.set(wall_ns / NS_PER_S)

    def dialplans_reloaded(self, result: ReloadResult) -> None:
        """Count an attempt to put other dialplans in force."""
        self._reloads.labels(result).inc()

    def trunks_reloaded(self, result: ReloadResult) -> None:
        """Count an attempt to put other trunks in force."""
        self._trunk_reloads.labels(result).inc()

    def loop_lag(self, late_ns: int) -> None:
        """Observe how late a tick ran."""
        self._loop_lag.observe(late_ns / NS_PER_S)

    def ticked(self, took_ns: int, period_ns: int) -> None:
        """Observe a tick's work; one that took longer than its period is counted, too."""
        self._tick.observe(took_ns / NS_PER_S)
        if took_ns > period_ns:
            self._long_ticks.inc()

    def log_lines_left_out(self, level: str, lines: int) -> None:
        """Count lines of log that were not written."""
        self._log_lines_left_out.labels(level).inc(lines)

    def render_parts(self, form: Format = Format.TEXT) -> Iterator[bytes]:
        """Yield an exposition, piece by piece; some are empty.

        All of it takes 7 ms for two arms (90 kB), 12 ms with exemplars, too long for the loop at
        once; a piece takes 0.8 ms. A worker thread is no way out: it could start the
        garbage collector outside the loop's thread (`ARCHITECTURE.md` section 2).
        """
        for family in self._registry.collect():
            yield b""  # collecting takes as long as writing
            for begin in range(0, max(len(family.samples), 1), _SAMPLES_A_PIECE):
                piece = copy(family)
                piece.samples = family.samples[begin : begin + _SAMPLES_A_PIECE]
                text = _write(piece, form)
                yield text if begin == 0 else _HEADER.sub(b"", text)
        if form is Format.OPEN_METRICS:
            yield _OPEN_METRICS_END

    def render(self, form: Format = Format.TEXT) -> tuple[bytes, str]:
        """Return an exposition in one piece and its content type."""
        return b"".join(self.render_parts(form)), form.value


class SupervisorMetrics:
    """Metrics of the process that runs several gateways; the gateways' own are asked of them.

    Args:
        states: all that a worker can be in.
        names: of all workers.
    """

    def __init__(self, states: Iterable[str], names: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self._families = make = Families(self._registry)
        self.workers = WorkerMetrics(make, states, names)
        self.audit_failed = audit_failures(make)

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The labels of every series by its full name."""
        return self._families.labels

    def render(self) -> str:
        """Return an exposition in Prometheus' text format."""
        return generate_latest(self._registry).decode()


def _write(family: Metric, form: Format) -> bytes:
    if form is Format.TEXT:
        return generate_latest(_OneFamily(family))
    text: bytes = openmetrics.generate_latest(  # type: ignore[no-untyped-call]  # as above
        _OneFamily(family)
    )
    return text.removesuffix(_OPEN_METRICS_END)


class _OneFamily(Collector):
    """A single family in the place of a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family
