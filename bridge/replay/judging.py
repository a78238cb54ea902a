"""The verdict of a run: what its script expects, and what every call is judged by. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.replay.checks import Check, CheckStatus
from bridge.replay.default_checks import default_checks
from bridge.replay.evidence import Evidence
from bridge.replay.result import CallOutcome
from bridge.replay.results import RunVerdict
from bridge.replay.script import CallScript
from bridge.replay.verdicts import check


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of a run.

    Attributes:
        reason: of everything but a pass: the first thing that is not as it should be.
        at_ms: where that was.
    """

    verdict: RunVerdict
    checks: tuple[Check, ...] = ()
    reason: str = ""
    at_ms: int | None = None


def judge_run(script: CallScript, evidence: Evidence) -> Judgement:
    """Judge a call that was tried."""
    caller = evidence.caller
    if caller is None:
        return Judgement(RunVerdict.INFRASTRUCTURE, reason=evidence.why_missing("caller"))
    if caller.outcome is CallOutcome.FAILED:
        return Judgement(RunVerdict.INFRASTRUCTURE, reason="nothing answers SIP at the gateway")
    faulty = bool(script.realtime.faults)
    checks = (*_expected(script, evidence), *default_checks(evidence, faulty=faulty))
    broken = _first(checks, CheckStatus.FAIL)
    if broken is not None:
        return Judgement(RunVerdict.FAIL, checks, str(broken), broken.at_ms)
    unsure = _first(checks, CheckStatus.INCONCLUSIVE)
    if unsure is not None:
        return Judgement(RunVerdict.INCONCLUSIVE, checks, str(unsure), unsure.at_ms)
    return Judgement(RunVerdict.PASS, checks)


def _first(checks: Sequence[Check], status: CheckStatus) -> Check | None:
    return next((check for check in checks if check.status is status), None)


def _expected(script: CallScript, evidence: Evidence) -> tuple[Check, ...]:
    return tuple(
        Check(
            verdict.step,
            "expect",
            verdict.expected,
            verdict.found,
            CheckStatus.PASS if verdict.ok else CheckStatus.FAIL,
        )
        for verdict in check(script, evidence.log)
    )
