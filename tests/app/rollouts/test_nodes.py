"""Two gateways on one Redis: kill switches from the command line, and calls while Redis is away."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.config.settings import RedisSettings
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.verdict import Badness
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis, start_local_redis
from bridge.store.rollouts import RolloutStore
from tests.support.gateways import CallsInRedis, Gateway, Record, serving
from tests.support.processes import run_to_end, write_yaml
from tests.support.redis_servers import RedisServer
from tests.support.rtp_caller import RtpCaller
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.slow]

ENVIRON = {"SIM_KEY": "sk-sim-1", "ROLLOUT_KEY": "a secret for tests"}


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    with start_local_redis(tmp_path_factory.mktemp("r")) as server:
        yield server


class Site:
    """What two nodes share, and the command line beside them."""

    def __init__(self, directory: Path, url: str, redis: LocalRedis | RedisServer) -> None:
        self.directory, self.url, self.redis = directory, url, redis
        write_yaml(
            directory / "dialplans" / "f.yaml",
            {
                "schema": "dialplan/v1",
                "name": "test",
                "match": [{"called": "*"}],
                "rollout": "f",
                "agent": {"instructions": "Be brief."},
            },
        )

    def node(self, name: str, stack: ExitStack) -> Gateway:
        """Start a node."""
        place = self.directory / name
        place.mkdir(exist_ok=True)
        arm = {"url": self.url, "api_key_env": "SIM_KEY"}
        return stack.enter_context(
            serving(
                place,
                self.url,
                self.directory / "dialplans",
                preflight=False,
                redis_url=self.redis.url,
                environ={
                    **ENVIRON,
                    "BRIDGE_STATE_DIR": str(place / "state"),
                    "BRIDGE_NODE": name,
                },
                arms={"old": arm, "new": arm},
                rollouts={"f": {"control": "old", "treatment": "new"}},
                redis={"required": False, "connect_timeout_s": 0.5, "heartbeat_ms": 500},
            )
        )

    def rollout(self, *arguments: str) -> dict[str, object]:
        """Run `bridge rollout` with the settings of node a; return its JSON."""
        ended = run_to_end(
            *("rollout", *arguments, "--config", str(self.directory / "a" / "bridge.yaml")),
            *("--json", "--redis", self.redis.url),
            directory=self.directory,
            **ENVIRON,
        )
        assert ended.code == 0, ended.stderr
        told = json.loads(ended.stdout)
        found: dict[str, object] = told[0] if isinstance(told, list) else told
        return found


async def target(node: Gateway, arm: str) -> float:
    return (await node.metrics()).value("bridge_arm_target_ratio", arm=arm)


async def until_target(nodes: list[Gateway], arm: str, share: float) -> None:
    async def reached() -> bool:
        return [await target(node, arm) for node in nodes] == [share] * len(nodes)

    await wait_until(reached, f"arm {arm} did not get {share}")


async def call(node: Gateway) -> Record:
    """Place a short call; return its record."""
    before = {record["call_id"] for record in await node.records(0)}
    async with RtpCaller(node.sip_port) as caller:
        assert await caller.call() == 200
        await caller.hang_up()
    records = await node.records(len(before) + 1)
    [record] = [each for each in records if each["call_id"] not in before]
    return record


async def test_kill_switches_reach_both_nodes_and_each_decides_alone_without_redis(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    site = Site(tmp_path, simulator, redis)
    with ExitStack() as stack:
        nodes = [site.node(name, stack) for name in ("a", "b")]
        changed = await asyncio.to_thread(
            site.rollout, "set", "f", "--percent", "100", "--reason", "all of it"
        )
        assert changed["share"] == 1000
        await until_target(nodes, "new", 1.0)
        assert [(await call(node))["arm"] for node in nodes] == ["new", "new"]

        await asyncio.to_thread(
            site.rollout, "set", "f", "--arm", "new=off", "--author", "anna", "--reason", "calls"
        )
        await until_target(nodes, "new", 0.0)
        assert [(await call(node))["arm"] for node in nodes] == ["old", "old"]

        status = await asyncio.to_thread(site.rollout, "status", "f")
        assert str(status["held"]).startswith("a kill switch is on")
        assert status["leader"] in [node.node for node in nodes]
        latest = await asyncio.to_thread(site.rollout, "history", "f", "--limit", "1")
        assert (latest["author"], latest["reason"]) == ("anna", "calls")
        explained = await asyncio.to_thread(site.rollout, "explain", "f", "--from", "+15550100")
        assert explained["arm"] == "old"
        assert "arm new is stopped" in str(explained["steps"])

        redis.stop()
        assert [(await call(node))["arm"] for node in nodes] == ["old", "old"]
    with ExitStack() as stack:
        again = site.node("a", stack)
        record = await call(again)
        assert (record["arm"], record["rollout_version"]) == ("old", 2)
        assert again.process.ready["node"]
        await again.until_away("unreachable")


async def killed_in_a_call(node: Gateway, redis: LocalRedis) -> str:
    """Place a call and kill its node; return the call's id."""
    async with CallsInRedis(redis.url) as calls, RtpCaller(node.sip_port) as caller:
        assert await caller.call() == 200
        call_id = await calls.until_active(node.node)

        async def answered() -> bool:
            return "answered_at" in (await calls.reader.call(call_id) or {})

        await wait_until(answered, "the answer is not in Redis")
        node.process.tell(signal.SIGKILL)
        await node.process.ended()
        caller.ended.set()  # there is nobody to say BYE to
    return call_id


async def counted(redis: LocalRedis, most: int) -> list[CallEntry]:
    """Wait until so many calls are in the flag's log; return them."""
    found: list[CallEntry] = []
    link = RedisLink(redis.url, timeout_s=2)
    store = RolloutStore(link, RedisSettings())

    async def come() -> bool:
        found[:] = [entry for _, entry in await store.calls("f", "0")]
        return len(found) >= most

    try:
        await wait_until(come, f"the log has not {most} calls")
    finally:
        await link.aclose()
    return found


async def judged(redis: LocalRedis) -> object:
    """Wait until a verdict has looked at a call of the new arm; return what it counts."""
    found: list[object] = []
    link = RedisLink(redis.url, timeout_s=2)
    store = RolloutStore(link, RedisSettings())

    async def looked() -> bool:
        treatment = (await store.verdict("f") or {}).get("treatment")
        found[:] = [treatment]
        return isinstance(treatment, dict) and treatment["calls"] > 0

    try:
        await wait_until(looked, "the verdict counts no call")
    finally:
        await link.aclose()
    return found[0]


async def test_calls_lost_with_their_node_count_once_in_their_rollout(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    """Swept by another node, and by the node's own next life."""
    site = Site(tmp_path, simulator, redis)
    with ExitStack() as stack:
        doomed, sweeper = (site.node(name, stack) for name in ("a", "b"))
        await asyncio.to_thread(site.rollout, "set", "f", "--percent", "100", "--reason", "all")
        await until_target([doomed, sweeper], "new", 1.0)
        swept = await killed_in_a_call(doomed, redis)
        (entry,) = await counted(redis, 1)
        assert (entry.call_id, entry.arm, entry.share) == (swept, "new", 1.0)
        assert (set(entry.bad), entry.code) == ({Badness.CONNECTION}, "node_lost")
        assert await judged(redis) == {"bad": 1, "calls": 1}
        record = await sweeper.record_of(swept)
        assert (record["rollout"], record["rollout_reason"]) == ("f", "SPLIT")
        assert (record["rollout_version"], record["outcome"]) == (1, "node_lost")
        restarted = await killed_in_a_call(sweeper, redis)
    with ExitStack() as stack:
        again = site.node("b", stack)
        assert [each.call_id for each in await counted(redis, 2)] == [swept, restarted]

        assert (await again.record_of(restarted))["rollout"] == "f"
    assert len(await counted(redis, 2)) == 2
