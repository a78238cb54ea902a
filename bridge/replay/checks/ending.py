"""Checks a script's expectations of the call as a whole. Pure."""

from collections.abc import Iterator

from bridge.replay.call.timeline import CallLog, text_of
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.side_effects import faults_seen, field_is, recording_of
from bridge.replay.checks.sounds import longest_dead_air, talk_over_ms
from bridge.replay.checks.words import (
    AgentSaid,
    beside,
    holds_words,
    judge_said,
    judge_unsaid,
    transcripts,
)
from bridge.replay.evidence.evidence import Evidence
from bridge.replay.script import CallScript, Ending

PASS, FAIL, INCONCLUSIVE = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.INCONCLUSIVE


def check_end(script: CallScript, evidence: Evidence) -> tuple[Check, ...]:
    """Judge a call as a whole; of one that was not answered, what holds for it, too."""
    end, log = script.end, evidence.log
    checks = [*check_loss(end, evidence), *_check_sip(end, evidence)]
    checks += _check_record(script, evidence)
    if log is not None:
        checks += [*_check_hangup(end, log), *_check_words(end, evidence, log)]
        checks += _check_sounds(end, log)
    return tuple(checks)


def check_loss(end: Ending, evidence: Evidence) -> Iterator[Check]:
    """Yield an undecided check where so much was lost that the call shows little.

    Nothing for a call on which no more was lost than a verdict can rest on.
    """
    loss_pct = {} if evidence.caller is None else evidence.caller.loss_pct
    for way, pct in loss_pct.items():
        if pct > end.loss_up_to_pct:
            yield Check(
                None,
                "loss_up_to_pct",
                f"at most {end.loss_up_to_pct:g}% of the packets to be lost, for a verdict to rest"
                " on the call",
                f"{pct:g}% were lost on the way {way.replace('_', ' the ')}",
                INCONCLUSIVE,
                owner="carrier",
            )


def _check_sip(end: Ending, evidence: Evidence) -> Iterator[Check]:
    if end.sip_code is not None and evidence.caller is not None:
        code = evidence.caller.sip_code
        status = PASS if code == end.sip_code else FAIL
        yield Check(None, "sip_code", f"SIP status {end.sip_code}", f"it was {code}", status)


def _check_hangup(end: Ending, log: CallLog) -> Iterator[Check]:
    if log.cut_off and end.after_s is None:
        expected = f"its end within {end.max_duration_s:g} s"
        found = f"it was cut off after {log.duration_ms / 1000:.1f} s"
        yield Check(None, "max_duration_s", expected, found, FAIL, log.duration_ms)
    if end.by != "anyone":
        by = "bridge" if log.ended_by_far_end else "caller"
        status = PASS if by == end.by else FAIL
        found = f"the {by} hung up"
        yield Check(None, "by", f"the {end.by} to hang up", found, status, log.duration_ms)


def _check_words(end: Ending, evidence: Evidence, log: CallLog) -> Iterator[Check]:
    everything = transcripts(evidence, float("-inf"), float("inf"))
    said = AgentSaid(text_of(log.pieces), everything, beside(evidence, log.pieces))
    for text in end.must_say:
        status, found = judge_said(said, holds_words(text))
        yield Check(None, "must_say", f'the agent to say "{text}"', found, status)
    for text in end.must_not_say:
        status, found = judge_unsaid(said, holds_words(text))
        yield Check(None, "must_not_say", f'the agent never to say "{text}"', found, status)


def _check_sounds(end: Ending, log: CallLog) -> Iterator[Check]:
    if (limit_ms := end.no_dead_air_over_ms) is not None:
        gap = longest_dead_air(log, 0, log.duration_ms) or (0, 0)
        yield Check(
            None,
            "no_dead_air_over_ms",
            f"no dead air of more than {limit_ms} ms",
            f"nobody was heard for {gap[1] - gap[0]} ms at most",
            PASS if gap[1] - gap[0] <= limit_ms else FAIL,
            gap[0],
        )
    if (limit_ms := end.talk_over_under_ms) is not None:
        both_ms = talk_over_ms(log, log.deeds)
        yield Check(
            None,
            "talk_over_under_ms",
            f"both to speak at once for less than {limit_ms} ms",
            f"both spoke for {both_ms} ms",
            PASS if both_ms < limit_ms else FAIL,
        )


def _check_record(script: CallScript, evidence: Evidence) -> Iterator[Check]:
    end = script.end
    if script.target.route is not None:
        yield _check_field(evidence, "route", script.target.route, "the dialplan to be")
    if end.state is not None:
        yield _check_field(evidence, "state", end.state.value, "the call to end as")
    if end.recording is not None:
        known = recording_of(evidence)
        yield _check_member(
            evidence, "recording", "record", end.recording, known, f"a recording: {end.recording}"
        )
    for code in end.faults_seen:
        known = faults_seen(evidence)
        yield _check_member(evidence, "faults_seen", "record", code, known, f"the fault {code}")
    for name, expected in end.redis.items():
        if evidence.state is None:
            status, found = INCONCLUSIVE, evidence.why_missing("state")
        else:
            value = evidence.state.get(name)
            status = PASS if field_is(expected, value) else FAIL
            found = "it has none" if value is None else f"it is {value}"
        yield Check(None, "redis", f"{name} of the call's hash to be {expected}", found, status)


_RECORDED_AS = {"route": "route", "state": "outcome"}


def _check_field(evidence: Evidence, kind: str, expected: str, words: str) -> Check:
    expected_words = f"{words} {expected}"
    if evidence.record is None:
        why = evidence.why_missing("record")
        return Check(None, kind, expected_words, why, INCONCLUSIVE)
    value = evidence.record.get(_RECORDED_AS[kind])
    fault = evidence.record.get("fault")
    status = PASS if value == expected else FAIL
    owner = str(fault) if status is FAIL and kind == "state" and fault not in ("none", "") else None
    return Check(None, kind, expected_words, f"it is {value}", status, owner=owner)


def _check_member(
    evidence: Evidence,
    kind: str,
    source: str,
    expected: str,
    known: frozenset[str] | None,
    words: str,
) -> Check:
    if known is None:
        return Check(None, kind, words, evidence.why_missing(source), INCONCLUSIVE)
    found = f"there is {', '.join(sorted(known)) or 'none'}"
    return Check(None, kind, words, found, PASS if expected in known else FAIL)


def check_arm(evidence: Evidence) -> Check:
    """Return whether the gateway took the call on the arm that it was asked for.

    It may refuse (:mod:`bridge.replay.environment.target_arm`): its record has to say that it did
    as it was asked, and without the record nothing is known, and no verdict is given.
    """
    expected = f"the gateway to take the call on the arm {evidence.arm}"
    if evidence.record is None:
        found = f"{evidence.why_missing('record')}: name its recordings with --target-recordings"
        return Check(None, "target_arm", expected, found, INCONCLUSIVE)
    rescued_by, arm = evidence.record.get("rescued_by"), evidence.record.get("arm")
    if rescued_by:
        found, status = f"{arm} failed, and {rescued_by} took over", FAIL
    elif arm == evidence.arm:
        found, status = "it did", PASS
    else:
        found = f"it took {arm or 'none'}: see bridge rollout status, and its secret"
        status = INCONCLUSIVE
    return Check(None, "target_arm", expected, found, status)
