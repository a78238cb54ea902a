"""Spans on their way out: to a real collector, and where a queue is full or a call crashes."""

import asyncio
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from bridge.clock import ManualClock, SystemClock
from bridge.config.tracing import TracingSettings
from bridge.telemetry.tracing.call import CallSpans, Fields
from bridge.telemetry.tracing.export import SpanQueue, Tracing
from tests.support.collector import collecting
from tests.support.machine import Timing
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


@dataclass
class Spans:
    """A call's spans on a clock that the test moves."""

    call: CallSpans
    clock: ManualClock
    ended: InMemorySpanExporter

    def lengths(self) -> dict[str, list[float]]:
        """Return the lengths of all spans, ms, by name; the call is over."""
        found: dict[str, list[float]] = {}
        for span in self.ended.get_finished_spans():
            ms = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
            found.setdefault(span.name, []).append(ms)
        return found

    def named(self, name: str) -> ReadableSpan:
        """Return the one span of a name."""
        [span] = [each for each in self.ended.get_finished_spans() if each.name == name]
        return span

    def error_of(self, name: str) -> object:
        """Return a span's error, None where it has none."""
        span = self.named(name)
        error = (span.attributes or {}).get("error.type")
        assert (span.status.status_code is StatusCode.ERROR) == (error is not None)
        return error


def spans(clock: ManualClock | None = None, dialect: str = "ga") -> Spans:
    ended, clock = InMemorySpanExporter(), clock or ManualClock()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    call = CallSpans(provider.get_tracer("test"), clock, {**FACTS, "bridge.dialect": dialect})
    return Spans(call, clock, ended)


CLOSED = {"outcome": "completed", "fault": "none", "reason": "caller_hung_up"}


def test_a_stepped_wall_clock_moves_no_span() -> None:
    class Stepped(ManualClock):
        step_ns = 0

        def wall_ns(self) -> int:
            return super().wall_ns() - self.step_ns

    clock = Stepped()
    trace = spans(clock)
    clock.step_ns = 3_600_000_000_000
    clock.advance_ms(1000)
    trace.call.close()
    assert trace.lengths()["call"] == [1000]


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        ("handoff_completed", {"way": "warm", "took_ms": 700}, None),
        ("handoff_failed", {"way": "warm", "reason": "declined", "took_ms": 700}, "declined"),
    ],
)
def test_a_handoff_lasts_until_it_is_accepted_or_fails(
    kind: str, fields: Fields, error: str | None
) -> None:
    trace = spans()
    started = {"to": "sip:ann@example.org", "target": "ann", "way": "warm", "text": "Order 4711"}
    trace.call.take("handoff_started", started)
    trace.clock.advance_ms(700)
    trace.call.take(kind, fields)
    trace.clock.advance_ms(5000)
    trace.call.take("closed", CLOSED)
    trace.call.close()
    assert trace.lengths()["handoff"] == [700]
    assert trace.error_of("handoff") == error
    assert trace.named("handoff").parent == trace.named("call").context
    for each in trace.ended.get_finished_spans():
        assert "4711" not in each.to_json()
        assert "example.org" not in each.to_json()


def test_an_arm_by_sip_is_one_span_and_no_session() -> None:
    trace = spans(dialect="sip")
    trace.clock.advance_ms(1500)
    trace.call.take("agent_reached", {"way": "bridged", "took_ms": 1200})
    trace.clock.advance_ms(5000)
    trace.call.take("closed", CLOSED)
    trace.call.close()
    assert trace.lengths()["sip_arm"] == [1500]
    assert trace.error_of("sip_arm") is None
    assert (trace.named("sip_arm").attributes or {})["bridge.way"] == "bridged"
    assert not {"session.connect", "session"} & trace.lengths().keys()


def test_an_arm_by_sip_that_fails_is_rescued_by_a_session() -> None:
    trace = spans(dialect="sip")
    trace.clock.advance_ms(400)
    trace.call.take("session_lost", {"code": "http_486", "attempt": 1})
    trace.call.take("rescued", {"arm": "out", "by": "local", "code": "http_486"})
    trace.clock.advance_ms(250)
    trace.call.take("session_taken", {"model": "m"})
    trace.clock.advance_ms(5000)
    trace.call.take("closed", CLOSED)
    trace.call.close()
    lengths = trace.lengths()
    assert (lengths["sip_arm"], lengths["session.recovery"]) == ([400], [250])
    assert trace.error_of("sip_arm") == "http_486"
    assert lengths["session"] == [5000]
    assert "rescued" in {each.name for each in trace.named("call").events}


def test_a_session_that_an_arm_by_sip_rescues_ends_in_that() -> None:
    trace = spans()
    trace.clock.advance_ms(400)
    trace.call.take("session_lost", {"code": "http_503", "attempt": 1})
    trace.clock.advance_ms(900)
    trace.call.take("agent_reached", {"way": "bridged", "took_ms": 800})
    trace.call.take("closed", CLOSED)
    trace.call.close()
    lengths = trace.lengths()
    assert (lengths["sip_arm"], lengths["session.recovery"]) == ([800], [900])
    assert trace.error_of("session.connect") == "http_503"


def test_a_recovery_lasts_through_all_attempts_and_names_each() -> None:
    trace = spans()
    trace.call.take("session_taken", {"model": "m"})
    trace.clock.advance_ms(2000)
    for attempt, code in enumerate(("close_1006", "http_503", "http_503"), start=1):
        trace.call.take("session_lost", {"code": code, "attempt": attempt})
        trace.clock.advance_ms(100)
    trace.call.take("session_taken", {"model": "m"})
    trace.call.take("session_restored", {"outage_ms": 300})
    trace.clock.advance_ms(1000)
    trace.call.take("closed", CLOSED)
    trace.call.close()
    lengths = trace.lengths()
    assert (lengths["session"], lengths["session.recovery"]) == ([2000, 1000], [300])
    attempts = [
        ((each.attributes or {})["bridge.attempt"], (each.attributes or {})["error.type"])
        for each in trace.named("session.recovery").events
    ]
    assert attempts == [(1, "close_1006"), (2, "http_503"), (3, "http_503")]


def test_a_recovery_that_never_ends_is_no_success() -> None:
    trace = spans()
    trace.call.take("session_lost", {"code": "http_503", "attempt": 1})
    trace.clock.advance_ms(100)
    trace.call.take(
        "closed", {"outcome": "session_lost", "fault": "provider", "reason": "http_503"}
    )
    trace.call.close()
    assert trace.error_of("session.recovery") == "http_503"
    assert trace.error_of("call") == "http_503"


async def test_a_share_of_calls_is_sampled_each_of_them_whole() -> None:
    async with collecting() as collector:
        settings = TracingSettings(endpoint=collector.url, sample=0.25)
        tracing = Tracing(settings, {}, SystemClock(), version="1", count=lambda how, n: None)
        said: dict[str, bool] = {}
        for _ in range(400):
            call = tracing.call(FACTS)
            call.take("tool_began", {"tool": "t", "tool_call": "c"})
            [(name, value)] = call.headers_of("c").items()
            call.take("closed", CLOSED)
            call.close()
            w3c = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", value)
            assert w3c is not None, value
            assert name == "traceparent"
            said[w3c[1]] = bool(int(w3c[3], 16) & 1)
        await asyncio.to_thread(tracing.close)
    sampled = {trace for trace, flag in said.items() if flag}
    assert len(said) == 400
    assert 50 < len(sampled) < 150, "four standard deviations of 100 are 35"
    assert {span.trace_id.hex() for span in collector.named("call")} == sampled
    assert len(collector.spans) == 4 * len(sampled)


def test_a_collector_that_hangs_holds_an_end_for_two_seconds_and_what_it_lost_is_counted(
    timing: Timing,
) -> None:
    counts, exporter = Counter[str](), Stuck()
    queue = SpanQueue(exporter, 1000, lambda how, n: counts.update({how: n}))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    for _ in range(100):
        tracer.start_span("each").end()
    begun_ns = time.monotonic_ns()
    provider.shutdown()
    took_ms = (time.monotonic_ns() - begun_ns) / 1e6
    lost = counts["dropped"]
    exporter.go.set()
    timing.check("end", took_ms, least_ms=1900, most_ms=2500)
    assert lost == 100
