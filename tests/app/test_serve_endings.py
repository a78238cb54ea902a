"""How calls end on a gateway that runs as a process: signals, CANCEL, lost sessions, refusals."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.support.gateways import (
    PLAIN_AGENT,
    CallsInRedis,
    Gateway,
    serving,
    write_dialplan,
    write_settings,
)
from tests.support.machine import Timing
from tests.support.processes import spawn
from tests.support.relay import relaying, silent_server
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

MOST_CALLS = 4
"""What the pip wheel of PJSIP holds (`PJSIP.md`)."""

GRACE_S = 5.0
"""`shutdown_grace_s` as it comes."""


@pytest.fixture(scope="module")
def gateway(
    simulator: str, redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that no test ends, with a dialplan for `support` alone."""
    directory = tmp_path_factory.mktemp("gateway")
    dialplans = write_dialplan(directory / "dialplans", match=[{"called": "support"}])
    with serving(directory, simulator, dialplans, redis_url=redis.url) as started:
        yield started


ENDING = [(signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)]
"""Signals that end the calls now: SIGTERM alone waits for them."""


@pytest.mark.parametrize("told", ENDING, ids=lambda told: "-".join(each.name for each in told))
async def test_signals_end_the_call_in_order(
    told: tuple[signal.Signals, ...],
    simulator: str,
    redis: LocalRedis,
    shipped_dialplans: Path,
    tmp_path: Path,
    timing: Timing,
) -> None:
    async with relaying(simulator) as (relay, url), CallsInRedis(redis.url) as calls:
        with serving(
            tmp_path, url, shipped_dialplans, preflight=False, redis_url=redis.url
        ) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                await caller.until(lambda: any(each.loud for each in caller.heard))
                call_id = await calls.until_active(gateway.node)
                for number in told[:-1]:
                    gateway.process.tell(number)
                    await gateway.until_ready(503, "draining")
                told_s = time.monotonic()

                gateway.process.tell(told[-1])

                await asyncio.wait_for(caller.ended.wait(), 60)
                assert await gateway.process.ended() == 0
                took_s = time.monotonic() - told_s
                await wait_until(lambda: relay.close_codes, "the session was not closed")
                state = await calls.reader.call(call_id)
                record = await gateway.record_of(call_id)
                assert gateway.process.processes == []
                assert await calls.reader.node(gateway.node) is None
                assert await calls.reader.active() == []
    print(f"{told[-1].name} to exit: {took_s:.2f} s")
    timing.check("end", took_s * 1000, most_ms=GRACE_S * 1000)
    assert relay.close_codes == [1000]
    assert state is not None
    assert (state["phase"], state["outcome"]) == ("ended", "shutdown")
    assert (record["outcome"], record["reason"]) == ("shutdown", "shutdown")


async def test_an_idle_gateway_with_its_own_redis_leaves_nothing(
    simulator: str, shipped_dialplans: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, simulator, shipped_dialplans) as gateway:
        assert len(gateway.process.processes) == 2  # it, and the Redis that it started
        gateway.process.tell(signal.SIGTERM)
        assert await gateway.process.ended(GRACE_S) == 0
        assert gateway.process.processes == []
        assert gateway.process.litter == []
        assert gateway.process.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
async def test_a_signal_while_it_starts_leaves_nothing(
    number: signal.Signals, shipped_dialplans: Path, tmp_path: Path
) -> None:
    async with silent_server() as (url, connected):
        settings = write_settings(tmp_path, url, shipped_dialplans)
        process = spawn("serve", "--config", str(settings), "--json", directory=tmp_path)
        try:
            await asyncio.wait_for(connected.wait(), 60)  # it waits for the arm's session
            process.tell(number)
            assert await process.ended(GRACE_S) == 0
            assert process.processes == []
            assert process.litter == []
            assert process.stderr == ""
        finally:
            process.end()


@pytest.mark.parametrize("told", ENDING, ids=lambda told: "-".join(each.name for each in told))
async def test_one_more_signal_ends_it_at_once(
    told: tuple[signal.Signals, ...], simulator: str, shipped_dialplans: Path, tmp_path: Path
) -> None:
    async with relaying(simulator) as (relay, url):
        with serving(tmp_path, url, shipped_dialplans, preflight=False) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                relay.freeze()
                for number in told[:-1]:
                    gateway.process.tell(number)
                    await gateway.until_ready(503, "draining")
                gateway.process.tell(told[-1])
                await asyncio.wait_for(caller.ended.wait(), GRACE_S)
                gateway.process.tell(signal.SIGTERM)
                assert await gateway.process.ended() == -signal.SIGTERM
            await wait_until(lambda: not gateway.process.processes, "its Redis lives on")


async def test_readiness_turns_while_calls_end_and_new_ones_are_refused(
    simulator: str, shipped_dialplans: Path, tmp_path: Path
) -> None:
    async with relaying(simulator) as (relay, url):
        with serving(tmp_path, url, shipped_dialplans, preflight=False) as gateway:
            assert await gateway.get("/healthz") == (200, '{"status":"ok"}')
            assert (await gateway.get("/readyz"))[0] == 200
            async with RtpCaller(gateway.sip_port) as caller, RtpCaller(gateway.sip_port) as late:
                assert await caller.call() == 200
                relay.freeze()  # the session's close takes its whole timeout

                gateway.process.tell(signal.SIGINT)
                await asyncio.wait_for(caller.ended.wait(), GRACE_S)

                status, body = await gateway.get("/readyz")
                assert (status, "shutting down" in body) == (503, True)
                assert (await gateway.get("/healthz"))[0] == 200
                assert await late.call() == 503
                assert "Shutting Down" in late.final
                assert late.header("Retry-After") == "10"
            assert await gateway.process.ended(GRACE_S) == 0
            assert gateway.process.processes == []


async def test_a_caller_who_gives_up_before_the_answer_is_cancelled(
    tmp_path: Path, redis: LocalRedis
) -> None:
    async with silent_server() as (url, _), CallsInRedis(redis.url) as calls:
        dialplans = write_dialplan(tmp_path / "dialplans")
        with serving(tmp_path, url, dialplans, preflight=False, redis_url=redis.url) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                caller.invite()
                await caller.ringing()
                call_id = await calls.until_active(gateway.node)
                caller.cancel()
                assert await caller.answered() == 487  # RFC 3261 section 21.4.25
                record = await gateway.record_of(call_id)
                state = await calls.until_ended(call_id)
    assert (record["outcome"], record["fault"]) == ("cancelled", "caller")
    assert state["outcome"] == "cancelled"


async def test_a_session_that_does_not_come_in_time_gives_503(tmp_path: Path) -> None:
    async with silent_server() as (url, _):
        dialplans = write_dialplan(tmp_path / "dialplans", limits={"session_ready_s": 0.7})
        with serving(tmp_path, url, dialplans, preflight=False) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 503
            (record,) = await gateway.records(1)
            metrics = await gateway.metrics()
            logged = gateway.process.logged
    assert (record["outcome"], record["fault"], record["reason"]) == (
        *("session_unavailable", "provider"),
        "timeout",
    )
    ended = metrics.value(
        "bridge_calls_ended_total", outcome="session_unavailable", reason="timeout"
    )
    assert ended == 1
    assert metrics.value("bridge_calls_active") == 0
    assert [each["reason"] for each in logged if each["event"] == "call_ended"] == ["timeout"]


async def test_a_session_that_breaks_is_had_again_in_the_call(
    simulator: str, tmp_path: Path
) -> None:
    async with relaying(simulator) as (relay, url):
        dialplans = write_dialplan(
            tmp_path / "dialplans", {**PLAIN_AGENT, "greeting": "Hello there."}
        )
        with serving(tmp_path, url, dialplans, preflight=False) as gateway:
            async with RtpCaller(gateway.sip_port) as caller:
                assert await caller.call() == 200
                (broken,) = relay.sessions
                relay.cut()
                await wait_until(lambda: bool(relay.sessions - {broken}), "no new session")
                await wait_until(lambda: broken not in relay.sessions, "the old one stays")
                await caller.until(lambda: any(each.loud for each in caller.heard))
                await caller.hang_up()
            (record,) = await gateway.records(1)
            metrics = await gateway.metrics()
    assert (record["outcome"], record["fault"]) == ("completed", "none")
    assert [each["code"] for each in record["failures"]] == ["close_1006"]
    assert metrics.value("bridge_upstream_disconnects_total", phase="talk") == 1
    assert metrics.value("bridge_upstream_connect_attempts_total") == 2


async def test_a_number_without_a_dialplan_gives_404(gateway: Gateway) -> None:
    before = await gateway.metrics()
    async with RtpCaller(gateway.sip_port) as caller:
        assert await caller.call("sales") == 404
    refused = {"outcome": "rejected_no_route", "reason": "no_route"}
    after = await gateway.metrics()
    counted = "bridge_calls_ended_total"
    assert after.value(counted, **refused) - before.value(counted, **refused) == 1


async def test_the_last_line_may_be_freed_and_taken_at_once(gateway: Gateway) -> None:
    async with AsyncExitStack() as stack:
        callers = [
            await stack.enter_async_context(RtpCaller(gateway.sip_port))
            for _ in range(MOST_CALLS + 1)
        ]
        *first, late = callers
        for caller in first:
            assert await caller.call() == 200
        for leaving in first:
            # One tick finds both, so PJSUA's only free slot is taken again before the gateway has
            # let go of the call that was in it.
            leaving.send_bye()
            late.invite()
            assert await late.answered() == 200
            late = await stack.enter_async_context(RtpCaller(gateway.sip_port))
