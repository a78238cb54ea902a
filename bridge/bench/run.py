"""The run: each way in turn serves the same calls, on the same machine, one after the other.

    floor    N calls: ramp, settle, measure
    bridge   1 call, then N: ramp, settle, measure, hang up
    floor    again: a shared machine's speed drifts, so its CPU is the mean of before and after
    bridge   as many as it can hold
    plain    as many as it can hold, measured at the most

A climb adds calls step by step until the callers would complain, and takes the last good step.
"""

import asyncio
import os
import platform
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, replace

from bridge.bench.figures import (
    BenchResult,
    CallSetups,
    Climb,
    HeardWindow,
    Inside,
    ServingWay,
    Soak,
    SpentResources,
)
from bridge.bench.parts import BenchParts, BenchTarget, CallersProcess, Peer
from bridge.bench.verdicts import complaint, doubts_about, ratios_of, verdicts_on
from bridge.bench.view import BenchScreen
from bridge.errors import ConfigError, InfrastructureError
from bridge.processes.usage import ProcessUsage

MOST_BY_DEFAULT = 200
_SETTLE_S = 2.0
_FIRST_CALL_S = 2.0
_STEP_S = 4.0
_STEP_SETTLE_S = 1.0
_SAMPLE_EVERY_S = 0.5
_SOAK_WARM_UP_SHARE = 0.1
_SOAK_CALL_S = 2.0
_SOAK_REST_S = 3.0
"""The gateway closes sessions and writes to Redis after the last BYE."""

_PLAIN_STEP = 5
_CLIMB_STEPS = 4
"""The bridge climbs by a quarter of the calls that it held."""


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """The calls, times and dialect to measure with.

    Attributes:
        calls: at once; None takes 200, or all that the loaded PJSIP holds.
        rate: calls a second in a ramp.
        hold_s: how long the steady state is measured.
        dialect: of the Realtime API.
        climb: find out how many calls the bridge and the plain way hold.
        soak: short calls to place instead of all that, after a warm-up; 0: none.
    """

    calls: int | None
    rate: float
    hold_s: float
    dialect: str
    climb: bool
    soak: int = 0


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
        soak = None
        if self._plan.soak:
            soak = await self._soak(int(str(pjsip["call_limit"])))
        else:
            ways["bridge"], after = await self._bridge()
            if floor is not None and after is not None:
                ways = {"floor": between(floor, after), **ways}
            ways["plain"] = await self._plain()
        plan = {**asdict(self._plan), "calls": self._calls}
        result = BenchResult(machine(), pjsip, plan, ways, soak, ratios_of(ways))
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
            if self._plan.soak:
                return None, pjsip
            trial = _Trial(self._plan, self._view, target, await parts.callers(target), None)
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
            trial = _Trial(self._plan, self._view, target, await parts.callers(target), peer)
            sampler = stack.enter_context(_Sampler(target))
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
            target = await parts.plain(peer, self._plan.dialect)
            trial = _Trial(self._plan, self._view, target, await parts.callers(target), peer)
            if not self._plan.climb:
                return await trial.at(1)
            first = min(_PLAIN_STEP, target.max_calls)
            climb, good = await trial.climb(first, _PLAIN_STEP)
            return replace(good, climb=climb)

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


class _Trial:
    """One target and its callers."""

    def __init__(
        self,
        plan: BenchPlan,
        view: BenchScreen,
        target: BenchTarget,
        callers: CallersProcess,
        peer: Peer | None,
    ) -> None:
        self._plan = plan
        self._view = view
        self._target = target
        self._callers = callers
        self._peer = peer

    async def at(self, calls: int) -> ServingWay:
        """Measure so many calls, from the first INVITE to the last BYE."""
        target, plan = self._target, self._plan
        begun = await target.scrape()
        self._view.doing(f"{target.name}: one call")
        await self._callers.hold(1, plan.rate)
        await asyncio.sleep(_FIRST_CALL_S)
        first = target.usage()
        self._view.doing(f"{target.name}: up to {calls} calls, {plan.rate:g} a second")
        setup = CallSetups.of(await self._callers.hold(calls, plan.rate))
        await asyncio.sleep(_SETTLE_S)
        self._view.doing(f"{target.name}: {calls} calls for {plan.hold_s:g} s")
        before = await target.scrape()
        window, spent = await self._measure(plan.hold_s, first)
        after = await target.scrape()
        await self._callers.end()
        await asyncio.sleep(_SETTLE_S)  # the gateway counts a call's underruns when it is over
        over = await target.scrape()
        inside = None
        if begun is not None and before is not None and after is not None and over is not None:
            inside = Inside.of(after.since(before), over.since(begun))
        way = ServingWay(target.ports, setup, window, spent, inside)
        self._view.step(target.name, _summary(way))
        return way

    async def climb(self, first: int, step: int) -> tuple[Climb, ServingWay]:
        """Add calls until the callers would complain; return the last good step, measured."""
        limit, calls = self._target.max_calls, first
        climb, good = Climb(0, at_limit=True), None
        while True:
            self._view.doing(f"{self._target.name}: climbing, {calls} calls")
            setup = CallSetups.of(await self._callers.hold(calls, self._plan.rate))
            await asyncio.sleep(_STEP_SETTLE_S)
            window, spent = await self._measure(_STEP_S, None)
            why = complaint(window, setup, spent.uplink_share)
            tried = ServingWay(self._target.ports, setup, window, spent)
            if why:
                good = good or tried
                climb = Climb(climb.most, False, calls, why)
                break
            good, climb = tried, Climb(calls, at_limit=True)
            if calls >= limit:
                break
            calls = min(calls + step, limit)
        self._view.step(self._target.name, _climbed(climb))
        with suppress(InfrastructureError):  # a saturated one may answer no BYE
            await self._callers.end()
        return climb, good

    async def _measure(
        self, seconds: float, first: ProcessUsage | None
    ) -> tuple[HeardWindow, SpentResources]:
        heard_ms = await self._peer.heard_ms() if self._peer else 0.0
        before, begun_ns = self._target.usage(), time.monotonic_ns()
        report = await self._callers.measure(seconds)
        after, took_s = self._target.usage(), (time.monotonic_ns() - begun_ns) / 1e9
        window = HeardWindow.of(report, took_s)
        share = None
        if self._peer:
            gained_ms = await self._peer.heard_ms() - heard_ms
            share = gained_ms / (window.calls * took_s * 1000) if window.calls else 0.0
        cpu_percent = (after.cpu_s - before.cpu_s) / took_s * 100
        each = None
        if first is not None and window.calls > 1:
            each = (after.rss_bytes - first.rss_bytes) / (window.calls - 1)
        return window, SpentResources(window.calls, cpu_percent, after.rss_bytes, each, share)


class _Sampler:
    """Notes what a process uses, twice a second, in a task; use ``with``."""

    def __init__(self, target: BenchTarget) -> None:
        self.curve: list[tuple[float, float, int]] = []
        self._target = target
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> "_Sampler":
        self._task = asyncio.create_task(self._sample(), name="bench sampler")
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _sample(self) -> None:
        begun_ns = then_ns = time.monotonic_ns()
        then = self._target.usage()
        with suppress(InfrastructureError):  # it is stopped, or has died: others report that
            while True:
                await asyncio.sleep(_SAMPLE_EVERY_S)
                now_ns, now = time.monotonic_ns(), self._target.usage()
                cpu_percent = (now.cpu_s - then.cpu_s) / (now_ns - then_ns) * 1e11
                self.curve.append(((now_ns - begun_ns) / 1e9, cpu_percent, now.rss_bytes))
                then_ns, then = now_ns, now


def machine() -> dict[str, object]:
    """Return what this runs on; nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _summary(way: ServingWay) -> str:
    spent, window = way.spent, way.window
    return (
        f"{spent.calls} calls, {spent.cpu_percent:.1f}% of a core "
        f"({spent.cpu_percent_per_call:.2f}% a call), "
        f"{window.lost} packets lost, {window.late} late"
    )


def _climbed(climb: Climb) -> str:
    if climb.failed_at is None:
        return f"holds {climb.most} calls, all that this PJSIP does"
    return f"holds {climb.most} calls; at {climb.failed_at}: {climb.why}"
