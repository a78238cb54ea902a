"""One trial: a target, its callers, and the figures of a hold or of a climb."""

import asyncio
import time
from contextlib import suppress

from bridge.bench.figures import (
    BenchPlan,
    CallSetups,
    Climb,
    HeardWindow,
    Inside,
    ServingWay,
    SpentResources,
)
from bridge.bench.parts import BenchTarget, CallersProcess, Peer
from bridge.bench.verdicts import complaint
from bridge.bench.view import BenchScreen
from bridge.errors import InfrastructureError
from bridge.processes.usage import ProcessUsage

_SETTLE_S = 2.0
_FIRST_CALL_S = 2.0
_STEP_S = 4.0
_STEP_SETTLE_S = 1.0
_SAMPLE_EVERY_S = 0.5


class BenchTrial:
    """Measures one target under its callers.

    Args:
        plan: calls, times and dialect.
        view: shows how far it is.
        target: process under test.
        callers: their calls are its load.
        peer: its Realtime server; None for a target without one.
    """

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


class Sampler:
    """Notes what a process uses, twice a second, in a task; use ``with``."""

    def __init__(self, target: BenchTarget) -> None:
        self.curve: list[tuple[float, float, int]] = []
        self._target = target
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> "Sampler":
        self._task = asyncio.create_task(self._sample(), name="bench sampler")
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Note no more."""
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
