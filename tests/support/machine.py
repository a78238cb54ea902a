"""Whether the machine let a test's processes run: a failure that it made is no finding.

The kernel tells for each thread how long it could have run and no CPU was free for it
(:func:`bridge.children.waited_ns`). What a process is slow at by itself is none of that, so a
bridge that holds its loop is not excused.

Who looks is a process of its own: tests count their threads and files.
"""

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bridge.children import waited_ns
from bridge.clock import NS_PER_MS

TOO_LONG_MS = 40.0
"""In a look's time: two packets of sound; a phone's buffer bridges three (`NEEDS.md` section 5)."""

LOOK_S = 0.5


class Inconclusive(Exception):
    """The machine was too busy to tell; the test itself has seen that."""


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
            self._ask("begin")

    @property
    def worst(self) -> Wait:
        """The longest wait of one thread between two looks since ``begin``."""
        return self._ask("worst")

    def excuses(self, failure: str) -> bool:
        """Tell whether a failure tells nothing of what was tested.

        Args:
            failure: as pytest writes it.
        """
        return f"{Inconclusive.__name__}: " in failure or self.worst.waited_ms >= TOO_LONG_MS

    def stop(self) -> None:
        """End the looking."""
        self._looker.communicate()

    def _ask(self, question: str) -> Wait:
        assert self._looker.stdin is not None
        assert self._looker.stdout is not None
        self._looker.stdin.write(f"{question}\n")
        waited_ms, _, who = self._looker.stdout.readline().rstrip("\n").partition(" ")
        return Wait(who, float(waited_ms))


def look_on(pid: int) -> None:
    """Look at a process and all that it started, and answer on stdout until stdin ends."""
    worst, before, look_s = Wait(), waits_ns(pid), time.monotonic() + LOOK_S
    while True:
        if select.select([sys.stdin], [], [], max(look_s - time.monotonic(), 0.0))[0]:
            question = sys.stdin.readline()
            if not question:
                return
            if question == "begin\n":
                worst = Wait()
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

    Who asks is left out. Threads are told apart by id and name; empty where nobody counts.
    """
    found: dict[tuple[int, str], int] = {}
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    for process in set(family) - {os.getpid()}:
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                with suppress(OSError):
                    name = (task / "comm").read_text().strip()
                    if (waited := waited_ns(int(task.name))) is not None:
                        found[(int(task.name), name)] = waited
    return found


if __name__ == "__main__":
    with suppress(psutil.NoSuchProcess, KeyboardInterrupt):  # pytest's, which ended first
        look_on(int(sys.argv[1]))
