"""Spans on their way out: to a real collector, and where a queue is full or a call crashes."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from bridge.clock import ManualClock, SystemClock
from bridge.config.tracing import TracingSettings
from bridge.telemetry.tracing.call import CallSpans
from bridge.telemetry.tracing.export import SpanQueue, Tracing
from tests.support.collector import collecting
from tests.support.ports import free_port
from tests.support.waiting import wait_until

FACTS = {"bridge.call_id": "call_1", "gen_ai.request.model": "m"}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Stuck(SpanExporter):
    """Hangs until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go.wait(60)
        return SpanExportResult.SUCCESS


async def test_a_real_collector_takes_the_spans_and_a_crashed_call_is_an_error(
    tmp_path: Path,
) -> None:
    port, counts = free_port(), Counter[str]()
    async with collecting() as behind:
        agent = await asyncio.create_subprocess_exec(
            str(files("rotel") / "rotel-agent"),
            "start",
            f"--otlp-http-endpoint=127.0.0.1:{port}",
            f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
            "--exporter=otlp",
            f"--otlp-exporter-endpoint={behind.url.removesuffix('/v1/traces')}",
            "--otlp-exporter-protocol=http",
            cwd=tmp_path,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        settings = TracingSettings(endpoint=f"http://127.0.0.1:{port}/v1/traces")
        tracing = Tracing(
            settings, {}, SystemClock(), version="1", count=lambda how, n: counts.update({how: n})
        )
        try:
            await wait_until(lambda: _listens(port), "the collector did not start")
            call = tracing.call(FACTS)
            call.take("answered", {})
            call.close()
            await wait_until(lambda: bool(behind.named("call")), "the collector passed it on")
        finally:
            tracing.close()
            agent.terminate()
            await agent.wait()
    [root], [connect], [setup] = (
        behind.named(name) for name in ("call", "session.connect", "setup")
    )
    assert root.status.code == connect.status.code == Status.STATUS_CODE_ERROR
    assert setup.status.code == Status.STATUS_CODE_UNSET
    assert connect.parent_span_id == root.span_id
    assert counts["exported"] == 3


async def test_a_full_queue_drops_spans_and_counts_them() -> None:
    counts, exporter = Counter[str](), Stuck()
    queue = SpanQueue(exporter, 100, lambda how, n: counts.update({how: n}))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    for _ in range(500):
        tracer.start_span("each").end()
    assert counts["dropped"] >= 500 - 100 - 64, "the queue holds 100, the exporter a batch"
    exporter.go.set()
    provider.shutdown()
    assert counts["dropped"] + counts["exported"] == 500


async def test_a_stepped_wall_clock_moves_no_span() -> None:
    ended: list[ReadableSpan] = []

    class Kept(SpanQueue):
        def on_end(self, span: ReadableSpan) -> None:
            ended.append(span)

    class Stepped(ManualClock):
        step_ns = 0

        def wall_ns(self) -> int:
            return super().wall_ns() - self.step_ns

    clock = Stepped()
    provider = TracerProvider(shutdown_on_exit=False)
    queue = Kept(Stuck(), 100, lambda how, n: None)
    provider.add_span_processor(queue)
    trace = CallSpans(provider.get_tracer("test"), clock, FACTS)
    clock.step_ns = 3_600_000_000_000
    clock.advance_ms(1000)
    trace.close()
    provider.shutdown()
    lengths = {span.name: (span.end_time or 0) - (span.start_time or 0) for span in ended}
    assert lengths["call"] == 1_000_000_000
