"""A service that is away: the caller hears a tone, and the call ends when the time is up."""

import asyncio
import time
from itertools import pairwise

import pytest

from tests.live.conftest import StartGateway
from tests.live.odd_service import DIALECTS, OddService, no_sooner, odd_service
from tests.live.talk import DEAD_AIR_MS
from tests.support.machine import Timing
from tests.support.rtp_caller import RtpCaller

pytestmark = [pytest.mark.sip, pytest.mark.redis]


def silence_ms(caller: RtpCaller, since_ns: int) -> float:
    loud = [since_ns, *(each.arrived_ns for each in caller.heard if each.loud)]
    loud = sorted(at_ns for at_ns in loud if at_ns >= since_ns)
    return max((later - before for before, later in pairwise(loud)), default=0) / 1e6


async def greeted(caller: RtpCaller, service: OddService) -> None:
    assert await caller.call() == 200
    await caller.until(lambda: any(each.loud for each in caller.heard))
    await caller.until(lambda: not any(each.loud for each in caller.heard[-10:]))
    assert service.requests == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_call_outlives_refused_connections(start_gateway: StartGateway, dialect: str) -> None:
    async with odd_service(dialect) as service:
        gateway, port = await start_gateway(service.url, dialect=dialect)
        async with RtpCaller(port) as caller:
            await greeted(caller, service)
            (runner,) = gateway.calls
            gone_ns = time.monotonic_ns()
            await service.leave()
            await no_sooner(gone_ns + 5_000_000_000)
            assert not caller.ended.is_set()
            await service.come()
            await caller.until(lambda: len(service.updates) == 2)
            print(f"longest silence {silence_ms(caller, gone_ns):.0f} ms")
            await caller.hang_up()
            await asyncio.gather(*gateway.calls.values())
    summary = runner.record.summary
    assert summary.outcome == "completed"
    assert "refused" in {each.code for each in summary.failures}


async def test_call_ends_when_the_time_for_an_outage_does(
    start_gateway: StartGateway, timing: Timing
) -> None:
    async with odd_service("ga") as service:
        gateway, port = await start_gateway(
            service.url, dialplan={"recovery": {"max_outage_s": 4, "max_failures": 2}}
        )
        async with RtpCaller(port) as caller:
            await greeted(caller, service)
            (runner,) = gateway.calls
            gone_ns = time.monotonic_ns()
            await service.leave()
            await caller.until(lambda: bool(runner.record.summary.failures))
            await caller.until(caller.ended.is_set)
            lasted_s = (time.monotonic_ns() - gone_ns) / 1e9
            quiet_ms = silence_ms(caller, gone_ns)
            await asyncio.gather(*gateway.calls.values())
    assert runner.record.summary.outcome == "session_lost"
    # After the time an apology is spoken, and the call ends.
    timing.check("outage", lasted_s * 1000, least_ms=3_400, most_ms=10_000)
    timing.check("silence", quiet_ms, most_ms=DEAD_AIR_MS)
