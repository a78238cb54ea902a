"""Judges a new arm by the calls since its last step, and derives the next change.

A hard gate for what needs no statistics, the sequential test for harm, bounds for promotion.
Missing evidence is never success. Only faults of connection, protocol, timing and handoff may roll
an arm back by themselves, and not where both arms suffer (`NEEDS.md` section 4).

The action is carried out by :func:`bridge.routing.rollout.changes.follow`, called by the leader in
:mod:`bridge.app.rollouts.controller` and, where it can't wait, by each node in
:mod:`bridge.app.rollouts.in_force`.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.routing.rollout.bounds import LatencyDifference, Rate, difference_upper
from bridge.routing.rollout.evidence import ALPHA, HarmEvidence


class Badness(enum.StrEnum):
    """The reason for which a call counts as bad."""

    CONNECTION = "connection"
    PROTOCOL = "protocol"
    TIMING = "timing"
    HANDOFF = "handoff"


UNSEEN_BY_SIP = frozenset({Badness.PROTOCOL, Badness.TIMING, Badness.HANDOFF})
"""What makes a call bad and is not, or not wholly, seen of an arm that is a SIP URI: of its timing
the first sound alone, of its protocol a silent call alone."""

NOT_SEEN = "turns, dead air, protocol errors, people who were not reached"
"""The same, in words."""


class Verdict(enum.StrEnum):
    """The judgement of an arm."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"


class Action(enum.StrEnum):
    """The action that follows from a verdict."""

    NONE = "none"
    STOP = "stop"
    """The arm gets no more calls until a person arms it again."""
    PAUSE = "pause"
    """The arm is closed, likewise, until a person resumes it at the same share."""
    ROLL_BACK = "roll_back"
    PROMOTE = "promote"
    STEP_BACK = "step_back"
    RAISE_INCIDENT = "raise_incident"
    """Both arms fail: the provider, not the rollout."""


@dataclass(frozen=True, slots=True)
class SampledCall:
    """A call's part in the evidence about its arm.

    Attributes:
        in_treatment: the arm that it was dealt to, also where the other one rescued it.
        share: the treatment's share among the two when it was dealt; None for calls that were not
            drawn (overrides, tests): the hard gate alone looks at them.
        connected: it had its session when it left the arm; a call that lost it in the talk and got
            none again has failed as one that never had any.
        permanent: the arm refused for good (a row of the failure table says so).
    """

    in_treatment: bool
    share: float | None
    bad: frozenset[Badness] = frozenset()
    connected: bool = True
    permanent: bool = False
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Guards:
    """The limits of a rollout step.

    Attributes:
        setup_failures: calls in a row without a session, that pause the arm.
        max_bad_rate: promotion wants the upper bound of the treatment's bad rate below it.
        max_worse_by: and that of the difference below this.
        min_calls: of the treatment, before a promotion.
        min_time_s: likewise.
        incident_rate: bad calls among the last ``incident_calls`` of *each* arm that make it an
            incident.
        no_data_s: without a call for so long: step back.
    """

    setup_failures: int = 3
    max_bad_rate: float = 0.02
    max_worse_by: float = 0.015
    min_calls: int = 50
    min_time_s: float = 600.0
    incident_rate: float = 0.5
    incident_calls: int = 5
    no_data_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class _Arm:
    calls: int = 0
    bad: int = 0
    recent: tuple[bool, ...] = ()

    def after(self, call: SampledCall, guards: Guards) -> "_Arm":
        bad, kept = bool(call.bad), max(guards.incident_calls, guards.setup_failures)
        return _Arm(self.calls + 1, self.bad + bad, (*self.recent, bad)[-kept:])

    @property
    def rate(self) -> Rate:
        return Rate(self.bad, self.calls)

    def fails(self, guards: Guards) -> bool:
        """Return whether its last calls say that it fails now: all of a few, or many of more."""
        few = self.recent[-guards.setup_failures :]
        if len(few) == guards.setup_failures and all(few):
            return True
        enough = len(self.recent) >= guards.incident_calls
        return enough and sum(self.recent) / len(self.recent) >= guards.incident_rate


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, what follows, and why, in words and figures."""

    verdict: Verdict
    action: Action
    reasons: tuple[str, ...]
    e_value: float
    treatment: Rate
    control: Rate


@dataclass(frozen=True, slots=True)
class Trial:
    """The evidence of a step of the rollout; a value, replaced with every call.

    Attributes:
        unseen: arms that are SIP URIs. Where one is compared with the other arm, those bad calls
            alone count in both that would be seen in both.
        since_s: when the step began.
        last_s: when its last treatment call ended.
    """

    guards: Guards = field(default_factory=Guards)
    unseen: tuple[str, ...] = ()
    since_s: float = 0.0
    last_s: float | None = None
    evidence: HarmEvidence = field(default_factory=HarmEvidence)
    permanent: bool = False
    failures_in_row: int = 0
    _treatment: _Arm = field(default_factory=_Arm)
    _control: _Arm = field(default_factory=_Arm)
    _compared: _Arm = field(default_factory=_Arm)

    def after(self, call: SampledCall) -> "Trial":
        """Count a call in."""
        changes: dict[str, Any] = {}  # fields of several types
        if call.in_treatment:
            changes["last_s"] = call.at_s
            changes["permanent"] = self.permanent or call.permanent
            changes["failures_in_row"] = 0 if call.connected else self.failures_in_row + 1
        if call.share is not None:
            seen = replace(call, bad=self._seen_of_both(call.bad))
            if call.in_treatment:
                changes["_treatment"] = self._treatment.after(call, self.guards)
                changes["_compared"] = self._compared.after(seen, self.guards)
            else:
                changes["_control"] = self._control.after(seen, self.guards)
        return replace(self.before(call), **changes)

    def before(self, call: SampledCall) -> "Trial":
        """Count in a call of an earlier step: as evidence for harm, which all steps add to."""
        bad = self._seen_of_both(call.bad)
        if call.share is None or not bad or not 0 < call.share < 1:
            return self
        evidence = self.evidence.bad_call(in_treatment=call.in_treatment, share=call.share)
        return replace(self, evidence=evidence)

    def _seen_of_both(self, bad: frozenset[Badness]) -> frozenset[Badness]:
        return bad - UNSEEN_BY_SIP if self.unseen else bad

    @property
    def treatment(self) -> Rate:
        """Drawn calls of the treatment."""
        return self._treatment.rate

    @property
    def compared(self) -> Rate:
        """The same, by what is seen of both arms."""
        return self._compared.rate

    @property
    def control(self) -> Rate:
        """Drawn calls of the control."""
        return self._control.rate

    @property
    def both_bad(self) -> bool:
        """Whether both arms fail now."""
        treatment = self.permanent or self._compared.fails(self.guards)
        return treatment and self._control.fails(self.guards)


def judge(
    trial: Trial,
    now_s: float,
    *,
    latency: LatencyDifference | None = None,
    guard_metrics: int = 1,
) -> Judgement:
    """Judge the treatment as things stand; may be asked after every call.

    Args:
        trial: what was seen since the step began.
        now_s: on the clock of ``trial.since_s``.
        latency: the comparison of the arms' p95, where there is enough for one.
        guard_metrics: tests that run side by side and share :data:`evidence.ALPHA`.
    """
    for rule in (_hard_gate, _incident, _harm):
        found = rule(trial, latency, guard_metrics)
        if found is not None:
            return _judgement(trial, *found)
    return _judgement(trial, *_progress(trial, now_s))


_Found = tuple[Verdict, Action, Sequence[str]]


def _hard_gate(trial: Trial, latency: LatencyDifference | None, metrics: int) -> _Found | None:
    del latency, metrics
    if trial.both_bad:
        return None
    if trial.permanent:
        return Verdict.FAILED, Action.STOP, ("the arm refuses calls for good",)
    if trial.failures_in_row >= trial.guards.setup_failures:
        why = f"{trial.failures_in_row} calls in a row were left without a session"
        return Verdict.FAILED, Action.PAUSE, (why,)
    return None


def _incident(trial: Trial, latency: LatencyDifference | None, metrics: int) -> _Found | None:
    del latency, metrics
    if not trial.both_bad:
        return None
    why = "both arms fail: this is the provider's, or ours, and not the new arm's"
    return Verdict.DEGRADED, Action.RAISE_INCIDENT, (why,)


def _harm(trial: Trial, latency: LatencyDifference | None, metrics: int) -> _Found | None:
    evidence = trial.evidence
    if evidence.convicts(metrics):
        why = (
            f"bad calls: {evidence.bad_treatment} of the new arm, {evidence.bad_control} of the"
            f" old one; E = {evidence.e_value:.0f}, limit {metrics / ALPHA:.0f}"
        )
        return Verdict.FAILED, Action.ROLL_BACK, (why,)
    if latency is not None and latency.convicts:
        why = (
            f"p95 of the new arm's turns is {latency.difference_ms:.0f} ms longer"
            f" (95%: {latency.low_ms:.0f} to {latency.high_ms:.0f} ms)"
        )
        return Verdict.FAILED, Action.ROLL_BACK, (why,)
    return None


def _progress(trial: Trial, now_s: float) -> _Found:
    guards, treatment = trial.guards, trial.treatment
    quiet_s = now_s - (trial.since_s if trial.last_s is None else trial.last_s)
    if quiet_s >= guards.no_data_s:
        return Verdict.NO_DATA, Action.STEP_BACK, (f"no call for {quiet_s / 60:.0f} minutes",)
    if not treatment.calls:
        return Verdict.NO_DATA, Action.NONE, ("no call yet",)
    missing = _missing(trial, now_s)
    if missing:
        suspicious = trial.evidence.e_value >= 10
        return (
            Verdict.DEGRADED if suspicious else Verdict.INCONCLUSIVE,
            Action.NONE,
            missing,
        )
    return Verdict.HEALTHY, Action.PROMOTE, ("no harm, by every bound",)


def _missing(trial: Trial, now_s: float) -> list[str]:
    """Return what a promotion still wants."""
    guards, treatment = trial.guards, trial.treatment
    missing = []
    if treatment.calls < guards.min_calls:
        missing.append(f"{treatment.calls} calls of at least {guards.min_calls}")
    if now_s - trial.since_s < guards.min_time_s:
        missing.append(f"{now_s - trial.since_s:.0f} s of at least {guards.min_time_s:.0f} s")
    upper = treatment.upper()
    if upper >= guards.max_bad_rate:
        missing.append(
            f"the bad rate may be up to {upper:.1%}, limit {guards.max_bad_rate:.1%}"
            f" ({calls_needed(guards.max_bad_rate)} good calls would show it)"
        )
    if trial.control.calls:
        worse = difference_upper(trial.compared, trial.control)
        if worse >= guards.max_worse_by:
            missing.append(
                f"it may be {worse * 100:.1f} points worse, limit {guards.max_worse_by * 100:.1f}"
            )
    return missing


def calls_needed(max_bad_rate: float) -> int:
    """Return how many calls without a bad one show that the rate is below a limit."""
    calls = 1
    while Rate(0, calls).upper() >= max_bad_rate:
        calls = math.ceil(calls * 1.5) if calls > 1000 else calls + 1
    return calls


def _judgement(trial: Trial, verdict: Verdict, action: Action, why: Sequence[str]) -> Judgement:
    reasons = (*why, *(f"not seen of {arm}: {NOT_SEEN}" for arm in trial.unseen))
    return Judgement(
        verdict, action, reasons, trial.evidence.e_value, trial.treatment, trial.control
    )
