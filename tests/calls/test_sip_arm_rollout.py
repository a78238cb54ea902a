"""A rollout from a Realtime arm to one that is a SIP URI, judged by real calls."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from bridge.config.settings import RedisSettings
from bridge.routing.rollout.changes import set_share
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import Halt, RolloutState
from bridge.routing.rollout.verdict import NOT_SEEN
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore, Signature
from tests.support.gateways import ARM, Gateway, serving, write_dialplan
from tests.support.person import a_person
from tests.support.ports import free_port
from tests.support.processes import SIMULATOR_KEY
from tests.support.rtp_caller import RtpCaller

pytestmark = [
    pytest.mark.sip,
    pytest.mark.redis,
    pytest.mark.speech,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

FLAG = "to-vendor"
VENDOR_HZ = 1000.0
HEARD_PACKETS = 5


@contextmanager
def gateway_with(
    simulator: str, redis: LocalRedis, directory: Path, vendor_port: int
) -> Iterator[Gateway]:
    agent = {"instructions": "Be brief.", "language": "en", "greeting": "Hello."}
    flag = {
        "control": ARM,
        "treatment": "vendor",
        "steps": [50, 100],
        "min_calls": 4,
        "min_time_s": 0,
        "max_bad_rate": 0.6,
        "max_worse_by": 0.8,
        "dead_air_s": 60,
    }
    with serving(
        directory,
        simulator,
        write_dialplan(directory / "dialplans", agent, arm=None, rollout=FLAG),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY, "ROLLOUT_KEY": "a secret for tests"},
        arms={"vendor": {"sip": f"sip:agent@127.0.0.1:{vendor_port}"}},
        rollouts={FLAG: flag},
    ) as gateway:
        yield gateway


@asynccontextmanager
async def store_of(redis: LocalRedis) -> AsyncIterator[RolloutStore]:
    link = RedisLink(redis.url, timeout_s=2)
    try:
        await link.ask(["FLUSHALL"])
        yield RolloutStore(link, RedisSettings())
    finally:
        await link.aclose()


async def calls_until_acted(gateway: Gateway, store: RolloutStore) -> RolloutState:
    """Place calls, each from a number of its own, until the rollout's state is another one."""
    begun = time.time_ns() // 1_000_000
    changed = await store.change(
        FLAG, lambda state: set_share(state, 50, begun), Signature("test"), begun
    )
    assert changed is not None
    async with asyncio.timeout(240):
        for number in itertools.count(15550000):
            async with RtpCaller(gateway.sip_port, user=f"+{number}") as caller:
                assert await caller.call() == 200
                await caller.until(lambda: _loud(caller) >= HEARD_PACKETS)
                await caller.hang_up()
            state = (await store.read([FLAG]))[FLAG]
            if state.version > changed[1].version:
                return state
    raise AssertionError("nothing was decided")


def _loud(caller: RtpCaller) -> int:
    return sum(each.loud for each in caller.heard)


def of_arm(entries: list[tuple[str, CallEntry]], arm: str) -> list[CallEntry]:
    return [entry for _, entry in entries if entry.arm == arm]


async def test_a_vendor_that_does_well_is_promoted_and_what_is_not_seen_is_said(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    port = free_port()
    async with store_of(redis) as store:
        with gateway_with(simulator, redis, tmp_path, port) as gateway:
            async with a_person(gateway.sip_port, port) as vendor:
                vendor.hum(VENDOR_HZ, 300_000)
                state = await calls_until_acted(gateway, store)
                entries = await store.calls(FLAG, "0")
    by_vendor = of_arm(entries, "vendor")
    print(state.action, state.percent, state.reason)
    assert (state.action, state.percent, state.halt) == ("promote", 100, Halt.NONE)
    assert f"not seen of vendor: {NOT_SEEN}" in state.reason
    assert len(by_vendor) >= 4
    assert {each.turns_ms for each in by_vendor} == {()}
    assert all(each.connected and not each.rescued_by for each in by_vendor)


async def test_a_vendor_that_refuses_is_closed_and_no_caller_hears_of_it(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    port = free_port()
    async with store_of(redis) as store:
        with gateway_with(simulator, redis, tmp_path, port) as gateway:
            async with a_person(gateway.sip_port, port, 503) as vendor:
                state = await calls_until_acted(gateway, store)
                entries = await store.calls(FLAG, "0")
    by_vendor = of_arm(entries, "vendor")
    print(state.action, state.percent, state.reason)
    assert state.halt is Halt.CLOSED
    assert "3 calls in a row were left without a session" in state.reason
    assert f"not seen of vendor: {NOT_SEEN}" in state.reason
    assert {(each.code, each.rescued_by, each.connected) for each in by_vendor} == {
        ("sip_503", ARM, False)
    }
    assert len(vendor.invites) == len(by_vendor)
