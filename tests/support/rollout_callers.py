"""Callers of a rollout: one after another in each lane, until its own figures have it act."""

import asyncio
import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bridge.audio.resample import downsample_whole
from bridge.routing.rollout.changes import set_share
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import RolloutState
from bridge.speech.synthesis import Synthesizer
from bridge.store.rollouts import RolloutStore, Signature
from tests.support.gateways import Gateway
from tests.support.rtp_caller import RtpCaller

LANES = 3
"""Of the four calls that PyPI's PJSIP holds."""
SPOKEN_PACKETS = 60
"""More than the tones of a filler hold until the slower arm answers."""


def question(pause_ms: int) -> NDArray[np.int16]:
    """Ask for an order, and draw breath within the question for so long."""
    say = Synthesizer("en-us", 150).say
    if not pause_ms:
        return downsample_whole(say("Where is my order?"))
    before, after = downsample_whole(say("Where is")), downsample_whole(say("my order?"))
    return np.concatenate([before, np.zeros(8 * pause_ms, np.int16), after])


class Callers:
    """Callers, each with a number of their own, who ask once and hang up when they are answered.

    Args:
        flag: the rollout's.
        pause_ms: within their question.
    """

    def __init__(self, gateway: Gateway, store: RolloutStore, flag: str, pause_ms: int = 0) -> None:
        self._flag = flag
        self._gateway = gateway
        self._store = store
        self._question = question(pause_ms)
        self._numbers = iter(range(15550000, 15559999))

    async def until_acted(self, begin_percent: float) -> RolloutState:
        """Place calls, one after another in each lane, until the rollout's state is another one."""
        begun = time.time_ns() // 1_000_000
        changed = await self._store.change(
            self._flag,
            lambda state: set_share(state, begin_percent, begun),
            Signature("test"),
            begun,
        )
        assert changed is not None
        lanes = [asyncio.create_task(self._place_calls()) for _ in range(LANES)]
        try:
            async with asyncio.timeout(240):
                while True:
                    state = (await self._store.read([self._flag]))[self._flag]
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
        return [entry for _, entry in await self._store.calls(self._flag, "0")]


def _is_over(caller: RtpCaller) -> bool:
    return not caller.speaking


def _is_answered(caller: RtpCaller, since: int) -> bool:
    """Whether more was heard than the tones of a filler."""
    return sum(each.loud for each in caller.heard[since:]) >= SPOKEN_PACKETS
