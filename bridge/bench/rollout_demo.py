"""Four rollouts under load, from real SIP calls: healthy, dying, slow, and both arms down.

Each story has a flag of its own on one gateway with two arms, each with a Realtime server behind it
that fails on demand. Short calls come one after another; the gateway decides by itself what becomes
of the rollout. What it reports is taken from its history, its log of calls and its call records.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from bridge.bench.rollout_parts import NEW, Faults, RolloutParts, start_parts
from bridge.bench.rollout_stories import RolloutPlan, RolloutResult, Story, StoryOutcome
from bridge.bench.view import BenchScreen
from bridge.config.settings import RedisSettings
from bridge.errors import InfrastructureError
from bridge.routing.rollout.changes import set_share
from bridge.routing.rollout.observed import CallEntry
from bridge.store.client import RedisLink
from bridge.store.rollouts import RolloutStore, Signature

_LOOK_S = 0.1
_RECORDS_WITHIN_S = 10.0
_NO_AGENT = frozenset({"session_unavailable", "session_lost"})


async def run_rollout_demo(
    plan: RolloutPlan, redis_url: str, environ: Mapping[str, str], view: BenchScreen
) -> RolloutResult:
    """Play every story; cancel to stop everything in order.

    Raises:
        InfrastructureError: a part did not start, or died.
    """
    begun_s = time.monotonic()
    async with AsyncExitStack() as stack:
        view.doing("starting a gateway, two Realtime servers and the callers")
        flags = {story.name: plan.settings() for story in plan.stories}
        parts = await start_parts(flags, redis_url, environ, stack)
        link = RedisLink(redis_url, timeout_s=2.0)
        stack.push_async_callback(link.aclose)
        store = RolloutStore(link, RedisSettings())
        outcomes = []
        for story in plan.stories:
            view.doing(f"{story.title}: calls come in")
            outcomes.append(await _Player(plan, story, parts, store).play())
            view.step(story.name, _line(outcomes[-1]))
        view.doing("stopping everything, in order")
    return RolloutResult(tuple(outcomes), time.monotonic() - begun_s)


class _Player:
    """Plays one story."""

    def __init__(
        self, plan: RolloutPlan, story: Story, parts: RolloutParts, store: RolloutStore
    ) -> None:
        self._plan = plan
        self._story = story
        self._parts = parts
        self._store = store

    async def play(self) -> StoryOutcome:
        story, callers = self._story, self._parts.callers[self._story.name]
        begun_s = time.time()
        await self._store.change(
            story.name,
            lambda state: set_share(state, story.begin_percent, round(begun_s * 1000)),
            Signature("demo", story.title),
            round(begun_s * 1000),
        )
        await callers.begin_churn(self._plan.rate, story.each_s, self._plan.calls)
        try:
            if story.faults:
                await self._until_calls(story.before_calls)
                begun_s = time.time()
                for arm, faults in story.faults.items():
                    await self._set_faults(arm, faults)
            ended = await self._until_over()
            await asyncio.sleep(story.then_s)
            await self._until_reasons(story.then_reasons)
        finally:
            outcomes = await callers.end()
            for arm in story.faults:
                await self._set_faults(arm, ())
        return await self._sum_up(begun_s, ended, outcomes)

    async def _set_faults(self, arm: str, faults: Faults) -> None:
        """Let everything go wrong at an arm that ``faults`` says (`bridge/simulator/faults.py`)."""
        try:
            await self._parts.servers[arm].set(faults)
        except (OSError, TimeoutError) as error:
            raise InfrastructureError("a Realtime server takes no faults") from error

    async def _until_calls(self, count: int) -> None:
        try:
            async with asyncio.timeout(self._plan.limit_s):
                while len(await self._entries()) < count:  # noqa: ASYNC110  # it is Redis's
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise InfrastructureError(
                f"{self._story.title}: {count} calls did not end within {self._plan.limit_s:g} s"
            ) from None

    async def _until_over(self) -> bool:
        """Wait for the story's end; False where none comes."""
        name = self._story.name
        try:
            async with asyncio.timeout(self._plan.limit_s):
                over = False
                while not over:
                    await asyncio.sleep(_LOOK_S)
                    over = self._story.over((await self._store.read([name]))[name])
        except TimeoutError:
            return False
        return True

    async def _until_reasons(self, reasons: frozenset[str]) -> None:
        """Wait until a call has ended for each reason; none that stays away fails the story."""
        deadline_s = time.monotonic() + _RECORDS_WITHIN_S
        while time.monotonic() < deadline_s:
            records = _read_records(self._parts.recordings)
            if reasons <= {str(each["reason"]) for each in records if self._is_ours(each)}:
                return
            await asyncio.sleep(_LOOK_S)

    def _is_ours(self, record: Mapping[str, object]) -> bool:
        return record["route"] == self._story.name

    async def _entries(self) -> list[CallEntry]:
        found: list[CallEntry] = []
        after = "0"
        while page := await self._store.calls(self._story.name, after):
            found += [entry for _, entry in page]
            after = page[-1][0]
        return found

    async def _sum_up(
        self, begun_s: float, ended: bool, outcomes: Mapping[str, object]
    ) -> StoryOutcome:
        story = self._story
        _, change = (await self._store.history(story.name, 1))[0]
        evidence = json.loads(change["evidence"])
        acted_s = int(change["at_ms"]) / 1000
        refused = outcomes["refused"]
        placed = int(str(outcomes["answered"])) + (len(refused) if isinstance(refused, list) else 0)
        records = await _records(self._parts.recordings, story.name, placed)
        entries = [each for each in await self._entries() if each.at_s >= begun_s]
        meanwhile = [each for each in entries if not ended or each.at_s <= acted_s]
        bad = {each.call_id for each in entries if each.bad and not each.rescued_by}
        no_agent = {
            str(record["call_id"])
            for record in records
            if record["outcome"] in _NO_AGENT and record["reason"] != "ai_off"
        }
        return StoryOutcome(
            name=story.name,
            title=story.title,
            ok=ended and change["action"] in story.wanted,
            action=change["action"] if ended else "none",
            verdict=str(evidence.get("verdict", "none")),
            why=change["reason"],
            seconds=round(acted_s - begun_s, 1) if ended else None,
            new_arm_calls=sum(each.arm == NEW for each in meanwhile),
            calls=len(meanwhile),
            harmed=len(bad | no_agent),
            rescued=len({each.call_id for each in entries if each.rescued_by} - no_agent),
            to_fallback=sum(record["reason"] == "ai_off" for record in records),
            all_calls=placed,
            e_value=evidence.get("e_value"),
        )


async def _records(directory: Path, route: str, count: int) -> list[Mapping[str, object]]:
    """Wait for the call detail records of a story; those that don't come in time are missing."""
    deadline_s = time.monotonic() + _RECORDS_WITHIN_S
    while True:
        found = [record for record in _read_records(directory) if record["route"] == route]
        if len(found) >= count or time.monotonic() > deadline_s:
            return found
        await asyncio.sleep(_LOOK_S)


def _read_records(directory: Path) -> list[Mapping[str, object]]:
    try:
        lines = (directory / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def _line(story: StoryOutcome) -> str:
    if story.seconds is None:
        return f"no action came in {story.all_calls} calls"
    return (
        f"{story.action} after {story.seconds:g} s and {story.new_arm_calls} calls of the new arm;"
        f" {story.harmed} callers harmed, {story.rescued} rescued"
    )
