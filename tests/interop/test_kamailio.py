"""Kamailio in front of two gateway processes on one Redis: spread, killed, drained, full."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis
from tests.interop.conftest import GREETING
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.kamailio import NODE_SILENT_MS, PING_INTERVAL_S, Kamailio, kamailio
from tests.support.machine import Timing
from tests.support.rtp_caller import RtpCaller, header
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.speech]

PROBED_WITHIN_S = PING_INTERVAL_S + NODE_SILENT_MS / 1000 + 1.0
"""A dead node's silence is known an interval and a time-out after it began, and a timer's tick."""

HEARTBEAT_MS = 500
SWEPT_WITHIN_S = 10 * HEARTBEAT_MS / 1000
"""Three beats to run out, two to be missed, one each to be noted and to be found."""


GOODBYE_WITHIN_S = 4.0
"""After the sweep: the dead node has 1.6 s to say that it lives."""


@contextmanager
def node(
    name: str, directory: Path, simulator: str, redis: LocalRedis, max_calls: int = 4
) -> Iterator[Gateway]:
    """A gateway process that shares the Redis."""
    place = directory / name
    place.mkdir()
    dialplans = write_dialplan(place / "dialplans", {**PLAIN_AGENT, "greeting": GREETING})
    with serving(
        place,
        simulator,
        dialplans,
        redis_url=redis.url,
        redis={"heartbeat_ms": HEARTBEAT_MS},
        sip={"max_calls": max_calls},
    ) as gateway:
        yield gateway


@dataclass(frozen=True, slots=True)
class Site:
    """Two nodes and what is before them."""

    edge: Kamailio
    first: Gateway
    second: Gateway
    calls: CallsInRedis
    stack: AsyncExitStack

    async def caller(self) -> RtpCaller:
        """A caller who is answered."""
        caller = await self.stack.enter_async_context(RtpCaller(self.edge.port))
        assert await caller.call() == 200, caller.final
        return caller

    async def nodes_of_calls(self) -> dict[str, str]:
        """The node of each active call."""
        found = {}
        for call_id in await self.calls.reader.active():
            found[call_id] = (await self.calls.reader.call(call_id) or {}).get("node", "")
        return found

    async def until_active(self, **wanted: int) -> dict[str, str]:
        """Wait until the nodes have so many calls each; return the node of each call."""
        found: dict[str, str] = {}

        async def so() -> bool:
            found.clear()
            found.update(await self.nodes_of_calls())
            held = list(found.values())
            nodes = {"first": self.first.node, "second": self.second.node}
            return all(held.count(nodes[name]) == count for name, count in wanted.items())

        await wait_until(so, f"the calls are not {wanted}")
        return found


@asynccontextmanager
async def a_site(
    directory: Path, simulator: str, redis: LocalRedis, max_calls: int = 4
) -> AsyncIterator[Site]:
    with (
        node("first", directory, simulator, redis, max_calls) as first,
        node("second", directory, simulator, redis, max_calls) as second,
    ):
        ports = [first.sip_port, second.sip_port]
        async with (
            kamailio(ports) as edge,
            CallsInRedis(redis.url) as calls,
            AsyncExitStack() as stack,
        ):
            await edge.until(PROBED_WITHIN_S + 2, AP=ports)
            yield Site(edge, first, second, calls, stack)


async def until_heard(caller: RtpCaller) -> None:
    """Wait until a call goes on: more RTP, and the greeting has been heard."""
    packets = len(caller.heard)
    await caller.until(
        lambda: len(caller.heard) > packets + 25 and any(each.loud for each in caller.heard)
    )


async def test_a_killed_node_gets_no_calls_and_loses_none_of_its_records(
    simulator: str, redis: LocalRedis, tmp_path: Path, timing: Timing
) -> None:
    async with a_site(tmp_path, simulator, redis) as site:
        callers = [await site.caller() for _ in range(2)]
        spread = await site.until_active(first=1, second=1)
        for caller in callers:  # each call's ACK found its node, or it would say nothing
            await until_heard(caller)
        lost = [call_id for call_id, name in spread.items() if name == site.first.node]
        (left,) = (each for each in callers if str(site.first.sip_port) in each.header("Contact"))

        site.first.process.tell(signal.SIGKILL)
        killed_s = time.monotonic()
        assert await site.first.process.ended() == -signal.SIGKILL

        # Of two that come before the probe knows, one is tried with the dead node, and goes on.
        for _ in range(2):
            await until_heard(await site.caller())
        await site.edge.until(PROBED_WITHIN_S, IP=[site.first.sip_port], AP=[site.second.sip_port])
        print(f"Kamailio knew after {time.monotonic() - killed_s:.1f} s")
        begun_s = time.monotonic()
        late = await site.caller()
        # Nobody asked the dead one.
        timing.check("answer", (time.monotonic() - begun_s) * 1000, most_ms=NODE_SILENT_MS)
        await until_heard(late)

        states = [await site.calls.until_ended(call_id) for call_id in lost]
        print(f"the calls were swept after {time.monotonic() - killed_s:.1f} s")
        swept_ms = (time.monotonic() - killed_s) * 1000
        timing.check("sweep", swept_ms, most_ms=(SWEPT_WITHIN_S + 3.0) * 1000)
        for state in states:
            assert (state["outcome"], state["fault"]) == ("node_lost", "bridge")
            assert state["phase"] == "ended"
        await site.until_active(first=0, second=4)
        await asyncio.wait_for(left.ended.wait(), GOODBYE_WITHIN_S)
        print(f"the caller had a BYE after {time.monotonic() - killed_s:.1f} s")
        assert header(left.bye, "Call-ID") == left.header("Call-ID")
        tags = [header(left.bye, name).rpartition(";tag=")[2] for name in ("From", "To")]
        assert tags == [left.header(name).rpartition(";tag=")[2] for name in ("To", "From")]
        assert not any(each.ended.is_set() for each in callers if each is not left)

        async def counted() -> bool:
            metrics = await site.second.metrics()
            return metrics.value("bridge_store_swept_calls_total") == len(lost)

        await wait_until(counted, message="the sweep is not counted")


async def test_a_drained_node_gets_no_call_while_its_last_one_goes_on(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async with a_site(tmp_path, simulator, redis) as site:
        callers = [await site.caller() for _ in range(2)]
        spread = await site.until_active(first=1, second=1)
        (kept,) = [call_id for call_id, name in spread.items() if name == site.first.node]

        site.first.process.tell(signal.SIGTERM)
        await site.first.until_ready(503, "draining")
        at_once = await site.caller()  # refused by the drained node, and taken by the other
        await site.edge.until(PROBED_WITHIN_S, IP=[site.first.sip_port], AP=[site.second.sip_port])
        callers += [at_once, await site.caller()]
        assert (await site.until_active(first=1, second=3))[kept] == site.first.node

        for caller in callers:
            await until_heard(caller)
        for caller in callers:  # through Kamailio, by the route that the answer laid
            await caller.hang_up()
        assert await site.first.process.ended() == 0
        state = await site.calls.until_ended(kept)
        assert (state["outcome"], state["fault"]) == ("completed", "none")
        await site.until_active(first=0, second=0)


async def test_full_nodes_are_passed_over_and_a_full_site_says_so(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    async with a_site(tmp_path, simulator, redis, max_calls=1) as site:
        callers = [await site.caller() for _ in range(2)]
        await site.until_active(first=1, second=1)
        async with RtpCaller(site.edge.port) as refused, SipPeer(site.edge.port) as carrier:
            assert await refused.call() == 503
            assert refused.header("Retry-After") == "10"
            ports = [site.first.sip_port, site.second.sip_port]
            await site.edge.until(PROBED_WITHIN_S, IP=ports)
            told = await carrier.options()
            assert (told.status, told.header("Retry-After")) == (503, "10")
            await asyncio.gather(*(caller.hang_up() for caller in callers))
            await site.edge.until(PROBED_WITHIN_S, AP=ports)
            assert (await carrier.options()).status == 200
        await site.caller()
