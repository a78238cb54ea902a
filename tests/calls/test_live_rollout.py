"""A rollout from GA to a full-duplex service: promoted by the figures of its own calls."""

from pathlib import Path

import pytest

from bridge.config.settings import RedisSettings
from bridge.routing.rollout.state import Halt
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore
from tests.support.gateways import PLAIN_AGENT, serving, write_dialplan
from tests.support.processes import SIMULATOR_KEY
from tests.support.rollout_callers import Callers

pytestmark = [
    pytest.mark.sip,
    pytest.mark.redis,
    pytest.mark.speech,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

FLAG = "duplex"


async def test_calls_are_moved_from_ga_to_live_by_their_own_figures(
    simulator: str, redis: LocalRedis, tmp_path: Path
) -> None:
    flag = {
        "control": "old",
        "treatment": "new",
        "steps": [50, 100],
        "min_calls": 4,
        "min_time_s": 0,
        "max_bad_rate": 0.6,
        "max_worse_by": 0.6,
        "slow_turn_s": 8,
        "dead_air_s": 60,
    }
    key = {"api_key_env": "SIM_KEY"}
    live = {
        "dialect": "live",
        "url": simulator.replace("/v1/realtime", "/v1/live/sessions"),
        "model": "gpt-live-1",
        "session": {"delegation": {"model": "gpt-5.6-luna"}},
    }
    link = RedisLink(redis.url, timeout_s=2)
    try:
        await link.ask(["FLUSHALL"])
        store = RolloutStore(link, RedisSettings())
        with serving(
            tmp_path,
            simulator,
            write_dialplan(tmp_path / "dialplans", PLAIN_AGENT, arm=None, rollout=FLAG),
            redis_url=redis.url,
            environ={"SIM_KEY": SIMULATOR_KEY, "ROLLOUT_KEY": "a secret for tests"},
            arms={"old": {"url": simulator, **key}, "new": {**live, **key}},
            rollouts={FLAG: flag},
        ) as gateway:
            callers = Callers(gateway, store, FLAG)
            state = await callers.until_acted(50)
            entries = await callers.entries()
    finally:
        await link.aclose()
    assert (state.action, state.percent, state.halt) == ("promote", 100, Halt.NONE)
    assert {each.arm for each in entries} == {"old", "new"}
    assert all(each.turns_ms for each in entries if each.arm == "new" and not each.bad)
    assert not [each for each in entries if each.code]
