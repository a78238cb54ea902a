"""A call with a peer that the test plays: what its caller hears, and what is known of it after."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

from bridge.app.gateway import Gateway
from bridge.config.settings import RedisSettings
from bridge.live.call import CallRunner
from bridge.live.records.summary import CallSummary
from bridge.store.local import LocalRedis
from bridge.store.reader import CallReader
from tests.live.conftest import StartGateway
from tests.live.peer import TONE_HZ, TonePeer
from tests.live.service import Service, tone_service
from tests.support.rtp_caller import RtpCaller

DEAD_AIR_MS = 2_000
"""A longer silence is dead air (`NEEDS.md` section 5)."""


@dataclass
class Talk:
    """A call whose agent has begun its greeting."""

    caller: RtpCaller
    service: Service
    first: TonePeer
    gateway: Gateway
    runner: CallRunner

    def longest_silence_ms(self, since_ns: int = 0) -> float:
        """From the first loud packet (after ``since_ns``) to the last, as it came over the wire."""
        loud = [each.arrived_ns for each in self.caller.heard if each.loud]
        loud = [at_ns for at_ns in loud if at_ns >= since_ns]
        return max((later - at_ns for at_ns, later in pairwise(loud)), default=0) / 1e6

    @property
    def loud(self) -> int:
        """Loud packets that the caller has heard."""
        return sum(each.loud for each in self.caller.heard)

    async def heard_loud(self, packets: int, *, since: int | None = None) -> None:
        """Wait for so many more loud packets.

        Args:
            packets: how many.
            since: :attr:`loud` from which they count; where there are only so many to come, it is
                taken before what brings them. None for now.
        """
        count = (self.loud if since is None else since) + packets
        await self.caller.until(lambda: self.loud >= count)

    async def silent(self, packets: int = 10) -> None:
        """Wait until the last packets are silent."""
        await self.caller.until(
            lambda: (
                len(self.caller.heard) > packets
                and not any(each.loud for each in self.caller.heard[-packets:])
            )
        )

    async def over(self) -> CallSummary:
        """Wait for the call's end; return its record."""
        await asyncio.gather(*self.gateway.calls.values())
        return self.runner.record.summary


@asynccontextmanager
async def talking(
    start_gateway: StartGateway,
    *,
    greeting_ms: int,
    tone_hz: float = TONE_HZ,
    life_s: float | None = None,
    environ: dict[str, str] | None = None,
    dialplan: Mapping[str, object] | None = None,
    sip: Mapping[str, object] | None = None,
    tracing: Mapping[str, object] | None = None,
    **arm: object,
) -> AsyncIterator[Talk]:
    """Place a call and let the agent greet; at the end nothing may be left of it."""
    async with tone_service() as (service, url):
        service.tone_ms, service.tone_hz, service.life_s = greeting_ms, tone_hz, life_s
        gateway, port = await start_gateway(
            url, environ=environ, dialplan=dialplan, sip=sip, tracing=tracing, **arm
        )
        idle = set(asyncio.all_tasks())
        async with RtpCaller(port) as caller:
            assert await caller.call() == 200
            (runner,) = gateway.calls
            talk = Talk(caller, service, await service.session(1), gateway, runner)
            await talk.heard_loud(1)
            yield talk
        await asyncio.gather(*gateway.calls.values())
        left = {
            task.get_name()
            for task in asyncio.all_tasks() - idle
            if runner.record.summary.call_id in task.get_name()
            or task.get_name().startswith("realtime")
        }
        assert left == set()


async def redis_events(redis: LocalRedis, summary: CallSummary) -> list[dict[str, str]]:
    async with CallReader(RedisSettings(), redis.url) as reader:
        async with asyncio.timeout(5):
            while True:
                events = [fields for _, fields in await reader.events(summary.call_id)]
                if any(fields["kind"] == "ended" for fields in events):
                    return events
                await asyncio.sleep(0.05)


async def redis_call(redis: LocalRedis, summary: CallSummary) -> dict[str, str]:
    """Return the call's hash once the call has ended there, too."""
    await redis_events(redis, summary)
    async with CallReader(RedisSettings(), redis.url) as reader:
        return await reader.call(summary.call_id) or {}


@asynccontextmanager
async def placed(
    start_gateway: StartGateway, url: str, fallback: Mapping[str, object]
) -> AsyncIterator[tuple[Gateway, RtpCaller]]:
    """Start a gateway whose dialplan has this fallback, and a caller who has not called yet."""
    gateway, port = await start_gateway(url, dialplan={"fallback": fallback})
    async with RtpCaller(port) as caller:
        yield gateway, caller
