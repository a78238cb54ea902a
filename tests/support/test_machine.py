"""A failure is excused by what the kernel tells of the machine, and by nothing else."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.children import waited_ns
from bridge.clock import NS_PER_MS
from tests.support.machine import (
    TOO_LONG_MS,
    MachineWatch,
    Wait,
    longest_wait,
    waits_ns,
)
from tests.support.waiting import wait_until

pytest_plugins = ["pytester"]


@pytest.fixture
def watch() -> Iterator[MachineWatch]:
    watch = MachineWatch()
    yield watch
    watch.stop()


def _turn(seconds: float) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        pass


counted = pytest.mark.skipif(
    not waited_ns(os.getpid()), reason="this kernel counts no waits (SCHED_INFO)"
)


@counted
async def test_children_that_want_one_cpu_are_seen_waiting(watch: MachineWatch) -> None:
    turning = [
        multiprocessing.get_context("spawn").Process(target=_turn, args=(20.0,)) for _ in "ab"
    ]
    for each in turning:
        each.start()
    try:

        async def seen() -> bool:
            return watch.worst.waited_ms > TOO_LONG_MS

        await wait_until(seen, 15.0, "no wait was seen")
    finally:
        for each in turning:
            each.kill()
            each.join()
    assert watch.excuses("AssertionError")
    assert f"waited {watch.worst.waited_ms:.0f} ms of 500" in str(watch.worst)
    watch.begin("what it is")
    assert watch.worst == Wait()


def test_the_longest_wait_is_of_one_thread_and_new_threads_have_none() -> None:
    before = {(1, "loop"): 5 * NS_PER_MS, (2, "clock"): 0, (3, "gone"): 0}
    after = {(1, "loop"): 35 * NS_PER_MS, (2, "clock"): 20 * NS_PER_MS, (4, "new"): 900 * NS_PER_MS}
    assert longest_wait(before, after) == Wait("loop", 30.0)
    assert longest_wait({}, after) == Wait()


@counted
def test_who_asks_is_not_counted_and_what_it_started_is() -> None:
    sleeping = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60.0,))
    sleeping.start()
    assert sleeping.pid is not None
    found = {who for who, _ in waits_ns(os.getpid())}
    sleeping.kill()
    sleeping.join()
    assert os.getpid() not in found
    assert sleeping.pid in found


QUIET = "MachineWatch.excuses = lambda self, failure: 'Inconclusive: ' in failure"

TESTS = """
import pytest
from tests.support.machine import Inconclusive

made = []

@pytest.fixture(scope="module")
def shared():
    made.append(1)
    return []

@pytest.mark.sip
def test_of_the_machine(shared):
    shared.append(1)
    assert len(shared) == 1
    if len(made) < 3:
        raise Inconclusive("busy")

@pytest.mark.sip
def test_never_told(shared):
    raise Inconclusive("busy")

@pytest.mark.sip
def test_of_the_product():
    assert not made

def test_pure():
    raise Inconclusive("busy")

def test_how_often():
    assert len(made) == 3 + 3
"""


def test_repeated_are_the_machines_failures_three_times_and_no_others(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet machine; ``Inconclusive`` stands for one that was not."""
    conftest = Path(__file__).parents[1].joinpath("conftest.py").read_text()
    pytester.makeconftest(f"{conftest}\nMachineWatch.worst = 'quiet'\n{QUIET}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeini("[pytest]\nmarkers = sip\n")
    pytester.makepyfile(test_it=TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=2, failed=3)
    told = [line for line in result.outlines if ": quiet: " in line]
    assert [line.split(":")[2] for line in told] == ["test_of_the_machine"] * 2 + [
        "test_never_told"
    ] * 3
    assert told[0].endswith("Inconclusive: busy")
