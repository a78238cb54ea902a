"""Assigns calls to the seats of a replay so that no two calls at once share anything. Pure.

Every seat has a caller, and a *scene* that answers its calls, one after the other. No two calls
that go on at once share anything, so none can harm another; a seat that stays with its scene saves
opening another.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.replay.script import Action, CallScript, Hold, Silence, Utterance, Wait


@dataclass(frozen=True, slots=True)
class SceneKey:
    """What a scene's gateway has from its start to its end.

    Attributes:
        arm: name of the arm under test.
        dialplans: directory of its lines.
        now: its date and time, ISO 8601; None for the machine's.
        script: the only one that it answers, where its service or its keys are that script's own.
    """

    arm: str
    dialplans: str = ""
    now: str | None = None
    script: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One call to be placed."""

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
    """What is still to be done.

    Args:
        jobs: in the order of their beginning, as far as there are scenes for it.
        scene_of: the scene that a job needs.
    """

    def __init__(self, jobs: Sequence[Job], scene_of: Callable[[Job], SceneKey]) -> None:
        self._waiting = list(jobs)
        self._scene_of = scene_of
        self._going_on: Counter[SceneKey] = Counter()

    def take(self, own: SceneKey | None = None) -> Job | None:
        """Take the next job: for one's own scene, else for one that nobody plays, else any.

        Args:
            own: the scene of the seat that asks.

        Returns:
            None if nothing is left.
        """
        if not self._waiting:
            return None

        def rank(job: Job) -> tuple[bool, int]:
            scene = self._scene_of(job)
            return scene != own, self._going_on[scene]

        job = min(self._waiting, key=rank)
        self._waiting.remove(job)
        self._going_on[self._scene_of(job)] += 1
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
        self._going_on[self._scene_of(job)] -= 1


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
