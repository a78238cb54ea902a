"""Assigns calls to the workers of a replay so that no two calls at once share anything. Pure.

Every worker has a caller, and an environment that answers its calls, one after the other. No two
calls that go on at once share anything, so none can harm another; a worker that stays with its
environment saves the start of another.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.replay.environment.environment import EnvironmentKey
from bridge.replay.script import Action, CallScript, Hold, Silence, Utterance, Wait


@dataclass(frozen=True, slots=True)
class Job:
    """A call to be placed."""

    script: str
    arm: str
    number: int

    @property
    def side(self) -> tuple[str, str]:
        """The script on the arm: what its runs are summed up by."""
        return self.script, self.arm

    @property
    def run(self) -> str:
        """Names it on the INVITE."""
        return f"{self.script}.{self.arm}.{self.number}"


class Agenda:
    """The calls that are still to be placed.

    Args:
        jobs: in the order of their beginning, as far as there are environments for it.
        environment_of: the environment that a job needs.
    """

    def __init__(
        self, jobs: Sequence[Job], environment_of: Callable[[Job], EnvironmentKey]
    ) -> None:
        self._waiting = list(jobs)
        self._environment_of = environment_of
        self._going_on: Counter[EnvironmentKey] = Counter()

    def take(self, own: EnvironmentKey | None = None) -> Job | None:
        """Take the next job: for one's own environment, else for one that nobody plays, else any.

        Args:
            own: the environment of the worker that asks.

        Returns:
            None if nothing is left.
        """
        if not self._waiting:
            return None

        def rank(job: Job) -> tuple[bool, int]:
            environment = self._environment_of(job)
            return environment != own, self._going_on[environment]

        job = min(self._waiting, key=rank)
        self._waiting.remove(job)
        self._going_on[self._environment_of(job)] += 1
        return job

    def give_back(self, job: Job) -> None:
        """Put a job that was taken, and can't begin now, back to the front."""
        self._waiting.insert(0, job)
        self.done(job)

    def again(self, job: Job) -> None:
        """Put a job that has ended at the end, to be done once more."""
        self._waiting.append(job)

    def done(self, job: Job) -> None:
        """End a job."""
        self._going_on[self._environment_of(job)] -= 1


_CALL_S, _STEP_S = 6.0, 4.0
_LETTERS_A_S = 12.0


def likely_s(script: CallScript) -> float:
    """Guess how long a script's call takes; for the order of calls alone."""
    if script.persona is not None:
        return script.persona.limits.seconds
    return min(
        _CALL_S + sum(_STEP_S + _action_s(step.action) for step in script.caller),
        script.end.after_s or script.end.max_duration_s,
    )


def _action_s(action: Action | None) -> float:
    match action:
        case Utterance(text=text):
            return len(text) / _LETTERS_A_S
        case Silence(ms=ms) | Hold(ms=ms):
            return ms / 1000
        case Wait(delay_ms=delay_ms):
            return delay_ms / 1000
        case _:
            return 0.0
