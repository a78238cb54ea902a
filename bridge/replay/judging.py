"""The verdict of a run: what its script expects, and what every call is judged by. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.replay.checks import Check, CheckStatus
from bridge.replay.default_checks import default_checks, switched_off
from bridge.replay.divergence import Departure, check_followed, find_departure
from bridge.replay.evidence import Evidence
from bridge.replay.result import CallOutcome
from bridge.replay.results import RunVerdict
from bridge.replay.script import CallScript
from bridge.replay.target_arm import check_arm
from bridge.replay.verdicts import judge, off_script_from

_WORST_FIRST = (
    (CheckStatus.FAIL, RunVerdict.FAIL),
    (CheckStatus.INCONCLUSIVE, RunVerdict.INCONCLUSIVE),
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of a run.

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


def broken_by(judgement: Judgement) -> tuple[int | None, str, str] | None:
    """Return step, kind and finding of the first expectation that has failed; None for none."""
    failed = (check for check in judgement.checks if check.status is CheckStatus.FAIL)
    return next(((check.step, check.kind, check.found) for check in failed), None)


def judge_run(script: CallScript, evidence: Evidence, *, asked_for_arm: bool = False) -> Judgement:
    """Judge a call that was tried.

    Args:
        asked_for_arm: of a running gateway, which may have taken the call on another.
    """
    caller = evidence.caller
    if caller is None:
        return Judgement(RunVerdict.INFRASTRUCTURE, reason=evidence.why_missing("caller"))
    if caller.outcome is CallOutcome.FAILED:
        return Judgement(RunVerdict.INFRASTRUCTURE, reason="nothing answers SIP at the gateway")
    faulty = bool(script.realtime.faults)
    unjudged = switched_off(faulty=faulty)
    left = find_departure(evidence)
    checks = (
        *judge(script, evidence, departed_ms=None if left is None else left.at_ms),
        *default_checks(evidence, faulty=faulty),
        *check_followed(evidence),
        *([check_arm(evidence)] if asked_for_arm else []),
    )
    off_script_ms = _off_script_ms(checks, left)
    for status, verdict in _WORST_FIRST:
        first = next((check for check in checks if check.status is status), None)
        if first is not None:
            reason = "; ".join([str(first), *_said_of_the_way(checks, first)])
            return Judgement(
                verdict, reason, checks, first.at_ms, off_script_ms, switched_off=unjudged
            )
    return Judgement(RunVerdict.PASS, checks=checks, switched_off=unjudged)


def _said_of_the_way(checks: Sequence[Check], first: Check) -> list[str]:
    """Say what was lost on the way beside what broke: it may be why."""
    return [
        check.found for check in checks if check.kind == "loss_up_to_pct" and check is not first
    ]


def _off_script_ms(checks: Sequence[Check], left: Departure | None) -> int | None:
    """Return when the agent gave an answer that none was expected of, or the recording was left."""
    step = off_script_from(checks)
    known = [check.at_ms for check in checks if check.step == step and check.at_ms is not None]
    told = [] if step is None else known
    return min([*told, *([] if left is None else [round(left.at_ms)])], default=None)
