"""Two gateways on one Redis: kill switches from the command line, and calls while Redis is away."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis, start_local_redis
from tests.support.gateways import Gateway, Record, serving
from tests.support.processes import run_to_end, write_yaml
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

    def __init__(self, directory: Path, url: str, redis: LocalRedis) -> None:
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
                environ={**ENVIRON, "BRIDGE_STATE_DIR": str(place / "state")},
                arms={"old": arm, "new": arm},
                rollouts={"f": {"control": "old", "treatment": "new"}},
                redis={"required": False, "connect_timeout_s": 0.5},
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

    await wait_until(reached, 10.0, f"arm {arm} did not get {share}")


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
        begun_s = time.monotonic()  # the command has ended: its change is in Redis
        await until_target(nodes, "new", 0.0)
        assert time.monotonic() - begun_s < 2.0
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
        await again.until_ready(503, "Redis is away")
