"""Which call is placed next, and by whom. Pure.

Every seat has a caller, and at a time one *scene*: what answers the calls of one script on one arm.
So no two calls that go on at once can harm one another; a seat that stays with its scene saves
opening another.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SceneKey = tuple[str, str]
"""Script and arm."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call to be placed."""

    script: str
    arm: str
    number: int

    @property
    def scene(self) -> SceneKey:
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
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._waiting = list(jobs)
        self._going_on: Counter[SceneKey] = Counter()

    def take(self, own: SceneKey | None = None) -> Job | None:
        """Take the next job: of one's own scene, else of one that nobody plays, else any.

        Args:
            own: the scene of the seat that asks.

        Returns:
            None if nothing is left.
        """
        if not self._waiting:
            return None
        job = min(self._waiting, key=lambda each: (each.scene != own, self._going_on[each.scene]))
        self._waiting.remove(job)
        self._going_on[job.scene] += 1
        return job

    def give_back(self, job: Job) -> None:
        """Put a job that was taken, and can't begin now, back to the front."""
        self._waiting.insert(0, job)
        self.done(job)

    def done(self, job: Job) -> None:
        """End a job."""
        self._going_on[job.scene] -= 1
