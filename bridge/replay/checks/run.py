"""Judges a run by its script's expectations, and by those that hold for every call. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge.realtime.dialects import dialect_of
from bridge.replay.checks.call import judge, off_script_from
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.defaults import default_checks, switched_off
from bridge.replay.checks.divergence import Departure, check_followed, find_departure
from bridge.replay.checks.ending import check_arm
from bridge.replay.checks.needs import as_applicable
from bridge.replay.evidence.evidence import Evidence
from bridge.replay.judges.asking import check_judged
from bridge.replay.results.call import CallOutcome
from bridge.replay.results.detail import Judged
from bridge.replay.results.run import RunVerdict
from bridge.replay.script import CallScript

_WORST_FIRST = (
    (CheckStatus.FAIL, RunVerdict.FAIL),
    (CheckStatus.INCONCLUSIVE, RunVerdict.INCONCLUSIVE),
)


@dataclass(frozen=True, slots=True)
class RunJudgement:
    """The verdict on a run, with its reason and all checks.

    Attributes:
        reason: of everything but a pass: the first thing that is not as it should be.
        at_ms: where that was.
        switched_off: kinds of the checks that the script's faults switch off.
        spoiled: the machine was too busy for a verdict.
        off_script_ms: from when on the agent said what the script did not expect, or the bridge
            had left the recording that it was answered from; None if neither did.
    """

    verdict: RunVerdict
    reason: str = ""
    checks: tuple[Check, ...] = ()
    at_ms: int | None = None
    off_script_ms: int | None = None
    spoiled: bool = False
    switched_off: tuple[str, ...] = ()

    @property
    def not_applicable(self) -> tuple[str, ...]:
        """What was not met, and can't be on this service: a line each."""
        na = CheckStatus.NOT_APPLICABLE
        return tuple(str(check) for check in self.checks if check.status is na)


def broken_by(judgement: RunJudgement) -> tuple[int | None, str, str] | None:
    """Return step, kind and finding of the first expectation that has failed; None for none."""
    failed = (check for check in judgement.checks if check.status is CheckStatus.FAIL)
    return next(((check.step, check.kind, check.found) for check in failed), None)


def judge_run(
    script: CallScript, evidence: Evidence, *, asked_for_arm: bool = False
) -> RunJudgement:
    """Judge a call that was tried.

    Args:
        asked_for_arm: of a running gateway, which may have taken the call on another.
    """
    caller = evidence.caller
    if caller is None:
        return RunJudgement(RunVerdict.INFRASTRUCTURE, reason=evidence.why_missing("caller"))
    if caller.outcome is CallOutcome.FAILED:
        return RunJudgement(RunVerdict.INFRASTRUCTURE, reason="nothing answers SIP at the gateway")
    faulty = bool(script.realtime.faults)
    unjudged = switched_off(faulty=faulty)
    left = find_departure(evidence)
    checks = (
        *judge(script, evidence, departed_ms=None if left is None else left.at_ms),
        *default_checks(evidence, faulty=faulty),
        *check_followed(evidence),
        *([check_arm(evidence)] if asked_for_arm else []),
    )
    service = dialect_of(evidence.dialect, evidence.flavour)
    checks = tuple(as_applicable(check, service) for check in checks)
    off_script_ms = _off_script_ms(checks, left)
    return _by_the_worst(
        RunJudgement(RunVerdict.PASS, "", checks, None, off_script_ms, False, unjudged)
    )


def with_judge(
    script: CallScript, judgement: RunJudgement, judged: Sequence[Judged]
) -> RunJudgement:
    """Return a judgement with what a judge said of the call.

    A judge alone passes nothing: where the script expects nothing else, a pass is inconclusive.
    """
    checks = (*judgement.checks, *(check_judged(each) for each in judged))
    found = _by_the_worst(replace(judgement, verdict=RunVerdict.PASS, reason="", checks=checks))
    if found.verdict is RunVerdict.PASS and not script.expects_something:
        why = "nothing but a judge decided, and a judge alone passes nothing"
        return replace(found, verdict=RunVerdict.INCONCLUSIVE, reason=why)
    return found


def _by_the_worst(judgement: RunJudgement) -> RunJudgement:
    """Return a judgement with the verdict and the reason of its worst check."""
    checks = judgement.checks
    for status, verdict in _WORST_FIRST:
        first = next((check for check in checks if check.status is status), None)
        if first is not None:
            reason = "; ".join([str(first), *_said_of_the_way(checks, first)])
            return replace(judgement, verdict=verdict, reason=reason, at_ms=first.at_ms)
    return replace(judgement, verdict=RunVerdict.PASS, reason="", at_ms=None, off_script_ms=None)


def _said_of_the_way(checks: Sequence[Check], first: Check) -> list[str]:
    """Return what was lost on the way beside what broke: it may be why."""
    return [
        check.found for check in checks if check.kind == "loss_up_to_pct" and check is not first
    ]


def _off_script_ms(checks: Sequence[Check], left: Departure | None) -> int | None:
    """Return when the agent gave an answer that none was expected of, or the recording was left."""
    step = off_script_from(checks)
    known = [check.at_ms for check in checks if check.step == step and check.at_ms is not None]
    off_script = [] if step is None else known
    return min([*off_script, *([] if left is None else [round(left.at_ms)])], default=None)
