"""Whether the machine let a test's processes run: a failure that it made is no finding.

The kernel tells for each thread how long it could have run and no CPU was free for it
(`/proc/<pid>/task/<tid>/schedstat`, Documentation/scheduler/sched-stats.rst). What a process is
slow at by itself is none of that, so a bridge that holds its loop is not excused.
"""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bridge.clock import NS_PER_MS

TOO_LONG_MS = 40.0
"""In one look's time: two packets of sound, and a phone's buffer bridges three (`needs.md` (e))."""

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
    """Looks at this process and all that it started, in a thread of its own, until stopped."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._before = waits_ns(os.getpid())
        self._what: object = None
        self._worst = Wait()
        self._thread = threading.Thread(target=self._look_on, name="machine-watch", daemon=True)
        self._thread.start()

    def begin(self, what: object) -> None:
        """Forget what was before, if something else begins."""
        if what != self._what:
            self._what, self._worst = what, Wait()

    @property
    def worst(self) -> Wait:
        """The longest wait of one thread between two looks since ``begin``."""
        return self._worst

    def excuses(self, failure: str) -> bool:
        """Tell whether a failure tells nothing of what was tested.

        Args:
            failure: as pytest writes it.
        """
        return f"{Inconclusive.__name__}: " in failure or self._worst.waited_ms >= TOO_LONG_MS

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._stopped.wait(LOOK_S):
            now = waits_ns(os.getpid())
            longest = longest_wait(self._before, now)
            self._worst = max(self._worst, longest, key=lambda wait: wait.waited_ms)
            self._before = now


def longest_wait(before: dict[tuple[int, str], int], after: dict[tuple[int, str], int]) -> Wait:
    """Return the longest wait between two looks."""
    waits = [
        Wait(thread[1], (after[thread] - before[thread]) / NS_PER_MS)
        for thread in before.keys() & after.keys()
    ]
    return max(waits, key=lambda wait: wait.waited_ms, default=Wait())


def waits_ns(pid: int) -> dict[tuple[int, str], int]:
    """Return how long each thread of a process, and of all that it started, has waited so far.

    Threads are told apart by id and name; empty where the kernel does not count.
    """
    found: dict[tuple[int, str], int] = {}
    for process in [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]:
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                with suppress(OSError, ValueError, IndexError):
                    name = (task / "comm").read_text().strip()
                    waited = int((task / "schedstat").read_text().split()[1])
                    found[(int(task.name), name)] = waited
    return found
