"""Traces of calls over real SIP, at a collector that decodes them by itself."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from bridge.audio.resample import downsample_whole
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from tests.support.collector import attribute, collecting
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.hook import hook
from tests.support.machine import Timing
from tests.support.person import a_person
from tests.support.ports import free_port
from tests.support.processes import SIMULATOR_KEY
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

QUESTION = "How much is my invoice?"

Serve = Callable[..., AbstractContextManager[Gateway]]


@pytest.fixture
def serve(simulator: str, redis: LocalRedis, tmp_path: Path) -> Serve:
    """Run a gateway on a directory of dialplans, with sections of settings."""
    environ = {"SIM_KEY": SIMULATOR_KEY}
    return partial(serving, tmp_path, simulator, redis_url=redis.url, environ=environ)


async def test_a_call_is_one_trace_and_its_webhook_joins_it(
    serve: Serve, redis: LocalRedis, tmp_path: Path
) -> None:
    async def answer() -> web.StreamResponse:
        return web.json_response({"amount": "forty two", "due": "Monday"})

    key = tmp_path / "key"
    key.write_text("collector-secret\n")
    async with hook(answer) as endpoint, collecting() as collector:
        tool = {
            "name": "lookup_invoice",
            "description": "Look up the caller's invoice.",
            "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
            "webhook": {"url": endpoint.url, "allow_private": True, "retries": 0},
        }
        tracing = {"endpoint": collector.url, "headers": {"X-Key": {"file": str(key)}}}
        dialplans = write_dialplan(tmp_path / "dialplans", {**PLAIN_AGENT, "tools": [tool]})
        with serve(
            dialplans,
            tracing=tracing,
        ) as gateway:
            async with CallsInRedis(redis.url) as calls, RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                call_id = await calls.until_active(gateway.node)
                caller.speak(downsample_whole(Synthesizer("en-us", 150).say(QUESTION)))
                await calls.until_spoken(call_id, "agent", 2)
                await caller.hang_up()
                await calls.until_ended(call_id)
            await wait_until(lambda: bool(collector.named("call")), "the call's span")
    [root] = collector.named("call")
    assert {span.trace_id for span in collector.spans} == {root.trace_id}
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in collector.spans)
    names = {span.name for span in collector.spans}
    assert {"setup", "session.connect", "session", "turn", "stage.model", "stage.playback"} <= names
    [chat, *_] = [span for span in collector.spans if span.name.startswith("chat ")]
    attributes = {each.key: each.value for each in chat.attributes}
    assert attributes["gen_ai.operation.name"].string_value == "chat"
    assert attributes["gen_ai.usage.input_tokens"].int_value > 0
    [run] = collector.named("execute_tool lookup_invoice")
    [(headers, _)] = endpoint.came
    lower = {name.lower(): value for name, value in headers.items()}
    version, trace, parent, flags = lower["traceparent"].split("-")
    assert (version, trace, parent) == ("00", run.trace_id.hex(), run.span_id.hex())
    assert int(flags, 16) & 1, "it says that the call is sampled"
    assert collector.headers["x-key"] == "collector-secret"
    for said in (b"invoice?", b"forty", b"sip:", b"Monday"):
        assert said not in collector.raw


@pytest.mark.parametrize("mood", ["refused", "hang", "400", "503"])
async def test_a_collector_that_misbehaves_harms_no_call(
    serve: Serve, tmp_path: Path, mood: str
) -> None:
    async with collecting() as collector:
        collector.mood = mood
        nobody = f"http://127.0.0.1:{free_port()}/v1/traces"
        with serve(
            write_dialplan(tmp_path / "dialplans"),
            tracing={"endpoint": nobody if mood == "refused" else collector.url, "timeout_s": 1},
        ) as gateway:
            for _ in range(2):
                async with RtpCaller(gateway.sip_port) as caller:
                    assert await caller.call() == 200
                    await caller.hang_up()
            records = await gateway.records(2)
            await _until_counted(gateway, "failed")
    assert [record["outcome"] for record in records] == ["completed"] * 2
    assert (collector.asked > 0) is (mood != "refused")
    assert gateway.process.stderr.count('"traces_not_sent"') == 1


async def test_a_collector_that_hangs_is_not_heard_and_holds_no_end(
    serve: Serve, tmp_path: Path, timing: Timing
) -> None:
    async with collecting() as collector:
        collector.mood = "hang"
        with serve(
            write_dialplan(tmp_path / "dialplans"),
            tracing={"endpoint": collector.url, "timeout_s": 60},
        ) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                await wait_until(lambda: collector.asked > 0, "the collector got nothing")
                before = len(caller.heard)
                await caller.until(lambda: len(caller.heard) >= before + 200)
                arrived_ns = [each.arrived_ns for each in caller.heard[before:]]
                await caller.hang_up()
            await gateway.records(1)
            begun_ns = time.monotonic_ns()
            gateway.process.tell(signal.SIGINT)
            assert await gateway.process.ended() == 0
            took_ms = (time.monotonic_ns() - begun_ns) / 1e6
        assert collector.asked == 1, "it hangs still"
    gap_ms = max(later - earlier for earlier, later in pairwise(arrived_ns)) / 1e6
    timing.check("gap", gap_ms, most_ms=100)
    timing.check("end", took_ms, most_ms=8_000)
    assert '"traces_left"' in gateway.process.stderr


async def test_a_collector_that_comes_back_in_mid_call_gets_the_rest(
    serve: Serve, tmp_path: Path
) -> None:
    port = free_port()
    with serve(
        write_dialplan(tmp_path / "dialplans"),
        tracing={"endpoint": f"http://127.0.0.1:{port}/v1/traces", "timeout_s": 1},
    ) as gateway:
        async with RtpCaller(gateway.sip_port) as caller:
            async with collecting(port) as before:
                assert await caller.call() == 200
                await wait_until(lambda: bool(before.named("setup")), "the call's first spans")
            async with RtpCaller(gateway.sip_port) as other:
                assert await other.call() == 200
                await other.hang_up()
            await _until_counted(gateway, "failed")
            async with collecting(port) as after:
                assert not caller.ended.is_set()
                await caller.hang_up()
                await wait_until(lambda: bool(after.named("call")), "the call's own span")
        records = await gateway.records(2)
    assert [record["outcome"] for record in records] == ["completed"] * 2
    [root] = [span for span in after.named("call") if not span.parent_span_id]
    assert {span.trace_id for span in before.named("setup")} == {root.trace_id}
    stderr = gateway.process.stderr
    assert (stderr.count('"traces_not_sent"'), stderr.count('"traces_sent"')) == (1, 1)


async def _until_counted(gateway: Gateway, result: str) -> None:
    async def counted() -> bool:
        metrics = await gateway.metrics()
        return metrics.value("bridge_trace_spans_total", result=result) > 0

    await wait_until(counted, f"no span was counted as {result}")


@pytest.mark.parametrize("status", [200, 486])
async def test_an_arm_by_sip_is_a_span(serve: Serve, tmp_path: Path, status: int) -> None:
    port, plans = free_port(), tmp_path / "dialplans"
    bare = {"instructions": "At the vendor's.", "language": "en"}
    write_dialplan(plans, bare, name="out", called="out", arm="out")
    async with collecting() as collector:
        with serve(
            plans,
            arms={"out": {"sip": f"sip:agent@127.0.0.1:{port}"}},
            tracing={"endpoint": collector.url},
        ) as gateway:
            async with (
                a_person(gateway.sip_port, port, status) as vendor,
                RtpCaller(gateway.sip_port) as caller,
            ):
                answer = await caller.call("out")
                if status == 200:
                    await caller.hang_up()
                    await wait_until(vendor.call.ended.is_set, "the vendor's BYE")
                await gateway.records(1)
            await wait_until(lambda: bool(collector.named("call")), "the call's span")
    assert answer == (200 if status == 200 else 503)
    names = {span.name for span in collector.spans}
    [root] = collector.named("call")
    first = collector.named("sip_arm")[0]
    assert first.parent_span_id == root.span_id
    assert attribute(root, "bridge.dialect") == "sip"
    assert attribute(first, "bridge.way") == ("bridged" if status == 200 else "")
    assert attribute(first, "error.type") == ("" if status == 200 else "sip_486")
    assert not {"session.connect", "session"} & names
    assert b"agent@" not in collector.raw


async def test_without_a_collector_a_call_loads_nothing_of_traces(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    with serving(
        tmp_path,
        simulator,
        write_dialplan(tmp_path / "dialplans"),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY, "PYTHONPROFILEIMPORTTIME": "1"},
    ) as gateway:
        async with RtpCaller(gateway.sip_port) as caller:
            assert await caller.call() == 200
            await caller.hang_up()
        await gateway.records(1)
        written = gateway.process.stderr
    imported = [line.rpartition("|")[2].strip() for line in written.splitlines() if "|" in line]
    assert {"bridge.app.gateway", "redis.asyncio"} <= set(imported)
    # FastAPI can't go without the API. A package that is loaded has parts, so what redis-py asks
    # for without getting it stands alone.
    off = ("opentelemetry.sdk.", "opentelemetry.exporter", "google", "bridge.telemetry.tracing")
    loaded = [name for name in imported if name.startswith(off)]
    assert [name for name in loaded if name != "opentelemetry.sdk.metrics"] == []
