"""A time over its limit is measured again where the kernel denied a CPU, and nothing else is."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.children import waited_ns
from bridge.clock import NS_PER_MS
from tests.support.machine import (
    TOO_LONG_MS,
    Inconclusive,
    MachineWatch,
    Timing,
    Wait,
    all_inconclusive,
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

        await wait_until(seen, "no wait was seen")
    finally:
        for each in turning:
            each.kill()
            each.join()
    with pytest.raises(Inconclusive, match=r"answer: 100 ms, not at most 50 ms; .* waited"):
        Timing(lambda: watch.worst).check("answer", 100, most_ms=50)
    assert f"waited {watch.worst.waited_ms:.0f} ms of 500" in str(watch.worst)
    watch.begin("what it is")
    assert watch.worst.waited_ms < TOO_LONG_MS


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


@pytest.mark.parametrize(
    ("measured_ms", "denied_ms", "error"),
    [
        (50, 500, None),
        (51, 0, AssertionError),
        (51, 0.9, AssertionError),
        (51, 1, Inconclusive),
        (1_050, TOO_LONG_MS - 1, AssertionError),
        (1_050, TOO_LONG_MS, Inconclusive),
        (20, 500, None),
        (19, 0, AssertionError),
        (19, 1, Inconclusive),
    ],
)
def test_time_outside_its_limits_is_a_failure_or_inconclusive(
    measured_ms: float, denied_ms: float, error: type[Exception] | None
) -> None:
    timing = Timing(lambda: Wait("loop", denied_ms))
    if error is None:
        timing.check("answer", measured_ms, least_ms=20, most_ms=50)
        return
    with pytest.raises(error) as raised:
        timing.check("answer", measured_ms, least_ms=20, most_ms=50)
    said = f"answer: {measured_ms} ms, not at least 20 ms and at most 50 ms"
    assert str(raised.value).startswith(said)


def test_limits_that_are_not_given_hold_nothing() -> None:
    timing = Timing(lambda: Wait("loop", 500))
    timing.check("answer", 10_000, least_ms=20)
    timing.check("answer", -10_000, most_ms=20)


def test_late_frames_are_a_failure_or_inconclusive() -> None:
    Timing(lambda: Wait("loop", 500)).check_none("late", 0)
    with pytest.raises(AssertionError, match="late: 2, not 0"):
        Timing(lambda: Wait("loop", TOO_LONG_MS - 1)).check_none("late", 2)
    with pytest.raises(Inconclusive, match="late: 2, not 0; loop waited 40 ms of 500"):
        Timing(lambda: Wait("loop", TOO_LONG_MS)).check_none("late", 2)


def test_what_was_heard_wrong_is_a_failure_or_inconclusive() -> None:
    Timing(lambda: Wait("loop", 500)).check_heard("forty two", is_right=True)
    with pytest.raises(AssertionError, match=r"^forty$"):
        Timing(lambda: Wait("loop", TOO_LONG_MS - 1)).check_heard("forty", is_right=False)
    with pytest.raises(Inconclusive, match="forty; loop waited 40 ms of 500"):
        Timing(lambda: Wait("loop", TOO_LONG_MS)).check_heard("forty", is_right=False)


def test_group_is_inconclusive_where_all_in_it_is() -> None:
    late, wrong = Inconclusive("late"), AssertionError("wrong")
    assert all_inconclusive(ExceptionGroup("", [late, ExceptionGroup("", [late])]))
    assert not all_inconclusive(ExceptionGroup("", [late, wrong]))
    assert not all_inconclusive(wrong)


TESTS = """
import pytest

made, measured = [], []

@pytest.fixture(scope="module")
def shared():
    made.append(1)
    return []

def test_late_twice(shared, timing):
    shared.append(1)
    assert len(shared) == 1
    measured.append(1)
    timing.check("answer", 100 if len(measured) < 3 else 10, most_ms=50)

def test_late_for_ever(timing):
    measured.append(1)
    timing.check("answer", 100, most_ms=50)

def test_wrong_value(timing):
    measured.append(1)
    timing.check("answer", 10, most_ms=50)
    assert "a" == "b"

def test_late_and_wrong(timing):
    measured.append(1)
    try:
        timing.check("answer", 100, most_ms=50)
    finally:
        assert "a" == "b"

@pytest.fixture
def torn():
    yield
    assert "a" == "b"

def test_late_and_wrong_at_its_end(torn, timing):
    measured.append(1)
    timing.check("answer", 100, most_ms=50)

@pytest.mark.sip
def test_of_the_product():
    measured.append(1)
    assert "a" == "b"

def test_how_often():
    assert len(measured) == MEASURED
    assert len(made) == MADE
"""

CONFTEST = Path(__file__).parents[1].joinpath("conftest.py").read_text()


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Run tests with the project's own ``conftest.py``."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeini("[pytest]\nmarkers =\n sip\n timed\n nightly\n")

    def run(tests: str, denied_ms: float, *arguments: str) -> pytest.RunResult:
        said = f"MachineWatch.worst = Wait('loop', {denied_ms})"
        pytester.makeconftest(f"{CONFTEST}\nfrom tests.support.machine import Wait\n{said}\n")
        pytester.makepyfile(test_it=tests)
        quiet = ("-p", "no:cacheprovider", "-p", "no:asyncio")
        return pytester.runpytest_subprocess(*quiet, *arguments)

    return run


def test_time_is_measured_again_where_a_cpu_was_denied_and_a_value_never(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(TESTS.replace("MEASURED", "3 + 4 + 1 + 1 + 1 + 1").replace("MADE", "3"), 500)
    result.assert_outcomes(passed=2, failed=5, errors=1)
    told = [line for line in result.outlines if line.startswith("test_it.py::")]
    assert [line.split(":")[2] for line in told] == ["test_late_twice"] * 2 + [
        "test_late_for_ever"
    ] * 3


def test_time_over_its_limit_fails_at_once_where_no_cpu_was_denied(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(TESTS.replace("MEASURED", "6").replace("MADE", "1"), 0)
    result.assert_outcomes(passed=1, failed=6, errors=1)
    result.stdout.no_fnmatch_line("*measured again*")


APART = """
import pytest

def test_timed(timing):
    pass

def test_value():
    pass

@pytest.mark.nightly
def test_of_a_night(timing):
    pass
"""


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [(("-n", "0"), 3), (("-n", "1"), 3), (("-n", "2"), 2), (("-m", "timed"), 1)],
)
def test_what_measures_time_never_runs_beside_others(
    run: Callable[..., pytest.RunResult], arguments: tuple[str, ...], passed: int
) -> None:
    result = run(APART, 0, *arguments)
    result.assert_outcomes(passed=passed, deselected=2 if "timed" in arguments else 0)
    left_out = [line for line in result.outlines if line == "1 of 3"]
    assert len(left_out) == (arguments == ("-n", "2"))
