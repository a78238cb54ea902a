"""Calls that race with what replaces, moves or ends them: the process and its memory stay.

The callers are bare sockets that share no code with the product.
"""

import asyncio
import os
import random
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bridge.store.local import LocalRedis
from bridge.telephony.library import load_symbols
from tests.calls import early_races, talking_races
from tests.calls.race_steps import Full, Race
from tests.conftest import show
from tests.live.service import tone_service
from tests.support.gateways import Gateway, serving, write_dialplan
from tests.support.memory import settled_memory
from tests.support.raw_phone import RawPhone
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.sip, pytest.mark.redis, pytest.mark.slow]

RACES = (*talking_races.RACES, *early_races.RACES)
SHORT, LONG = 48, 1_000
WARM_UP = LONG
"""The heap grows to what one such load needs at once, and its free pages come back only whole."""

MOST_GROWTH = 0.03

ALLOCATOR_CHECKS = {
    "LD_PRELOAD": "libc_malloc_debug.so.0",  # glibc 2.34 and later keep MALLOC_CHECK_ there
    "MALLOC_CHECK_": "3",
    "MALLOC_PERTURB_": "165",
    "PYTHONMALLOC": "debug",
    "PYTHONFAULTHANDLER": "1",
}


def memory_checks() -> dict[str, str]:
    """Return the environment in which a gateway's misuse of memory ends it."""
    sanitized = "libasan" in os.environ.get("LD_PRELOAD", "")  # it has to be loaded first
    return {} if sanitized else ALLOCATOR_CHECKS


_AGAIN_S = 0.2

_ROOM_WITHIN_S = 90.0
"""A race may leave calls that PJSIP ends by itself only after 32 s (RFC 3261, timer H)."""
_SHOWN_LINES = 40
_SHOWN_KINDS = 4


class Run:
    """Races on one gateway, several at a time.

    Attributes:
        done: how often each was run to its end; ``full``: how often one had to wait for a slot.
        took_s: how long all of each kind took, waiting included.
        faults: what went wrong, with the race's name.
    """

    def __init__(self, gateway: Gateway, at_once: int) -> None:
        self.done: Counter[str] = Counter()
        self.full: Counter[str] = Counter()
        self.took_s: defaultdict[str, float] = defaultdict(float)
        self.faults: list[str] = []
        self._gateway = gateway
        self._at_once = at_once

    async def play(self, races: list[Race]) -> None:
        """Run races.

        Raises:
            AssertionError: the gateway is gone, or has no room for a race any more.
        """
        left = iter(races)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._at_once):
                    workers.create_task(self._work(left))
        except* AssertionError as failed:
            situation = await situation_of(self._gateway)
            raise AssertionError(f"{failed.exceptions[0]}\n{situation}") from failed

    def figures(self) -> list[str]:
        """Return what was run, for how long, and which kinds took longest and waited most."""
        slowest = sorted(self.took_s.items(), key=lambda pair: -pair[1])[:_SHOWN_KINDS]
        return [
            f"{self.done.total()} races, {sum(self.took_s.values()) / self._at_once:.0f} s, "
            f"{self.full.total()} times full",
            "longest: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in slowest),
            "full: " + ", ".join(f"{n} {t}" for n, t in self.full.most_common(_SHOWN_KINDS)),
        ]

    async def _work(self, left: Iterator[Race]) -> None:
        for each in left:
            began_s = time.monotonic()
            await wait_until(
                partial(self._has_run, each), f"no room for {each.__name__}", _ROOM_WITHIN_S
            )
            self.took_s[each.__name__] += time.monotonic() - began_s
            assert psutil.pid_exists(self._gateway.process.pid)

    async def _has_run(self, given: Race) -> bool:
        if await self._run(given):
            return True
        self.full[given.__name__] += 1
        await asyncio.sleep(_AGAIN_S)
        return False

    async def _run(self, given: Race) -> bool:
        """Run one race; return whether there was room for it."""
        async with RawPhone(self._gateway.sip_port) as phone:
            try:
                async with asyncio.timeout(40):
                    await given(phone)
                self.done[given.__name__] += 1
            except Full:
                return False
            except (TimeoutError, AssertionError) as error:
                self.faults.append(f"{given.__name__}: {_story(error, phone)}")
        return True


def _story(error: Exception, phone: RawPhone) -> str:
    """Return where a race failed, and what its phone was sent."""
    messages = [each for call in phone.calls.values() for each in call.messages]
    came = [f"{each.text.splitlines()[0]} [{each.header('CSeq')}]" for each in messages]
    return "\n".join([*traceback.format_exception(error)[-3:], *came])


async def situation_of(gateway: Gateway) -> str:
    """Return what a gateway counts and has logged last, for a test that has to give up."""
    try:
        _, counted = await gateway.get("/metrics")
    except OSError as error:
        counted = f"no metrics: {error!r}"
    mine = [
        line
        for line in counted.splitlines()
        if line.startswith(("bridge_call", "bridge_sip")) and "_bucket{" not in line
    ]
    logged = gateway.process.stderr.splitlines()[-_SHOWN_LINES:]
    return "\n".join([*(mine or [counted]), *logged])


def drawn(count: int) -> list[Race]:
    """Return so many races, each kind at least once where there is room, in a fixed order."""
    dice = random.Random(14)
    races = [*RACES, *dice.choices(RACES, k=max(0, count - len(RACES)))][:count]
    dice.shuffle(races)
    return races


def at_once() -> int:
    """Races at a time, of which each may take three of PJSIP's slots."""
    return 2 if int(load_symbols().pjsua_call_get_max_count()) <= 4 else 12


async def until_idle(gateway: Gateway) -> psutil.Process:
    await wait_until(lambda: _idle(gateway), "calls stayed")
    return psutil.Process(gateway.process.pid)


async def _idle(gateway: Gateway) -> bool:
    return (await gateway.metrics()).value("bridge_calls_active") == 0


def faults_logged(gateway: Gateway) -> list[dict[str, object]]:
    levels = {"error", "critical"}
    return [each for each in gateway.process.logged if each.get("level") in levels]


async def test_no_race_ends_the_process(tmp_path: Path, redis: LocalRedis) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    checks = memory_checks()
    async with tone_service() as (_, url):
        with serving(
            tmp_path,
            url,
            dialplans,
            preflight=False,
            redis_url=redis.url,
            environ=checks,
            sip={"max_calls": 100},
        ) as gateway:
            loaded = psutil.Process(gateway.process.pid).memory_maps()
            preloaded = checks.get("LD_PRELOAD", "libasan")
            assert any(preloaded in each.path for each in loaded)
            run = Run(gateway, at_once())
            await run.play(drawn(SHORT))
            process = await until_idle(gateway)
            assert run.faults == []
            assert process.is_running()
            assert faults_logged(gateway) == []


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_a_thousand_races_leave_the_process_and_its_memory(
    tmp_path: Path, redis: LocalRedis, request: pytest.FixtureRequest
) -> None:
    dialplans = write_dialplan(tmp_path / "dialplans")
    async with tone_service() as (_, url):
        with serving(
            tmp_path,
            url,
            dialplans,
            preflight=False,
            redis_url=redis.url,
            sip={"max_calls": 100},
        ) as gateway:
            run = Run(gateway, at_once())
            process = psutil.Process(gateway.process.pid)
            await run.play(drawn(WARM_UP))
            before = await settled_memory(gateway)
            await run.play(drawn(LONG))
            after = await settled_memory(gateway)
            growth = after / before - 1
            memory = f"{before / 2**20:.1f} -> {after / 2**20:.1f} MiB ({growth:+.2%})"
            show(request.config, "races of calls", [*run.figures(), memory])
            assert run.faults == []
            assert process.is_running()
            assert growth < MOST_GROWTH
            assert faults_logged(gateway) == []
