"""Metrics of rollouts: decisions, shares, verdicts and actions on arms."""

from collections.abc import Collection, Iterable

from bridge.telemetry.labels import (
    LabelGuard,
)
from bridge.telemetry.metrics.families import Families


class RolloutMetrics:
    """Flags and what is held of their new arms."""

    def __init__(self, make: Families) -> None:
        self._evaluations = make.counter(
            "flag_evaluations_total", "Decisions about calls.", "arm", "reason"
        )
        self._target = make.gauge("arm_target_ratio", "Share of new calls, 0 to 1.", "arm")
        self._verdict = make.gauge(
            "rollout_verdict", "1 for what is held of the new arm.", "arm", "verdict"
        )
        self._evidence = make.gauge(
            "rollout_evidence", "E-value against the new arm.", "arm", "metric"
        )
        self._actions = make.counter(
            "rollout_actions_total", "What nodes did about the new arm.", "arm", "action"
        )
        self._rescues = make.counter(
            "rescues_total", "Calls that another arm took over.", "arm", "to", "reason"
        )
        self._reason = LabelGuard(40)

    def evaluated(self, arm: str, reason: str) -> None:
        """Count a decision. ``reason``: a :class:`bridge.routing.rollout.decision.Reason`."""
        self._evaluations.labels(arm, reason).inc()

    def set_target(self, arm: str, share: float) -> None:
        """Publish which share of new calls an arm is to get."""
        self._target.labels(arm).set(share)

    def judged(self, arm: str, verdict: str, verdicts: Collection[str], e_value: float) -> None:
        """Publish what is held of an arm; the node that decides alone does."""
        for each in verdicts:
            self._verdict.labels(arm, each).set(float(each == verdict))
        self._evidence.labels(arm, "bad_calls").set(e_value)

    def expect_actions(self, arm: str, actions: Iterable[str]) -> None:
        """Publish a new arm's series: one that first appears as 1 has no increase to alert on."""
        for action in actions:
            self._actions.labels(arm, action)

    def acted(self, arm: str, action: str) -> None:
        """Count what this node did. ``action``: of :class:`bridge.routing.rollout.verdict.Action`.

        Beside the verdict, which is that of the present step: after a rollback it may be better.
        """
        self._actions.labels(arm, action).inc()

    def follow(self) -> None:
        """Hold nothing of any arm: another node decides."""
        self._verdict.clear()
        self._evidence.clear()

    def rescued(self, arm: str, to: str, reason: str) -> None:
        """Count a call whose arm failed, and which goes on with another one."""
        self._rescues.labels(arm, to, self._reason(reason)).inc()
