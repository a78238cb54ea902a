"""A rollout of turn detection alone: two arms that differ in their templates, judged by calls."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.config.settings import RedisSettings
from bridge.routing.rollout.state import Halt
from bridge.routing.rollout.verdict import Badness
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore
from tests.support.gateways import Gateway, serving, write_dialplan
from tests.support.processes import SIMULATOR_KEY
from tests.support.rollout_callers import Callers

pytestmark = [
    pytest.mark.sip,
    pytest.mark.redis,
    pytest.mark.speech,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

FLAG = "turns"
SLOW_TURN_S = 2.5
AGENT = {
    "instructions": "Be brief.",
    "language": "en",
    "transcription": {"model": "gpt-transcribe"},
}
"""It leaves turn detection to the arms."""


@contextmanager
def arms_of(
    simulator: str, redis: LocalRedis, directory: Path, old_ms: int, new_ms: int
) -> Iterator[Gateway]:
    """A gateway with two arms of one service, which differ in how much silence ends a turn."""
    arms: Mapping[str, object] = {
        name: {
            "url": simulator,
            "api_key_env": "SIM_KEY",
            "session": {
                "audio": {
                    "input": {
                        "turn_detection": {"type": "server_vad", "silence_duration_ms": silence_ms}
                    }
                }
            },
        }
        for name, silence_ms in (("patient", old_ms), ("new", new_ms))
    }
    flag = {
        "control": "patient",
        "treatment": "new",
        "steps": [25, 50, 100],
        "min_calls": 4,
        "min_time_s": 0,
        "max_bad_rate": 0.6,
        "max_worse_by": 0.6,
        "slow_turn_s": SLOW_TURN_S,
        "dead_air_s": 60,
        "max_cut_offs": 0,
    }
    with serving(
        directory,
        simulator,
        write_dialplan(directory / "dialplans", AGENT, arm=None, rollout=FLAG),
        redis_url=redis.url,
        environ={"SIM_KEY": SIMULATOR_KEY, "ROLLOUT_KEY": "a secret for tests"},
        arms=arms,
        rollouts={FLAG: flag},
    ) as gateway:
        yield gateway


PAUSE_MS = 700


@pytest.mark.parametrize(
    ("old_ms", "new_ms", "pause_ms", "begin_percent", "action"),
    [
        (500, 3_500, 0, 50, "rollback"),
        (1_200, 100, PAUSE_MS, 50, "rollback"),
        (500, 300, 0, 25, "promote"),
    ],
    ids=["slow", "cuts callers off", "good"],
)
async def test_arms_that_differ_in_turn_detection_are_judged_by_their_calls(
    simulator: str,
    redis: LocalRedis,
    tmp_path: Path,
    old_ms: int,
    new_ms: int,
    pause_ms: int,
    begin_percent: float,
    action: str,
) -> None:
    link = RedisLink(redis.url, timeout_s=2)
    try:
        await link.ask(["FLUSHALL"])
        store = RolloutStore(link, RedisSettings())
        with arms_of(simulator, redis, tmp_path, old_ms, new_ms) as gateway:
            callers = Callers(gateway, store, FLAG, pause_ms)
            state = await callers.until_acted(begin_percent)
            entries = await callers.entries()
    finally:
        await link.aclose()
    turns = {
        name: [turn for each in entries if each.arm == name for turn in each.turns_ms]
        for name in ("patient", "new")
    }
    print(state.action, state.percent, state.reason, turns)
    assert state.action == action
    assert state.halt is (Halt.ROLLED_BACK if action == "rollback" else Halt.NONE)
    assert state.percent == (0 if action == "rollback" else 50)
    bad = {each.arm for each in entries if each.bad}
    assert bad == ({"new"} if action == "rollback" else set())
    assert {kind for each in entries for kind in each.bad} <= {Badness.TIMING}
    assert not [each for each in entries if each.code]
