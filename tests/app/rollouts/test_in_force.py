"""Nodes that share a Redis: what is in force on each, with Redis and without."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.app.rollouts.files import RolloutFiles
from bridge.app.rollouts.in_force import Rollouts
from bridge.clock import SystemClock
from bridge.config.rollouts import OverrideSettings, RolloutSettings
from bridge.config.settings import RedisSettings
from bridge.routing.rollout import changes
from bridge.routing.rollout.decision import Decision, Reason
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.signed_arm import HEADER, sign_arm
from bridge.routing.rollout.state import Halt, RolloutState
from bridge.routing.rollout.verdict import Badness
from bridge.routing.rules import IncomingCall, incoming_call
from bridge.store import rollouts as rollouts_store
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis
from bridge.store.rollouts import RolloutStore, Signature
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape
from tests.support.machine import Timing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.redis

SECRET = b"a secret for tests"
PLAN = RolloutSettings(
    control="old",
    treatment="new",
    caps={"new": 2},
    overrides=(OverrideSettings(by="caller", patterns=("+1 555 0199",), arm="new"),),
)
ME = Signature("me", "because")


@pytest.fixture
def redis_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


@pytest.fixture
def redis(redis_dir: Path) -> Iterator[LocalRedis]:
    with start_local_redis(redis_dir) as server:
        yield server


class Node:
    """One node's flags."""

    def __init__(self, url: str, name: str, directory: Path) -> None:
        self.link = RedisLink(url, timeout_s=0.5)
        self.store = RolloutStore(self.link, RedisSettings())
        self.metrics = Metrics("test")
        self.active: dict[str, int] = {}
        self.flags = Rollouts(
            {"f": PLAN, "g": PLAN},
            SECRET,
            self.store,
            RolloutFiles(directory / name),
            name,
            SystemClock(),
            self.metrics,
            lambda: self.active,
        )

    async def __aenter__(self) -> "Node":
        await self.flags.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.flags.aclose()
        await self.link.aclose()

    def decide(self, number: str = "+15550100", **more: object) -> Decision:
        call = replace(call_of(number), **more)  # type: ignore[arg-type]  # fields of several types
        return self.flags.decide("f", call, "support")[0]

    def text(self) -> str:
        return self.metrics.render()[0].decode()

    def actions(self, action: str) -> float:
        """Return how often this node did something about the new arm."""
        return Scrape.parse(self.text()).value("bridge_rollout_actions_total", action=action)

    async def change(self, change: Callable[[RolloutState], RolloutState]) -> None:
        await self.store.change("f", change, ME, 5)

    async def until(self, condition: Callable[[RolloutState], bool]) -> float:
        """Wait until what is in force meets a condition; return how long that took."""
        begun_s = time.monotonic()
        await wait_until(lambda: condition(self.flags.state("f")), "the state did not come")
        return time.monotonic() - begun_s


def call_of(number: str) -> IncomingCall:
    now = datetime.now(UTC)
    return incoming_call("+15550000", now, caller=f"<sip:{number}@x>", sip_call_id="call-id")


def at(percent: float) -> Callable[[RolloutState], RolloutState]:
    return lambda state: changes.set_share(state, percent, 1)


def failed(number: int, arm: str = "new", *, permanent: bool = False) -> CallEntry:
    return CallEntry(
        f"c{number}",
        arm,
        0.5,
        1,
        time.time(),
        frozenset({Badness.CONNECTION}),
        connected=False,
        permanent=permanent,
        code="http_503",
    )


async def test_a_kill_switch_reaches_every_node_within_two_seconds(
    redis: LocalRedis, tmp_path: Path, timing: Timing
) -> None:
    async with Node(redis.url, "a", tmp_path) as a, Node(redis.url, "b", tmp_path) as b:
        await a.change(at(100))
        await b.until(lambda state: state.share == 1000)
        assert (a.decide().arm, b.decide().arm) == ("new", "new")
        await b.change(lambda state: changes.switch_arm(state, PLAN, "new", on=False))
        took_s = await asyncio.gather(
            *(node.until(lambda state: "new" in state.stopped) for node in (a, b))
        )
        timing.check("switch", max(took_s) * 1000, most_ms=2_000)
        assert (a.decide().arm, b.decide().arm) == ("old", "old")
        await a.change(lambda state: changes.switch_ai(state, on=False))
        await b.until(lambda state: state.ai_off)
        assert (b.decide().arm, b.decide().reason) == (None, Reason.DISABLED)


async def test_without_redis_each_node_decides_from_what_it_knew_also_after_a_restart(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with Node(redis.url, "a", tmp_path) as a, Node(redis.url, "b", tmp_path) as b:
        await a.change(at(100))
        for node in (a, b):
            await node.until(lambda state: state.share == 1000)
        redis.stop()
        assert (a.decide().arm, b.decide().arm) == ("new", "new")
        await wait_until(
            lambda: not (a.flags._connected or b.flags._connected), "no outage is noticed"
        )
        assert (a.decide().arm, b.decide().arm) == ("new", "new")
    async with Node(redis.url, "b", tmp_path) as again:
        assert again.decide().arm == "new"
    async with Node(redis.url, "unknown", tmp_path) as fresh:
        assert fresh.decide().arm == "old"


async def test_a_redis_that_lost_everything_is_given_the_kill_switch_back(
    redis: LocalRedis, redis_dir: Path, tmp_path: Path
) -> None:
    async with Node(redis.url, "a", tmp_path) as a:
        await a.change(lambda state: changes.switch_ai(state, on=False))
        await a.until(lambda state: state.ai_off)
        redis.stop()
        with start_local_redis(redis_dir):
            async with Node(redis.url, "b", tmp_path) as b:
                await b.until(lambda state: state.ai_off)


async def test_an_arm_that_refuses_for_good_is_stopped_here_at_once_and_everywhere_soon(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with Node(redis.url, "a", tmp_path) as a, Node(redis.url, "b", tmp_path) as b:
        await a.change(at(100))
        await a.until(lambda state: state.share == 1000)
        a.flags.ended("f", failed(1, permanent=True))
        assert a.decide().arm == "old"
        await b.until(lambda state: state.halt is Halt.STOPPED)
        history = await a.store.history("f", 1)
        assert history[0][1]["author"] == "node a"
        assert "http_503" in history[0][1]["evidence"]
        assert (a.actions("stop"), b.actions("stop")) == (1, 0)
        assert 'bridge_rollout_actions_total{action="stop",arm="new"} 0.0' in b.text()
        assert len(await a.store.calls("f", "0")) == 1


async def test_failures_in_a_row_close_the_arm_without_redis_too(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with Node(redis.url, "a", tmp_path) as a:
        await a.change(at(100))
        await a.until(lambda state: state.share == 1000)
        redis.stop()
        for number in range(2):
            a.flags.ended("f", failed(number))
        assert a.decide().arm == "new"
        a.flags.ended("f", failed(3))
        assert a.decide().arm == "old"


async def test_overrides_caps_and_signed_headers_stand_above_the_draw(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with Node(redis.url, "a", tmp_path) as a:
        assert a.decide().arm == "old"
        assert a.decide("+15550199").arm == "new"
        header = sign_arm(SECRET, "f", "new", int(time.time()) + 60)
        signed = a.decide(headers={HEADER.lower(): (header,)})
        assert (signed.arm, signed.reason) == ("new", Reason.TARGETING_MATCH)
        assert a.decide(headers={HEADER.lower(): (header[:-1],)}).arm == "old"
        a.active = {"new": 2}
        assert a.decide("+15550199").arm == "old"


async def test_a_cap_counts_the_calls_of_all_nodes_and_without_redis_those_last_known(
    redis: LocalRedis, tmp_path: Path
) -> None:
    def is_full(node: Node) -> bool:
        return node.decide("+15550199").arm == "old"

    async with Node(redis.url, "a", tmp_path) as a, Node(redis.url, "b", tmp_path) as b:
        a.active, b.active = {"new": 1}, {"new": 1, "old": 5}
        await wait_until(lambda: is_full(a) and is_full(b), "the nodes know nothing")
        b.active = {"new": 0}
        await wait_until(lambda: not is_full(a), "the call on the other node has not ended")
        b.active = {"new": 1}
        await wait_until(lambda: is_full(a), "the other node's call is not known")
        redis.stop()
        await wait_until(lambda: not a.flags._connected, "no outage is noticed")
        assert is_full(a)
        a.active = {"new": 0}
        assert not is_full(a)


async def test_the_calls_of_a_node_that_died_are_not_counted_for_ever(
    redis: LocalRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts_store, "ACTIVE_MS", 1_500)
    async with Node(redis.url, "a", tmp_path) as a:
        assert await a.store.share_active("dead", {"new": 2}) == {}
        await wait_until(lambda: a.decide("+15550199").arm == "old", "its calls don't count")
        await wait_until(lambda: a.decide("+15550199").arm == "new", "its calls still count")


async def test_a_call_is_rescued_only_by_an_arm_that_may_take_it(
    redis: LocalRedis, tmp_path: Path
) -> None:
    async with Node(redis.url, "a", tmp_path) as a:
        assert a.flags.rescuer("f", "new") == "old"
        assert a.flags.rescuer("f", "old") is None, "the new arm has no share yet"
        await a.change(at(5))
        await a.until(lambda state: state.share == 50)
        assert a.flags.rescuer("f", "old") == "new"
        await a.change(lambda state: changes.switch_arm(state, PLAN, "new", on=False))
        await a.until(lambda state: bool(state.stopped))
        assert a.flags.rescuer("f", "old") is None


async def test_a_spoilt_state_or_file_changes_nothing(redis: LocalRedis, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "rollout-f.json").write_text("{")
    async with Node(redis.url, "a", tmp_path) as a:
        assert a.decide().arm == "old"
        await a.link.ask(("HSET", "bridge:rollout:f", "share", '"many"', "version", "9"))
        await wait_until(lambda: a.flags._here["f"].spoilt, "the spoilt state is not read")
        assert a.decide().arm == "old"
        with suppress(FileNotFoundError):
            assert "share" not in (tmp_path / "a" / "rollout-f.json").read_text()
        await a.store.change("g", at(100), ME, 5)
        await wait_until(lambda: a.flags.state("g").share == 1000, "the other flag is not heard of")
