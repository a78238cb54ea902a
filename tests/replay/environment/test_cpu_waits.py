"""What a busy machine spoils is no verdict: the kernel says who waited for a CPU, and how long."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bridge.children import thread_waits_ns, waited_ns
from bridge.clock import NS_PER_MS
from bridge.replay.checks.run import RunJudgement
from bridge.replay.environment.cpu_waits import CpuWait, CpuWaits, excused
from bridge.replay.results.run import RunVerdict
from tests.support.waiting import wait_until

_BUSY, _IDLE = "while True: pass", "import time; time.sleep(60)"
_IDLE_WITH_A_BUSY_THREAD = """
import ctypes, threading, time
def spin():
    PR_SET_NAME = 15
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"{name}", 0, 0, 0)
    while True: pass
threading.Thread(target=spin, daemon=True).start()
time.sleep(60)
"""
_FAILED = RunJudgement(RunVerdict.FAIL, "step 2: nothing was said", at_ms=4000)


def _longest_wait_ms(pid: int) -> float:
    return max((waited / NS_PER_MS for *_, waited in thread_waits_ns(pid)), default=0.0)


def _waited_ms(waits: CpuWaits) -> float:
    worst = waits.worst(0, time.time_ns())
    return 0.0 if worst is None else worst.waited_ms


@contextmanager
def process(code: str) -> Iterator[int]:
    """Run Python code on one CPU, which all processes of this test share."""
    cpu = min(os.sched_getaffinity(0))
    pinned = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\n{code}"
    child = subprocess.Popen([sys.executable, "-S", "-c", pinned])
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()


@pytest.mark.skipif(not waited_ns(os.getpid()), reason="this kernel counts no waits (SCHED_INFO)")
async def test_who_waits_for_a_cpu_is_found_and_who_sleeps_is_not() -> None:
    with process(_BUSY) as first, process(_BUSY), process(_BUSY), process(_IDLE) as idle:
        since_ns = time.time_ns()
        async with CpuWaits({"first": first, "idle": idle}) as waits:
            await asyncio.sleep(2.5)
        worst = waits.worst(since_ns, time.time_ns())
        async with CpuWaits({"idle": idle}) as calm:
            await asyncio.sleep(1.5)
    assert worst is not None
    assert worst.who == "first"
    assert 200 < worst.waited_ms < 1100
    sleeping = calm.worst(since_ns, time.time_ns())
    assert sleeping is not None
    assert sleeping.waited_ms < 100


@pytest.mark.skipif(not waited_ns(os.getpid()), reason="this kernel counts no waits (SCHED_INFO)")
@pytest.mark.parametrize(("name", "counts"), [("media", True), ("clock", True), ("other", False)])
async def test_a_sound_thread_that_waits_beside_an_idle_main_thread_is_found(
    name: str, counts: bool
) -> None:
    gateway_code = _IDLE_WITH_A_BUSY_THREAD.format(name=name)
    with process(gateway_code) as gateway, process(_BUSY), process(_BUSY):
        async with CpuWaits({"the gateway": gateway}) as waits:
            await wait_until(lambda: _longest_wait_ms(gateway) > 1000)
    assert (_waited_ms(waits) > 200) is counts


async def test_only_what_was_seen_in_the_call_counts() -> None:
    async with CpuWaits({"we": os.getpid()}) as waits:
        await asyncio.sleep(1.5)
    assert waits.worst(0, time.time_ns()) is not None
    assert waits.worst(time.time_ns(), time.time_ns()) is None


def test_a_process_that_is_gone_has_not_waited() -> None:
    with process(_IDLE) as pid:
        pass
    assert waited_ns(pid) is None
    assert list(thread_waits_ns(pid)) == []


def test_a_failure_on_a_busy_machine_is_inconclusive_and_says_both() -> None:
    judgement = excused(_FAILED, CpuWait("the gateway", 340.0), 200.0)
    assert (judgement.verdict, judgement.spoiled) == (RunVerdict.INCONCLUSIVE, True)
    assert judgement.reason == (
        "the machine was too busy to tell (the gateway waited 340 ms of one second for a CPU):"
        " step 2: nothing was said"
    )
    assert judgement.at_ms == 4000


@pytest.mark.parametrize("worst", [None, CpuWait("the gateway", 199.0)])
def test_a_failure_on_a_calm_machine_stays_one(worst: CpuWait | None) -> None:
    assert excused(_FAILED, worst, 200.0) is _FAILED


@pytest.mark.parametrize("verdict", [RunVerdict.PASS, RunVerdict.INFRASTRUCTURE])
def test_a_pass_on_a_busy_machine_is_one(verdict: RunVerdict) -> None:
    judgement = RunJudgement(verdict)
    assert excused(judgement, CpuWait("the gateway", 900.0), 200.0) is judgement
