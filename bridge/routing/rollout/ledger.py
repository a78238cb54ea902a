"""Adds up the calls of a rollout, for its verdict and for the figures shown beside it.

A fold over the log of ended calls, so that any node can take it up from the log at any time.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bridge.config.rollouts import RolloutSettings
from bridge.routing.rollout.bounds import LatencyDifference, compare_p95
from bridge.routing.rollout.evidence import HarmEvidence
from bridge.routing.rollout.observed import CallEntry
from bridge.routing.rollout.state import Halt, RolloutState, guards_of
from bridge.routing.rollout.verdict import NOT_SEEN, Judgement, Trial, judge

REPEAT_S = 3600.0
"""A caller's bad calls count once in this time: the caller is the unit (`NEEDS.md` section 4,
rule 7)."""

_CALLS_COMPARED = 300
"""Latest calls of each arm whose latencies are compared."""

_FIRST_LOOK = 20
_NEXT_LOOK = 1.5
"""The latencies are looked at when there are so many times more calls than at the last look: every
look may err, so there are few."""

_TOP_REASONS = 5


@dataclass(slots=True)
class Ledger:
    """Adds up the calls of one step.

    Attributes:
        plan: the rollout.
        state: what was in force when the step began.
        digests: of the arms' settings as they are now, by name. What an arm did with others
            (another model, another session template) says nothing of it.
        sip_arms: arms that are SIP URIs, of which less is seen.
        latency: the last comparison of the arms.
    """

    plan: RolloutSettings
    state: RolloutState
    digests: Mapping[str, str] = field(default_factory=dict)
    sip_arms: frozenset[str] = frozenset()
    trial: Trial = field(init=False)
    latency: LatencyDifference | None = None
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    rescued: int = 0
    _turns: dict[bool, deque[tuple[int, ...]]] = field(init=False)
    _bad_at_s: dict[str, float] = field(default_factory=dict)
    _with_turns: int = 0
    _look_at: float = _FIRST_LOOK

    def __post_init__(self) -> None:
        state = self.state
        self.trial = Trial(
            guards_of(self.plan),
            tuple(arm for arm in self.plan.arms if arm in self.sip_arms),
            state.step_ms / 1000,
            evidence=HarmEvidence() if self._is_stranger(state.arms) else state.evidence,
            permanent=state.halt is Halt.STOPPED,
        )
        self._turns = {arm: deque(maxlen=_CALLS_COMPARED) for arm in (False, True)}

    def take(self, entry: CallEntry) -> None:
        """Count a call in, unless it is of an earlier trial, or a caller's repeated bad one."""
        if entry.version < self.state.trial or entry.arm not in self.plan.arms:
            return
        if self._is_stranger({entry.arm: entry.digest}):
            return
        if entry.bad and self._is_repeat(entry):
            return
        result = entry.result(self.plan.treatment)
        if entry.at_s < self.trial.since_s:
            self.trial = self.trial.before(result)
            return
        self.trial = self.trial.after(result)
        if entry.bad:
            self.reasons[entry.arm, entry.code or min(entry.bad)] += 1
        self.rescued += bool(entry.rescued_by)
        if entry.turns_ms and entry.share is not None:
            self._turns[result.in_treatment].append(entry.turns_ms)
            self._with_turns += 1

    @property
    def wants_comparison(self) -> bool:
        """Whether there are enough new calls to compare the latencies again."""
        return self._with_turns >= self._look_at

    def compare(self) -> None:
        """Compare the arms' latencies."""
        self._look_at = max(self._with_turns * _NEXT_LOOK, _FIRST_LOOK)
        rng = np.random.default_rng(self._with_turns)
        self.latency = compare_p95(tuple(self._turns[True]), tuple(self._turns[False]), rng)

    def judge(self, now_s: float) -> Judgement:
        """Judge the treatment."""
        return judge(self.trial, now_s, latency=self.latency)

    def figures(self, judgement: Judgement) -> dict[str, object]:
        """Return the evidence for people and records: counts, bounds, the most frequent reasons."""
        evidence, latency = self.trial.evidence, self.latency
        return {
            "verdict": judgement.verdict.value,
            "action": judgement.action.value,
            "why": list(judgement.reasons),
            "e_value": round(judgement.e_value, 3),
            "treatment": _rate(judgement.treatment.bad, judgement.treatment.calls),
            "control": _rate(judgement.control.bad, judgement.control.calls),
            "bad_in_trial": {
                "treatment": evidence.bad_treatment,
                "control": evidence.bad_control,
            },
            "rescued": self.rescued,
            "p95_difference_ms": None if latency is None else round(latency.difference_ms),
            "p95_interval_ms": None
            if latency is None
            else [round(latency.low_ms), round(latency.high_ms)],
            "not_seen": dict.fromkeys(self.trial.unseen, NOT_SEEN),
            "reasons": [
                {"arm": arm, "code": code, "calls": calls}
                for (arm, code), calls in self.reasons.most_common(_TOP_REASONS)
            ],
        }

    def _is_stranger(self, arms: Mapping[str, str]) -> bool:
        """Return whether one of the arms had other settings than now, as far as both are known."""
        return any(
            digest and self.digests.get(arm, digest) != digest for arm, digest in arms.items()
        )

    def _is_repeat(self, entry: CallEntry) -> bool:
        if not entry.caller:
            return False
        last_s = self._bad_at_s.get(entry.caller)
        if last_s is not None and entry.at_s - last_s < REPEAT_S:
            return True
        self._bad_at_s[entry.caller] = entry.at_s
        return False


def _rate(bad: int, calls: int) -> dict[str, int]:
    return {"bad": bad, "calls": calls}
