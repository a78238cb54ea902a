"""Exports spans to a collector from a thread of its own; the loop never waits for it.

The exporter blocks for as long as a collector hangs, so it can't run in the loop. Its thread works
on small batches (:data:`_BATCH`), since Python's encoding of one holds the interpreter's lock.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from bridge.clock import Clock
from bridge.config.tracing import TracingSettings
from bridge.telemetry.tracing.call import CallSpans

log = structlog.get_logger(__name__)

_BATCH = 64
"""Spans encoded at once."""
_EVERY_S = 0.5
_CLOSE_WITHIN_S = 2.0


class SpanQueue(SpanProcessor):
    """A bounded queue of ended spans, emptied by a thread.

    Args:
        exporter: sends them; may block.
        most: spans that wait; a span that finds the queue full is dropped.
        count: counts spans, as (``exported``, ``failed`` or ``dropped``; how many).
    """

    def __init__(
        self, exporter: SpanExporter, most: int, count: Callable[[str, int], None]
    ) -> None:
        self._exporter = exporter
        self._most = most
        self._count = count
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._sending = 0
        self._closing = False
        self._full = self._failing = False
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that has ended."""
        if len(self._waiting) < self._most:
            self._full = False
            self._waiting.append(span)
            return
        self._count("dropped", 1)
        if not self._full:
            self._full = True
            log.warning("trace_queue_full", spans=self._most)

    def shutdown(self) -> None:
        """Send what waits, within two seconds."""
        self._closing = True
        self._wake.set()
        self._thread.join(_CLOSE_WITHIN_S)
        left = len(self._waiting) + self._sending
        self._waiting.clear()
        self._exporter.shutdown()
        if left:
            self._count("dropped", left)
            log.warning("traces_left", spans=left)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return whether nothing waits; the thread sends by itself."""
        return not self._waiting

    def _work(self) -> None:
        while not self._closing:
            self._wake.wait(_EVERY_S)
            self._send()
        self._send()

    def _send(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._sending = len(batch)
            try:
                good = self._exporter.export(batch) is SpanExportResult.SUCCESS
            except Exception as error:  # noqa: BLE001  # a collector must never end the thread
                log.warning("trace_export_broke", error=type(error).__name__)
                good = False
            self._sending = 0
            self._count("exported" if good else "failed", len(batch))
            if good is self._failing:
                self._failing = not good
                (log.info if good else log.warning)("traces_sent" if good else "traces_not_sent")


class Tracing:
    """Traces of one gateway's calls.

    Args:
        settings: with an endpoint.
        headers: that the collector gets.
        clock: of the spans.
        version: of the gateway, in the spans' resource.
        count: counts spans (:class:`SpanQueue`).
    """

    def __init__(
        self,
        settings: TracingSettings,
        headers: Mapping[str, str],
        clock: Clock,
        *,
        version: str,
        count: Callable[[str, int], None],
    ) -> None:
        # Our own lines say it once; the exporter's would come with each batch.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = OTLPSpanExporter(
            endpoint=settings.endpoint, headers=dict(headers), timeout=settings.timeout_s
        )
        names = {"service.name": settings.service_name, "service.version": version}
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample)),
            resource=Resource.create({**settings.resource, **names}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(SpanQueue(exporter, settings.queue_spans, count))
        self._tracer = self._provider.get_tracer("telephony-bridge", version)
        self._clock = clock

    def call(self, facts: Mapping[str, str]) -> CallSpans:
        """Begin the trace of a call; facts are attributes that hold no content."""
        return CallSpans(self._tracer, self._clock, facts)

    def close(self) -> None:
        """Send what waits; blocks for up to two seconds."""
        self._provider.shutdown()
