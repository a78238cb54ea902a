"""Verdicts on a call: its script's expectations against the evidence. Pure.

What the evidence contradicts has failed, and silence is evidence. What it does not show is
inconclusive, never passed. Once the agent has answered something else than was expected, or the
bridge has left the recording that it is answered from, the call is off script: what comes later is
judged by its timing alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bridge.replay.call.timeline import CallLog, Deed
from bridge.replay.checks.causes import likely_cause
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.ending import check_end
from bridge.replay.checks.steps import TIMING, WORDS, AnswerWindow, expectations
from bridge.replay.evidence.evidence import Evidence
from bridge.replay.persona.outcome import check_persona
from bridge.replay.results.call import CallOutcome
from bridge.replay.script import (
    Backchannel,
    CallScript,
    Hold,
    Interruption,
    KeyPresses,
    Saying,
    Silence,
    Step,
    Wait,
)

_FIRST_REFUSAL = 300
_NOT_ANSWERED = "the call was not answered"


def judge(
    script: CallScript, evidence: Evidence, *, departed_ms: float | None = None
) -> tuple[Check, ...]:
    """Judge a call by all that its script expects.

    Args:
        departed_ms: when it left the recording that it was answered from; None if it did not.

    Returns:
        One check an expectation, in the order of the steps, then those of the call as a whole.
    """
    if evidence.caller is None:
        return tuple(_unknown(script, evidence.why_missing("caller")))
    if evidence.log is None:
        return (*_unanswered(script, evidence), *check_end(script, evidence))
    steps = list(_check_steps(script, evidence, evidence.log, departed_ms))
    ends = check_end(script, evidence)
    if evidence.caller.persona is not None:
        ends = (*ends, check_persona(evidence.caller.persona))
    if departed_ms is not None or off_script_from(steps) is not None:
        ends = tuple(_undecided_if_failed(check) for check in ends)
    return (*steps, *ends)


def off_script_from(checks: Sequence[Check]) -> int | None:
    """Return the first step whose answer was none of what it expected; None on script."""
    for number in sorted({check.step for check in checks if check.step is not None}):
        words = [check for check in checks if check.step == number and check.kind in WORDS]
        # An answer that was heard says where; no answer is no divergence.
        diverged = any(
            check.status is CheckStatus.FAIL and check.at_ms is not None for check in words
        )
        if diverged and not any(check.status is CheckStatus.PASS for check in words):
            return number
    return None


def _unknown(script: CallScript, why: str) -> Iterator[Check]:
    for number, step in enumerate(script.caller, start=1):
        for kind, expected, _ in expectations(step, None):
            yield Check(number, kind, expected, why, CheckStatus.INCONCLUSIVE)
    yield Check(None, "call", "the call to be played", why, CheckStatus.INCONCLUSIVE)


def _unanswered(script: CallScript, evidence: Evidence) -> Iterator[Check]:
    caller = evidence.caller
    gave_up = script.gives_up_after_ms is not None
    if gave_up and caller is not None and caller.outcome is CallOutcome.CANCELLED:
        return
    if (script.end.sip_code or 0) >= _FIRST_REFUSAL:
        return
    yield Check(None, "answer", "an answer", _NOT_ANSWERED, CheckStatus.FAIL)
    for number, step in enumerate(script.caller, start=1):
        for kind, expected, _ in expectations(step, None):
            yield Check(number, kind, expected, _NOT_ANSWERED, CheckStatus.FAIL)


def _check_steps(
    script: CallScript, evidence: Evidence, log: CallLog, departed_ms: float | None
) -> Iterator[Check]:
    since: str | None = None
    for index, step in enumerate(script.caller):
        checks = list(_check_step(index, step, script, evidence, log))
        deed = next((deed for deed in log.deeds if deed.step == index), None)
        if since is None and departed_ms is not None:
            if all(each.start_ms >= departed_ms for each in log.deeds if each.step >= index):
                since = f"{departed_ms / 1000:.1f} s"
            elif deed is not None and _ends_ms(deed, log) > departed_ms:
                checks = [_undecided_if_failed(check, departed_ms) for check in checks]
        if since is not None:
            yield from (_off_script(check, since, done=deed is not None) for check in checks)
            continue
        yield from checks
        diverged = off_script_from(checks)
        since = None if diverged is None else f"step {diverged}"


def _check_step(
    index: int, step: Step, script: CallScript, evidence: Evidence, log: CallLog
) -> Iterator[Check]:
    number = index + 1
    deed = next((deed for deed in log.deeds if deed.step == index), None)
    if deed is not None:
        window = AnswerWindow(deed, _ends_ms(deed, log), evidence, log)
        for kind, expected, decide in expectations(step, window):
            status, found, at_ms = decide()
            found += likely_cause(status, script, evidence, log, deed)
            yield Check(number, kind, expected, found, status, at_ms)
        return
    last_done = max((deed.step for deed in log.deeds), default=-1)
    why = "the call was over by then" if index > last_done else "the agent was not speaking"
    if script.end.after_s is None or not log.cut_off:
        yield Check(number, "step", describe(step), why, CheckStatus.FAIL)
    for kind, expected, _ in expectations(step, None):
        yield Check(number, kind, expected, why, CheckStatus.FAIL)


def _ends_ms(deed: Deed, log: CallLog) -> int:
    """Return when a step's answer ends: with the caller's next turn, or the call."""
    later = (each for each in log.deeds if each.step > deed.step and each.closes)
    following = next(later, None)
    return log.duration_ms if following is None else following.closes_ms


def _off_script(check: Check, since: str, *, done: bool) -> Check:
    if done and check.kind in TIMING:
        return check
    found = f"the call is off script since {since}; {check.found}"
    return replace(check, status=CheckStatus.INCONCLUSIVE, found=found)


def _undecided_if_failed(check: Check, since_ms: float = 0.0) -> Check:
    """Return what failed as undecided, but for timing, and for what was before that."""
    before = check.at_ms is not None and check.at_ms < since_ms
    if check.status is not CheckStatus.FAIL or check.kind in TIMING or before:
        return check
    found = f"the call is off script; {check.found}"
    return replace(check, status=CheckStatus.INCONCLUSIVE, found=found)


def describe(step: Step) -> str:
    """Describe in a few words the caller's action at a step."""
    match step.action:
        case Interruption(text=text):
            return f'the caller to interrupt with "{text}"'
        case Backchannel(text=text):
            return f'the caller to murmur "{text}"'
        case Saying(text=text):
            return f'the caller to say "{text}"'
        case KeyPresses(digits=digits):
            return f"the caller to press {digits}"
        case Silence(ms=ms):
            return f"the caller to be silent for {ms} ms"
        case Wait(event=event, delay_ms=delay_ms):
            return f"the caller to wait for {event} and {delay_ms} ms more"
        case Hold(ms=ms):
            return f"the caller to put the call on hold for {ms} ms"
        case None:
            return "the caller to listen"
        case _:
            return "the caller to hang up"
