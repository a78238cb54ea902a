"""The run: each way in turn serves the same calls, on the same machine, one after the other.

    floor    N calls: ramp, settle, measure
    bridge   1 call, then N: ramp, settle, measure, hang up
    floor    again: a shared machine's speed drifts, so its CPU is the mean of before and after
    bridge   as many as it can hold
    plain    as many as it can hold, measured at the most

A climb adds calls step by step until the callers would complain, and takes the last good step.

Secure calls, traced ones, and those whose arm has another audio, are compared with ordinary ones in
pairs, each way first in turn, on two gateways of which one is idle: a shared machine's speed
drifts.
"""

import asyncio
import os
import platform
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, replace

from bridge.bench.figures import BenchPlan, BenchResult, CallSetups, ServingWay, Soak
from bridge.bench.parts import BenchParts, BenchTarget
from bridge.bench.trial import BenchTrial, Sampler
from bridge.bench.verdicts import complaint, doubts_about, ratios_of, verdicts_on
from bridge.bench.view import BenchScreen
from bridge.errors import ConfigError

MOST_BY_DEFAULT = 200
_SOAK_WARM_UP_SHARE = 0.1
_SOAK_CALL_S = 2.0
_SOAK_REST_S = 3.0
"""The gateway closes sessions and writes to Redis after the last BYE."""

_PAIRS = 4
_PLAIN_STEP = 5
_CLIMB_STEPS = 4
"""The bridge climbs by a quarter of the calls that it held."""


async def run_bench(plan: BenchPlan, environ: Mapping[str, str], view: BenchScreen) -> BenchResult:
    """Measure everything; cancel to stop everything in order.

    Raises:
        ConfigError: more calls are asked for than the loaded PJSIP holds.
        InfrastructureError: a part did not start, or died.
    """
    return await _Run(plan, environ, view).run()


class _Run:
    def __init__(self, plan: BenchPlan, environ: Mapping[str, str], view: BenchScreen) -> None:
        self._plan = plan
        self._environ = environ
        self._view = view
        self._calls = 0

    async def run(self) -> BenchResult:
        ways: dict[str, ServingWay] = {}
        floor, pjsip = await self._floor()
        soak: Soak | None = None
        pairs: list[tuple[float, float]] = []
        if self._plan.soak:
            soak = await self._soak(int(str(pjsip["call_limit"])))
        elif self._plan.compared:
            ways, pairs = await self._pairs()
        else:
            ways["bridge"], after = await self._bridge()
            if floor is not None and after is not None:
                ways = {"floor": between(floor, after), **ways}
            ways["plain"] = await self._plain()
        plan = {**asdict(self._plan), "calls": self._calls}
        result = BenchResult(machine(), pjsip, plan, ways, soak, pairs, ratios_of(ways, pairs))
        return replace(result, verdicts=verdicts_on(result), doubts=doubts_about(ways))

    async def _floor(self) -> tuple[ServingWay | None, dict[str, object]]:
        """Measure the floor, and learn from it what the loaded PJSIP can do."""
        async with AsyncExitStack() as stack:
            parts = BenchParts(self._environ, stack)
            self._view.doing("starting the floor: PJSIP and its media ports alone")
            target = await parts.floor()
            limit = target.max_calls
            pjsip: dict[str, object] = {"version": target.pjsip, "call_limit": limit}
            pjsip["ports"] = target.ports
            if not self._calls:
                self._show_target(target)
                self._calls = choose_calls(self._plan.calls, limit)
            if self._plan.soak or self._plan.compared:
                return None, pjsip
            trial = BenchTrial(self._plan, self._view, target, await parts.callers(target), None)
            way = await trial.at(self._calls)
        return way, pjsip

    def _show_target(self, target: BenchTarget) -> None:
        limit = target.max_calls
        self._view.step("PJSIP", f"{target.pjsip}, holds {limit} calls, {target.ports} ports")
        if choose_calls(self._plan.calls, limit) == limit:
            self._view.step("calls", f"{limit}: the loaded PJSIP holds no more")

    async def _bridge(self) -> tuple[ServingWay, ServingWay | None]:
        """Measure the bridge, and the floor once more before the climb."""
        async with AsyncExitStack() as stack:
            parts = BenchParts(self._environ, stack)
            self._view.doing("starting the gateway and the light Realtime server")
            peer = await parts.peer()
            target = await parts.bridge(peer, self._plan.dialect)
            trial = BenchTrial(self._plan, self._view, target, await parts.callers(target), peer)
            sampler = stack.enter_context(Sampler(target))
            way = await trial.at(self._calls)
            way = replace(way, curve=tuple(sampler.curve))
            sampler.stop()
            floor, _ = await self._floor()
            if self._plan.climb:
                step = max(1, self._calls // _CLIMB_STEPS)
                served = not complaint(way.window, way.setup, way.spent.uplink_share)
                climb, _ = await trial.climb(self._calls if served else step, step)
                way = replace(way, climb=climb)
            return way, floor

    async def _plain(self) -> ServingWay:
        """Find out how many calls the plain way holds; without a climb measure one call."""
        async with AsyncExitStack() as stack:
            parts = BenchParts(self._environ, stack)
            self._view.doing("starting the plain way: a 24 kHz AudioMediaPort a call")
            peer = await parts.peer()
            target = await parts.plain(peer, self._plan.plain_dialect)
            trial = BenchTrial(self._plan, self._view, target, await parts.callers(target), peer)
            if not self._plan.climb:
                return await trial.at(1)
            first = min(_PLAIN_STEP, target.max_calls)
            climb, good = await trial.climb(first, _PLAIN_STEP)
            return replace(good, climb=climb)

    async def _pairs(self) -> tuple[dict[str, ServingWay], list[tuple[float, float]]]:
        """Measure ordinary and other calls in turn; return each way's last, and the CPU of all."""
        async with AsyncExitStack() as stack:
            parts = BenchParts(self._environ, stack)
            self._view.doing("starting two gateways and the light Realtime server")
            peer = await parts.peer()
            plan, other = self._plan, self._plan.compared
            secure_of = {"bridge": False, other: plan.secure}
            targets = {"bridge": await parts.bridge(peer, plan.dialect)}
            targets[other] = await parts.bridge(
                *(peer, plan.dialect),
                name=other,
                secure=plan.secure,
                audio=plan.audio,
                traces=plan.traces,
            )
            ways: dict[str, ServingWay] = {}
            pairs = []
            for number in range(_PAIRS):
                for name in sorted(targets, reverse=number % 2 == 1):
                    # New ones each time: PJSIP closes a TLS connection that idles half a minute.
                    async with AsyncExitStack() as round_:
                        starter = BenchParts(self._environ, round_)
                        callers = await starter.callers(targets[name], secure=secure_of[name])
                        trial = BenchTrial(self._plan, self._view, targets[name], callers, peer)
                        ways[name] = await trial.at(self._calls)
                cpu = (ways["bridge"].spent.cpu_percent, ways[other].spent.cpu_percent)
                pairs.append(cpu)
                self._view.step("pair", f"{other}: {cpu[1] / cpu[0]:.2f} times the CPU")
        return ways, pairs

    async def _soak(self, limit: int) -> Soak:
        plan = self._plan
        async with AsyncExitStack() as stack:
            parts = BenchParts(self._environ, stack)
            self._view.doing("starting the gateway and the light Realtime server")
            peer = await parts.peer()
            target = await parts.bridge(peer, plan.dialect)
            callers = await parts.callers(target)
            warm_up = max(limit, int(plan.soak * _SOAK_WARM_UP_SHARE))
            idle = target.usage()
            self._view.doing(f"{warm_up} calls to warm up")
            await callers.churn(warm_up, plan.rate, _SOAK_CALL_S, limit)
            await asyncio.sleep(_SOAK_REST_S)
            before = target.usage()
            self._view.doing(f"{plan.soak} short calls, {plan.rate:g} a second")
            report = await callers.churn(plan.soak, plan.rate, _SOAK_CALL_S, limit)
            await asyncio.sleep(_SOAK_REST_S)
            after = target.usage()
        setup = CallSetups.of(report)
        sizes = (each.rss_bytes for each in (idle, before, after))
        return Soak(plan.soak, warm_up, plan.rate, setup, *sizes)


def between(before: ServingWay, after: ServingWay) -> ServingWay:
    """Return a way that was measured twice, with the mean of its CPU."""
    cpu_percent = (before.spent.cpu_percent + after.spent.cpu_percent) / 2
    return replace(before, spent=replace(before.spent, cpu_percent=cpu_percent))


def choose_calls(wanted: int | None, limit: int) -> int:
    """Return how many calls to hold.

    Args:
        wanted: None takes what is usual.
        limit: of the loaded PJSIP.

    Raises:
        ConfigError: it holds fewer than are wanted.
    """
    if wanted is not None and wanted > limit:
        raise ConfigError(
            f"{wanted} calls are asked for, and the loaded PJSIP holds {limit}",
            remedy="ask for fewer with --calls, or install the capacity build (deploy/pjsip/build)",
        )
    return wanted or min(MOST_BY_DEFAULT, limit)


def machine() -> dict[str, object]:
    """Return what this runs on; nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
