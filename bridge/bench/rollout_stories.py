"""The stories of the rollout demo, and what became of each. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bridge.bench.rollout_parts import NEW, OLD, Faults
from bridge.routing.rollout.state import Halt, RolloutState

_DEAD: Faults = (
    {"at": "connect", "kind": "refuse", "status": 503, "times": None},
    {"at": "now", "kind": "drop"},
)
_SLOW: Faults = ({"at": "turn", "kind": "stall", "ms": 1500, "times": None},)


@dataclass(frozen=True, slots=True)
class Story:
    """A rollout that is played, and the end that is right.

    Attributes:
        faults: of each arm, set once ``before_calls`` calls are over.
        begin_percent: the new arm's first share; the person's part.
        each_s: how long a call lasts.
        over: what is awaited.
        wanted: the actions that are right; the new arm's death is seen in calls that it cut, or in
            calls that it refused, whatever comes first.
        then_s: calls go on for so long after it,
        then_reasons: and until one has ended for each of these: calls that stand in line before the
            switch may hold every caller for longer than ``then_s``.
    """

    name: str
    title: str
    faults: Mapping[str, Faults]
    begin_percent: float
    each_s: float
    over: Callable[[RolloutState], bool]
    wanted: frozenset[str]
    before_calls: int = 6
    then_s: float = 1.5
    then_reasons: frozenset[str] = frozenset()


STORIES = (
    Story(
        "healthy",
        "healthy, 0 to 100%",
        {},
        25,
        0.7,
        lambda s: s.share == 1000,
        frozenset({"promote"}),
    ),
    Story(
        "dying",
        "new arm dies at 25%",
        {NEW: _DEAD},
        25,
        0.7,
        lambda s: s.halt is not Halt.NONE,
        frozenset({"close", "rollback"}),
    ),
    Story(
        "slow",
        "new arm's audio is slow",
        {NEW: _SLOW},
        25,
        1.8,
        lambda s: s.halt is not Halt.NONE,
        frozenset({"rollback"}),
    ),
    Story(
        "both",
        "both arms down",
        {OLD: _DEAD, NEW: _DEAD},
        50,
        0.7,
        lambda s: s.ai_off,
        frozenset({"incident: ai off"}),
        then_reasons=frozenset({"ai_off"}),
    ),
)


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The stories and the load that they are played under.

    Attributes:
        calls: at once; the pip wheel of PJSIP holds 4.
        min_calls: of the new arm, in each step.
        min_time_s: of a step.
        limit_s: when a story without an end is given up.
    """

    calls: int = 4
    rate: float = 8.0
    min_calls: int = 6
    min_time_s: float = 1.0
    limit_s: float = 60.0
    stories: Sequence[Story] = STORIES

    def settings(self) -> Mapping[str, object]:
        """Return the rollouts' settings: bounds that few calls can meet, and times of seconds."""
        return {
            "control": OLD,
            "treatment": NEW,
            "steps": [25, 50, 100],
            "min_calls": self.min_calls,
            "min_time_s": self.min_time_s,
            "max_bad_rate": 0.4,
            "max_worse_by": 0.4,
            "slow_greeting_s": 1.2,
            "dead_air_s": 1.4,
            "rescue_after_s": 0.7,
            "on_incident": "ai_off",
        }


@dataclass(frozen=True, slots=True)
class StoryOutcome:
    """The outcome of a story.

    Attributes:
        verdict: as the history has it with the action.
        seconds: from the fault (or the begin) to the action; None where none came.
        new_arm_calls: that were dealt to the new arm meanwhile and have ended.
        calls: of both arms, meanwhile.
        harmed: callers, until everything was over, who got no agent, or a bad one.
        rescued: callers who got the other arm's agent instead.
        to_fallback: callers who got the fallback at once, as the AI was switched off.
        all_calls: in the whole story.
    """

    name: str
    title: str
    ok: bool
    action: str
    verdict: str
    why: str
    seconds: float | None
    new_arm_calls: int
    calls: int
    harmed: int
    rescued: int
    to_fallback: int
    all_calls: int
    e_value: float | None = None


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """The outcomes of all stories."""

    stories: tuple[StoryOutcome, ...]
    took_s: float

    @property
    def ok(self) -> bool:
        """Whether each had the end that it should."""
        return all(story.ok for story in self.stories)

    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "ok": self.ok,
            "took_s": round(self.took_s, 1),
            "stories": list(map(asdict, self.stories)),
        }
