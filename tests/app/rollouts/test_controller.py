"""The controller on a real Redis: calls in the log, verdicts and changes out."""

import random
from collections.abc import AsyncIterator

import pytest

from bridge.app.rollouts.controller import RolloutController
from bridge.clock import NS_PER_S, ManualClock
from bridge.config.rollouts import RolloutSettings
from bridge.config.settings import RedisSettings
from bridge.routing.rollout import changes
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import Halt, RolloutState
from bridge.routing.rollout.verdict import Action, Badness, Verdict
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore, Signature
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape

pytestmark = pytest.mark.redis

ME = Signature("me", "because")
QUICK = RolloutSettings(
    control="old", treatment="new", min_time_s=60, min_calls=20, max_bad_rate=0.1, max_worse_by=0.2
)


class Bench:
    """A rollout whose calls are written into the log, and controllers that read it."""

    def __init__(self, link: RedisLink) -> None:
        self.store = RolloutStore(link, RedisSettings())
        self.clock = ManualClock(wall_ns=1_800_000_000 * NS_PER_S)
        self.metrics = Metrics("test")
        self.digests = {"old": "o1", "new": "n1"}
        self.controller = self.make("a")
        self._rng = random.Random(7)
        self._number = 0

    def make(self, node: str, plan: RolloutSettings = QUICK) -> RolloutController:
        return RolloutController(
            {"f": plan}, self.digests, self.store, node, self.clock, self.metrics
        )

    @property
    def now_s(self) -> float:
        return self.clock.wall_ns() / NS_PER_S

    def verdicts(self) -> set[str]:
        """Return what /metrics says is held of the new arm."""
        scrape = Scrape.parse(self.metrics.render()[0].decode())
        name = "bridge_rollout_verdict"
        return {v.value for v in Verdict if scrape.value(name, arm="new", verdict=v.value)}

    async def state(self) -> RolloutState:
        return (await self.store.read(["f"]))["f"]

    async def set(self, percent: float) -> None:
        now_ms = round(self.now_s * 1000)
        await self.store.change("f", lambda s: changes.set_share(s, percent, now_ms), ME, now_ms)

    def actions(self) -> dict[str, float]:
        """Return what /metrics says was done about the new arm."""
        scrape = Scrape.parse(self.metrics.render()[0].decode())
        name = "bridge_rollout_actions_total"
        counted = {each.value: scrape.value(name, arm="new", action=each.value) for each in Action}
        return {action: count for action, count in counted.items() if count}

    async def calls(
        self,
        count: int,
        *,
        bad: dict[str, float] | None = None,
        turn_ms: dict[str, int] | None = None,
    ) -> None:
        """Let so many calls be dealt and end.

        Args:
            bad: chance of each arm; ``turn_ms``: about how long its answers take.
        """
        state = await self.state()
        entries = []
        for _ in range(count):
            self._number += 1
            self.clock.advance_ms(1_000)
            arm = "new" if self._rng.random() < state.share / 1000 else "old"
            failed = self._rng.random() < (bad or {}).get(arm, 0.0)
            entries.append(
                CallEntry(
                    f"c{self._number}",
                    arm,
                    state.share / 1000,
                    state.version,
                    self.now_s,
                    frozenset({Badness.TIMING} if failed else ()),
                    turns_ms=tuple(
                        round((turn_ms or {}).get(arm, 800) * self._rng.uniform(0.8, 1.2))
                        for _ in range(4)
                    ),
                    caller=f"caller{self._number}",
                    digest=self.digests[arm],
                )
            )
        await self.store.report("f", entries)


@pytest.fixture
async def bench(redis: LocalRedis) -> AsyncIterator[Bench]:
    link = RedisLink(redis.url, timeout_s=2)
    await link.ask(["FLUSHALL"])
    yield Bench(link)
    await link.aclose()


async def test_healthy_arms_go_from_1_to_100_percent_by_themselves(bench: Bench) -> None:
    await bench.set(1)
    seen = []
    for _ in range(60):
        await bench.calls(150, bad={"old": 0.01, "new": 0.01})
        await bench.controller.decide()
        seen.append((await bench.state()).percent)
        if seen[-1] == 100:
            break
    assert list(dict.fromkeys(seen)) == [1, 5, 25, 50, 100]
    history = await bench.store.history("f", 10)
    assert [fields["action"] for _, fields in history] == ["promote"] * 4 + ["set"]
    assert "no harm" in history[0][1]["reason"]


async def test_a_worse_arm_is_rolled_back_with_its_evidence(bench: Bench) -> None:
    await bench.set(25)
    for _ in range(40):
        await bench.calls(20, bad={"new": 0.5, "old": 0.01})
        await bench.controller.decide()
        if (await bench.state()).halt is not Halt.NONE:
            break
    state = await bench.state()
    assert (state.halt, state.share) == (Halt.ROLLED_BACK, 0)
    _, change = (await bench.store.history("f", 1))[0]
    assert (change["action"], change["author"]) == ("rollback", "controller")
    assert '"e_value"' in change["evidence"]
    await bench.controller.decide()
    verdict = await bench.store.verdict("f")
    assert verdict is not None
    assert verdict["verdict"] == "failed"
    assert bench.verdicts() == {"failed"}, "the alert looks every 15 s: it stays"
    other = bench.make("b")
    await bench.controller.resign()
    assert bench.verdicts() == set(), "only the node that decides says what is held"
    await other.decide()
    assert bench.verdicts() == {"failed"}


async def test_an_arm_that_is_rolled_back_for_its_latency_alone_leaves_a_trace(
    bench: Bench,
) -> None:
    await bench.set(50)
    for _ in range(20):
        await bench.calls(30, turn_ms={"old": 800, "new": 1_800})
        await bench.controller.decide()
        if (await bench.state()).halt is not Halt.NONE:
            break
    assert (await bench.state()).halt is Halt.ROLLED_BACK
    await bench.controller.decide()
    assert bench.verdicts() == {"no_data"}, "nothing is held against it in its new step"
    assert bench.actions() == {"roll_back": 1}


async def test_both_arms_failing_holds_and_rolls_nothing_back(bench: Bench) -> None:
    await bench.set(50)
    await bench.calls(30, bad={"new": 1.0, "old": 1.0})
    await bench.controller.decide()
    state = await bench.state()
    assert (state.halt, state.share, state.paused) == (Halt.NONE, 500, True)


async def test_a_new_leader_takes_up_what_the_old_one_had_added_up(bench: Bench) -> None:
    await bench.set(50)
    await bench.calls(6, bad={"new": 1.0})
    await bench.controller.decide()
    before = await bench.store.verdict("f")
    other = bench.make("b")
    await other.decide()
    assert await bench.store.leader() == "a"
    await bench.controller.resign()
    await other.decide()
    assert await bench.store.leader() == "b"
    after = await bench.store.verdict("f")
    assert before is not None
    assert after is not None
    assert after["e_value"] == before["e_value"] != 1
    assert after["treatment"] == before["treatment"]


async def test_arm_with_another_session_template_begins_anew(bench: Bench) -> None:
    """A node that comes up with other settings judges what it runs, not what was run before."""
    await bench.set(50)
    await bench.calls(6, bad={"new": 1.0})
    await bench.controller.decide()
    before = await bench.store.verdict("f")
    assert before is not None
    assert before["e_value"] > 1  # type: ignore[operator]  # a figure
    bench.digests = {"old": "o1", "new": "n2"}
    other = bench.make("b")
    await bench.controller.resign()
    await other.decide()
    after = await bench.store.verdict("f")
    assert after is not None
    assert after["e_value"] == 1
    assert after["treatment"] == {"bad": 0, "calls": 0}
    assert after["control"] == before["control"]
    await bench.calls(6, bad={"new": 1.0})
    await other.decide()
    again = await bench.store.verdict("f")
    assert again is not None
    assert again["treatment"] != {"bad": 0, "calls": 0}


async def test_evidence_outlives_a_step_that_a_person_takes(bench: Bench) -> None:
    await bench.set(25)
    await bench.calls(8, bad={"new": 1.0})
    await bench.controller.decide()
    before = await bench.store.verdict("f")
    bench.clock.advance_ms(1_000)
    await bench.set(50)
    await bench.controller.decide()
    after = await bench.store.verdict("f")
    assert before is not None
    assert after is not None
    assert after["e_value"] == before["e_value"] != 1
    assert after["treatment"] == {"bad": 0, "calls": 0}


async def test_a_quiet_arm_goes_a_step_back(bench: Bench) -> None:
    await bench.set(5)
    bench.clock.advance_ms(1_801_000)
    await bench.controller.decide()
    assert (await bench.state()).percent == 1


async def test_a_persons_change_in_between_is_not_overruled(bench: Bench) -> None:
    await bench.set(5)
    await bench.calls(1_000)
    read = bench.store.calls

    async def overtaken(flag: str, after: str) -> list[tuple[str, CallEntry]]:
        bench.store.calls = read  # type: ignore[method-assign]
        bench.clock.advance_ms(1_000)
        await bench.set(25)
        return await read(flag, after)

    bench.store.calls = overtaken  # type: ignore[method-assign]  # the person's moment
    await bench.controller.decide()
    assert (await bench.state()).percent == 25
