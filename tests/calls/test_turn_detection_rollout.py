"""A rollout of turn detection alone: two arms that differ in their templates, judged by calls."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.audio.resample import downsample_whole
from bridge.config.settings import RedisSettings
from bridge.routing.rollout.changes import set_share
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import Halt, RolloutState
from bridge.routing.rollout.verdict import Badness
from bridge.speech.synthesis import Synthesizer
from bridge.store.client import RedisLink
from bridge.store.local import LocalRedis
from bridge.store.rollouts import RolloutStore, Signature
from tests.support.gateways import Gateway, serving, write_dialplan
from tests.support.processes import SIMULATOR_KEY
from tests.support.rtp_caller import RtpCaller

pytestmark = [
    pytest.mark.sip,
    pytest.mark.redis,
    pytest.mark.speech,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

FLAG = "turns"
LANES = 3
"""Of the four calls that PyPI's PJSIP holds."""
SLOW_TURN_S = 2.5
SPOKEN_PACKETS = 60
"""More than the tones of a filler hold until the slower arm answers."""
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


def question(pause_ms: int) -> NDArray[np.int16]:
    """Ask for an order, and draw breath within the question for so long."""
    say = Synthesizer("en-us", 150).say
    if not pause_ms:
        return downsample_whole(say("Where is my order?"))
    before, after = downsample_whole(say("Where is")), downsample_whole(say("my order?"))
    return np.concatenate([before, np.zeros(8 * pause_ms, np.int16), after])


class Callers:
    """Callers, each with a number of their own, who ask once and hang up when they are answered."""

    def __init__(self, gateway: Gateway, store: RolloutStore, pause_ms: int) -> None:
        self._gateway = gateway
        self._store = store
        self._question = question(pause_ms)
        self._numbers = iter(range(15550000, 15559999))

    async def until_acted(self, begin_percent: float) -> RolloutState:
        """Place calls, one after another in each lane, until the rollout's state is another one."""
        begun = time.time_ns() // 1_000_000
        changed = await self._store.change(
            FLAG, lambda state: set_share(state, begin_percent, begun), Signature("test"), begun
        )
        assert changed is not None
        lanes = [asyncio.create_task(self._place_calls()) for _ in range(LANES)]
        try:
            async with asyncio.timeout(240):
                while True:
                    state = (await self._store.read([FLAG]))[FLAG]
                    if state.version > changed[1].version:
                        return state
                    done, _ = await asyncio.wait(
                        lanes, timeout=0.1, return_when=asyncio.FIRST_EXCEPTION
                    )
                    for lane in done:
                        lane.result()
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _place_calls(self) -> None:
        while True:
            async with RtpCaller(self._gateway.sip_port, user=f"+{next(self._numbers)}") as caller:
                assert await caller.call() == 200
                caller.speak(self._question)
                await caller.until(partial(_is_over, caller))
                await caller.until(partial(_is_answered, caller, len(caller.heard)))
                await caller.hang_up()

    async def entries(self) -> list[CallEntry]:
        return [entry for _, entry in await self._store.calls(FLAG, "0")]


def _is_over(caller: RtpCaller) -> bool:
    return not caller.speaking


def _is_answered(caller: RtpCaller, since: int) -> bool:
    """Whether more was heard than the tones of a filler."""
    return sum(each.loud for each in caller.heard[since:]) >= SPOKEN_PACKETS


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
            callers = Callers(gateway, store, pause_ms)
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
