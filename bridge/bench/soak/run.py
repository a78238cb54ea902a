"""The run of a soak: everything real, on this machine, and everything but the gateway unreliable.

Warm-up without trouble, the gateway at rest, trouble and callers for as long as was asked, the
gateway at rest again: what it holds then has to be what it held before.
"""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from random import Random

from bridge.bench.parts import BenchParts
from bridge.bench.run import choose_calls, machine
from bridge.bench.soak.evidence import (
    errors_in,
    held_by,
    in_short,
    is_like,
    lines_of,
    look_at_records,
    name_in,
)
from bridge.bench.soak.figures import (
    HeldResources,
    SoakPlan,
    SoakResult,
    calls_of,
    doubts_about,
    silences_of,
    verdicts_on,
)
from bridge.bench.soak.surroundings import SoakWebhook, arm_of, dialplan_of, write_scenario
from bridge.bench.soak.troubles import SoakTroubles, TroubledRedis
from bridge.bench.view import BenchScreen
from bridge.errors import InfrastructureError
from bridge.recordings.files import CDR_FILE

_REST_WITHIN_S = 90.0
"""A caller who vanished before the ACK is given up after 32 s, a session closes within seconds."""

_STEADY_LOOKS = 3
_LOOK_EVERY_S = 1.0
_REPORT_EVERY_S = 30.0
_WORST_KEPT = 5
_CALL_ENDS_WITHIN_S = 120.0
_COUNTED = (
    "bridge_upstream_failures_total",
    "bridge_upstream_given_up_total",
    "bridge_interruptions_total",
    "bridge_tool_calls_total",
    "bridge_dtmf_digits_total",
    "bridge_playout_underruns_total",
    "bridge_caller_audio_overruns_total",
    "bridge_playout_late_blocks_total",
    "bridge_turn_transitions_refused_total",
    "bridge_store_dropped_writes_total",
    "bridge_long_ticks_total",
)


async def run_soak(
    plan: SoakPlan, environ: Mapping[str, str], view: BenchScreen, report: Path | None
) -> SoakResult:
    """Soak the gateway; cancel to stop everything in order.

    Args:
        plan: what to do.
        environ: of the processes, but for its ``BRIDGE_*``.
        report: a directory, where the gateway's log and the worst calls' records are kept.

    Raises:
        ConfigError: more calls are asked for than the loaded PJSIP holds.
        InfrastructureError: a part did not start, or died.
    """
    async with AsyncExitStack() as stack:
        soak = _Soak(plan, environ, view, stack, report)
        await soak.start()
        return await soak.run()


class _Soak:
    def __init__(
        self,
        plan: SoakPlan,
        environ: Mapping[str, str],
        view: BenchScreen,
        stack: AsyncExitStack,
        report: Path | None,
    ) -> None:
        self._plan = plan
        self._report = report
        self._view = view
        self._stack = stack
        self._parts = BenchParts(environ, stack)
        self._random = Random(plan.seed)
        self._place = self._parts.directory("bridge-bench-")
        self._webhook = SoakWebhook(Random(self._random.random()))

    async def start(self) -> None:
        """Start everything."""
        view, parts, place = self._view, self._parts, self._place
        view.step("seed", f"{self._plan.seed}")
        view.doing("starting a Redis, the simulator, a webhook and the gateway")
        self._redis = TroubledRedis(place / "redis")
        self._stack.callback(self._redis.close)
        await self._stack.enter_async_context(self._webhook)
        simulator = await parts.simulator("the simulator", "--scenario", str(write_scenario(place)))
        self._simulator, url = simulator.child, simulator.url
        self._troubles = SoakTroubles(self._redis, simulator.admin, Random(self._random.random()))
        self._log_path = (self._report or place) / "gateway.log"
        self._gateway = await parts.target(
            place,
            [dialplan_of(dialect, self._webhook.url) for dialect in self._plan.dialects],
            {dialect: arm_of(dialect, url) for dialect in self._plan.dialects},
            {"REDIS_URL": self._redis.url},
            log_path=self._log_path,
        )
        self._crowd = await parts.start(
            "the callers", "soak", "callers", self._gateway.server, takes_orders=True
        )
        choose_calls(self._plan.people, self._gateway.max_calls)

    async def run(self) -> SoakResult:
        """Warm up, soak, and look at what is left."""
        plan, view = self._plan, self._view
        view.doing(f"{plan.people} callers for {plan.warm_up_s:g} s to warm up")
        warm = await self._live("warm", plan.warm_up_s)
        before = await self._at_rest(None)
        rss_before = self._gateway.usage().rss_bytes
        view.step("before", in_short(before))
        troubles = asyncio.create_task(self._troubles.make(), name="troubles")
        reporter = asyncio.create_task(self._report_now_and_then(), name="reporter")
        try:
            crowd = await self._until(troubles, self._live("soak", plan.minutes * 60))
        finally:
            reporter.cancel()
            troubles.cancel()
            await asyncio.gather(reporter, troubles, return_exceptions=True)
        view.doing("waiting for the gateway to come to rest")
        after = await self._at_rest(before)
        view.step("after", in_short(after))
        rss_after = self._gateway.usage().rss_bytes
        scrape = await self._gateway.scrape()
        assert scrape is not None
        lines = lines_of(self._place / "recordings" / CDR_FILE)
        records = await look_at_records(lines, [*calls_of(warm), *calls_of(crowd)], self._redis.url)
        self._keep_evidence(crowd, lines)
        await self._gateway.child.stop()
        result = SoakResult(
            machine=machine(),
            plan=plan,
            crowd=crowd,
            outcomes=dict(Counter(f"{line['outcome']}, {line['reason']}" for line in lines)),
            troubles=self._troubles.happened,
            tools=dict(self._webhook.answers),
            records=records,
            before=before,
            after=after,
            rss_before_bytes=rss_before,
            rss_after_bytes=rss_after,
            counted={name: scrape.value(name) for name in _COUNTED},
            errors=dict(errors_in(self._log_path)),
            exit_code=await self._gateway.child.wait(),
        )
        return replace(result, verdicts=verdicts_on(result), doubts=doubts_about(result))

    def _keep_evidence(self, crowd: Mapping[str, object], lines: list[dict[str, object]]) -> None:
        """Keep the records of the calls with the longest silences."""
        if self._report is None:
            return
        call_ids = {name_in(str(line["from"])): line["call_id"] for line in lines}
        for silence_ms, name in silences_of(crowd)[-_WORST_KEPT:]:
            record = self._place / "recordings" / f"{call_ids.get(name)}.json"
            if record.exists():
                shutil.copy(record, self._report / f"silence-{silence_ms:.0f}-{name}.json")

    async def _live(self, name: str, seconds: float) -> Mapping[str, object]:
        plan = self._plan
        await self._crowd.send_order(
            {
                "do": "live",
                "name": name,
                "people": plan.people,
                "s": seconds,
                "seed": plan.seed,
                "called": list(plan.dialects),
            }
        )
        return await self._crowd.report(seconds + _CALL_ENDS_WITHIN_S)

    async def _until(
        self, troubles: "asyncio.Task[None]", living: Coroutine[None, None, Mapping[str, object]]
    ) -> Mapping[str, object]:
        """Wait for the callers; fail at once if the trouble can't go on, or the gateway is gone."""
        crowd = asyncio.create_task(living, name="crowd")
        gone = asyncio.create_task(self._gateway.child.wait(), name="gateway gone")
        try:
            await asyncio.wait({crowd, troubles, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise self._gateway.child.failure()
            if troubles.done():
                await troubles
            return await crowd
        finally:
            gone.cancel()
            crowd.cancel()
            await asyncio.gather(gone, crowd, return_exceptions=True)

    async def _report_now_and_then(self) -> None:
        begun_s = time.monotonic()
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            with suppress(InfrastructureError):
                held = await self._held()
                passed_s = time.monotonic() - begun_s
                self._view.step(f"{passed_s:.0f} s", in_short(held))

    async def _at_rest(self, wanted: HeldResources | None) -> HeldResources:
        """Wait until the gateway holds as much as is wanted, or the same for a while."""
        looks = [await self._held()]
        deadline_s = time.monotonic() + _REST_WITHIN_S
        while time.monotonic() < deadline_s:
            await asyncio.sleep(_LOOK_EVERY_S)
            looks.append(await self._held())
            steady = looks[-_STEADY_LOOKS:] == looks[-1:] * _STEADY_LOOKS
            if steady and looks[-1].calls == 0 and (wanted is None or is_like(looks[-1], wanted)):
                break
        return looks[-1]

    async def _held(self) -> HeldResources:
        return await held_by(self._gateway, self._simulator)
