"""The order in which calls are placed, and which may be placed at once. Pure.

The calls of one script on one arm share a *scene*: a gateway of their own, and for an emulated arm
a simulator. Scenes hold so many calls at once and no more; one in which the Realtime service fails
on demand holds one, for faults are not told apart by call.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """One call to be placed."""

    script: str
    arm: str
    number: int

    @property
    def scene(self) -> tuple[str, str]:
        """The scene that it needs."""
        return self.script, self.arm

    @property
    def run(self) -> str:
        """Names it on the INVITE."""
        return f"{self.script}.{self.arm}.{self.number}"


class Agenda:
    """What is still to be done.

    Args:
        jobs: in the order of their beginning.
        room: how many calls a scene holds at once.
    """

    def __init__(self, jobs: Sequence[Job], room: Mapping[tuple[str, str], int]) -> None:
        self._waiting = list(jobs)
        self._room = room
        self._going_on: Counter[tuple[str, str]] = Counter()

    @property
    def left(self) -> int:
        """Jobs that nobody has taken."""
        return len(self._waiting)

    def take(self) -> Job | None:
        """Take the next job whose scene has room; None while there is none."""
        for place, job in enumerate(self._waiting):
            if self._going_on[job.scene] < self._room[job.scene]:
                del self._waiting[place]
                self._going_on[job.scene] += 1
                return job
        return None

    def done(self, job: Job) -> bool:
        """End a job; tell whether its scene is needed no more."""
        self._going_on[job.scene] -= 1
        waits = any(each.scene == job.scene for each in self._waiting)
        return not waits and not self._going_on[job.scene]
