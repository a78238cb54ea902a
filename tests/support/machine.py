"""Checks of time, and how long the processes under test were denied a CPU while they were measured.

A time that is over its limit is a finding where the processes had a CPU whenever they could run,
and is inconclusive where they had not: it is measured again. Values are plain ``assert``: no
machine makes them wrong. A wait for an event (:mod:`tests.support.waiting`) is no check of time.

The kernel counts for each thread how long it could have run and no CPU was free for it
(:mod:`bridge.children`), and for each CPU how long the hypervisor took it away. What a
process is slow at by itself is neither, so a bridge that holds its loop is not excused.

A process of its own does the looking: tests count their threads and files.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite
from typing import Never

import psutil

from bridge.children import stolen_ns, thread_waits_ns
from bridge.clock import NS_PER_MS

TOO_LONG_MS = 40.0
"""In a look's time: two packets of sound; a phone's buffer bridges three (`NEEDS.md` section 5)."""

LOOK_S = 0.5


class Inconclusive(Exception):
    """A time is over its limit, and processes under test were denied a CPU. Raised by `Timing`."""


def all_inconclusive(error: BaseException) -> bool:
    """Return whether an error holds nothing but inconclusive times, in groups or alone."""
    if isinstance(error, BaseExceptionGroup):
        return all(all_inconclusive(each) for each in error.exceptions)
    return isinstance(error, Inconclusive)


@dataclass(frozen=True, slots=True)
class Wait:
    """A thread that could have run.

    Attributes:
        who: the thread's name.
        waited_ms: between two looks.
    """

    who: str = "nobody"
    waited_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.who} waited {self.waited_ms:.0f} ms of {LOOK_S * 1000:.0f} for a CPU"


class MachineWatch:
    """Has this process, and all that it started, looked at until it is stopped."""

    def __init__(self) -> None:
        self._looker = subprocess.Popen(
            [sys.executable, "-P", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._what: object = None

    def begin(self, what: object) -> None:
        """Forget what was before, if something else begins."""
        if what != self._what:
            self._what = what
            self.forget()

    def forget(self) -> None:
        """Forget what was before."""
        self._ask("begin")

    @property
    def worst(self) -> Wait:
        """The longest wait of one thread between two looks since ``begin``."""
        return self._ask("worst")

    def stop(self) -> None:
        """End the looking."""
        self._looker.communicate()

    def _ask(self, question: str) -> Wait:
        assert self._looker.stdin is not None
        assert self._looker.stdout is not None
        self._looker.stdin.write(f"{question}\n")
        waited_ms, _, who = self._looker.stdout.readline().rstrip("\n").partition(" ")
        return Wait(who, float(waited_ms))


class Timing:
    """Checks times that a test has measured: each is in its limits, a failure, or inconclusive.

    It is the fixture ``timing``; who asks for it is marked ``timed``, and runs with nothing beside.
    """

    def __init__(self, watch: Callable[[], Wait]) -> None:
        """Make it.

        Args:
            watch: returns the longest wait of a thread under test since the measuring began.
        """
        self._watch = watch

    def check(
        self, what: str, measured_ms: float, *, least_ms: float = -inf, most_ms: float = inf
    ) -> None:
        """Hold a time against its limits, both of them included.

        Raises:
            AssertionError: it is outside them.
            Inconclusive: it is, and a thread was denied a CPU for as long as it is outside, or so
                long that buffers and timers act otherwise.
        """
        outside_ms = max(measured_ms - most_ms, least_ms - measured_ms)
        if outside_ms <= 0:
            return
        limits = " and ".join(
            f"{side} {limit_ms:g} ms"
            for side, limit_ms in (("at least", least_ms), ("at most", most_ms))
            if isfinite(limit_ms)
        )
        self._fail(f"{what}: {measured_ms:g} ms, not {limits}", min(outside_ms, TOO_LONG_MS))

    def check_none(self, what: str, late: int) -> None:
        """Hold a count of frames that were late, or left out for lateness, against none.

        Raises:
            AssertionError: there are some.
            Inconclusive: there are, and a thread was denied a CPU for longer than buffers bridge.
        """
        if late:
            self._fail(f"{what}: {late}, not 0", TOO_LONG_MS)

    def check_heard(self, what: str, *, is_right: bool) -> None:
        """Hold what an ear made of packets that came in time, or late, against what was said.

        Args:
            what: it was taken for.

        Raises:
            AssertionError: it is wrong.
            Inconclusive: it is, and a thread was denied a CPU for longer than buffers bridge.
        """
        if not is_right:
            self._fail(what, TOO_LONG_MS)

    def _fail(self, found: str, denied_ms: float) -> Never:
        """Raise, by whether a thread was denied a CPU for so long."""
        worst = self._watch()
        if worst.waited_ms >= denied_ms:
            raise Inconclusive(f"{found}; {worst}")
        raise AssertionError(found)


def look_on(pid: int) -> None:
    """Look at a process and all that it started, and answer on stdout until stdin ends."""
    worst, before, look_s = Wait(), waits_ns(pid), time.monotonic() + LOOK_S
    while True:
        if select.select([sys.stdin], [], [], max(look_s - time.monotonic(), 0.0))[0]:
            question = sys.stdin.readline()
            if not question:
                return
            now = waits_ns(pid)
            worst = max(worst, longest_wait(before, now), key=lambda wait: wait.waited_ms)
            if question == "begin\n":
                worst, before = Wait(), now
            sys.stdout.write(f"{worst.waited_ms} {worst.who}\n")
            sys.stdout.flush()
        if time.monotonic() >= look_s:
            now = waits_ns(pid)
            worst = max(worst, longest_wait(before, now), key=lambda wait: wait.waited_ms)
            before, look_s = now, time.monotonic() + LOOK_S


def longest_wait(before: dict[tuple[int, str], int], after: dict[tuple[int, str], int]) -> Wait:
    """Return the longest wait between two looks."""
    waits = [
        Wait(thread[1], (after[thread] - before[thread]) / NS_PER_MS)
        for thread in before.keys() & after.keys()
    ]
    return max(waits, key=lambda wait: wait.waited_ms, default=Wait())


def waits_ns(pid: int) -> dict[tuple[int, str], int]:
    """Return how long each thread of a process, and of all that it started, has waited so far.

    Who asks is left out. Threads are told apart by id and name; empty where nobody counts. What
    the hypervisor took from all CPUs is in it as thread 0, where there is one.
    """
    found: dict[tuple[int, str], int] = {}
    if stolen := stolen_ns():
        found[(0, "hypervisor's guest")] = stolen
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    for process in set(family) - {os.getpid()}:
        for thread, name, waited in thread_waits_ns(process):
            found[(thread, name)] = waited
    return found


if __name__ == "__main__":
    with suppress(psutil.NoSuchProcess, KeyboardInterrupt):  # pytest's, which ended first
        look_on(int(sys.argv[1]))
