"""The sequential test: may the new arm be worse, looked at after every call?

Only bad calls count, among those that were drawn. If the arms are alike, a bad call is the
treatment's with the chance f with which its caller was dealt to it, whatever the weight was at that
time; ramps and outages of both arms cancel. The E-value is a likelihood ratio averaged over rate
ratios, so it may be peeked at freely (`NEEDS.md` section 4, rule 2; Ville's inequality).
"""

import math
from dataclasses import dataclass, replace

RATE_RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
ALPHA = 0.01
"""Chance of a false alarm over a whole rollout, shared among the guard metrics."""


@dataclass(frozen=True, slots=True)
class HarmEvidence:
    """Evidence that the treatment is worse, up to now.

    Attributes:
        log_ratios: ln of the likelihood ratio, one for each of :data:`RATE_RATIOS`.
        bad_treatment, bad_control: bad calls counted in.
    """

    log_ratios: tuple[float, ...] = (0.0,) * len(RATE_RATIOS)
    bad_treatment: int = 0
    bad_control: int = 0

    def bad_call(self, *, in_treatment: bool, share: float) -> "HarmEvidence":
        """Count a bad call.

        Args:
            in_treatment: which arm it was dealt to (intention to treat: also if it was rescued).
            share: the treatment's share among treatment and control when it was dealt.

        Raises:
            ValueError: a share of 0 or 1, or outside: nothing was dealt.
        """
        if not 0 < share < 1:
            raise ValueError(f"a share of {share}; a draw has one between 0 and 1")
        steps = []
        for ratio in RATE_RATIOS:
            theta = ratio * share / (ratio * share + 1 - share)
            steps.append(
                math.log(theta / share) if in_treatment else math.log((1 - theta) / (1 - share))
            )
        return replace(
            self,
            log_ratios=tuple(old + step for old, step in zip(self.log_ratios, steps, strict=True)),
            bad_treatment=self.bad_treatment + in_treatment,
            bad_control=self.bad_control + (not in_treatment),
        )

    @property
    def e_value(self) -> float:
        """The evidence: 1 says nothing, 100 is once in a hundred healthy rollouts."""
        top = max(self.log_ratios)
        mean = sum(math.exp(each - top) for each in self.log_ratios) / len(self.log_ratios)
        return math.exp(min(top + math.log(mean), 700.0))

    def convicts(self, guard_metrics: int = 1) -> bool:
        """Return whether the arm is to be rolled back.

        Args:
            guard_metrics: how many are watched side by side.
        """
        return self.e_value >= guard_metrics / ALPHA
