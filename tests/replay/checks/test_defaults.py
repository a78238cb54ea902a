"""What every call is judged by: events known, nothing refused, little added, cut where heard."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import JsonValue

from bridge.replay.call.timeline import CallLog, Deed, Doing
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.defaults import default_checks
from bridge.replay.evidence.evidence import CallerEvidence, Evidence, WireEvent
from bridge.replay.results.call import CallOutcome
from bridge.softphone.ear import HeardUtterance

_DELTA = "response.output_audio.delta"


def _event(
    kind: str,
    at_ms: float,
    *,
    canonical: str | None = "Something",
    sent: bool = False,
    **raw: JsonValue,
) -> WireEvent:
    return WireEvent(
        0, at_ms, "sent" if sent else "received", kind, canonical, {"type": kind, **raw}
    )


def _stages(**stages_ms: float) -> JsonValue:
    return {"at_ms": 0, "response_ms": 900.0, "stages_ms": dict(stages_ms)}


def _evidence(
    wire: Sequence[WireEvent] | None = (),
    turns: Sequence[JsonValue] = (),
    heard: Sequence[HeardUtterance] = (),
) -> Evidence:
    log = CallLog((), heard, (), True, 20_000, True)
    caller = CallerEvidence(CallOutcome.ANSWERED, 200, "id", 0, 100, log)
    return Evidence(
        "s.ga.1",
        "ga",
        "ga",
        caller,
        record={"outcome": "completed"},
        figures={"latency": {"turns": list(turns)}},
        wire=None if wire is None else tuple(wire),
        missing={} if wire is not None else {"wire": "the disk was full"},
    )


def _check(kind: str, evidence: Evidence, *, faulty: bool = False) -> Check:
    (found,) = (c for c in default_checks(evidence, faulty=faulty) if c.kind == f"default_{kind}")
    return found


def test_events_that_are_known_pass() -> None:
    assert _check("known_events", _evidence([_event("x", 1)])).status is CheckStatus.PASS


def test_an_unknown_event_is_named_with_its_time() -> None:
    check = _check("known_events", _evidence([_event("x", 1), _event("y", 1200, canonical=None)]))
    assert check.status is CheckStatus.FAIL
    assert "'y' is unknown" in check.found
    assert check.at_ms == 1200


def test_a_refusal_of_what_the_bridge_sent_is_its_fault() -> None:
    error: JsonValue = {"type": "invalid_request_error", "code": "unknown_parameter", "param": "x"}
    check = _check("no_errors", _evidence([_event("error", 300, error=error)]))
    assert (check.status, check.owner) == (CheckStatus.FAIL, "bridge")
    assert check.found == "it refused something: unknown_parameter at x"


@pytest.mark.parametrize("code", ["response_cancel_not_active", "server_error"])
def test_what_is_harmless_or_the_services_own_is_no_refusal(code: str) -> None:
    error: JsonValue = {"type": "server_error", "code": code}
    check = _check("no_errors", _evidence([_event("error", 300, error=error)]))
    assert check.status is CheckStatus.PASS


def test_a_script_that_has_the_service_fail_is_not_judged_by_its_events() -> None:
    evidence = _evidence([_event("y", 1, canonical=None)])
    assert not [c for c in default_checks(evidence, faulty=True) if c.kind != "default_bridge_adds"]


@pytest.mark.parametrize(("late_ms", "ok"), [(0, True), (140, True), (300, False)])
def test_the_bridge_may_add_little_to_the_answers_way_down(late_ms: float, ok: bool) -> None:
    turns = [_stages(capture=20, uplink=1, downlink=12 + late_ms, playback=18) for _ in range(3)]
    up, down = (c for c in default_checks(_evidence(turns=turns), faulty=False) if "adds" in c.kind)
    assert up.status is CheckStatus.PASS
    assert down.status is (CheckStatus.PASS if ok else CheckStatus.FAIL)
    assert down.found == f"it added {30 + late_ms:.0f} ms (median of 3 turns)"


def test_one_late_turn_is_no_habit() -> None:
    turns = [_stages(downlink=12, playback=18)] * 2 + [_stages(downlink=900, playback=18)]
    assert _check("bridge_adds", _evidence(turns=turns)).status is CheckStatus.PASS


def _interrupted(told_ms: int, *, stall_ms: int = 0) -> Evidence:
    """Return a call whose answer was interrupted 2 s after it was heard to begin."""
    wire = [
        _event(_DELTA, 1000 + 20 * n + (stall_ms if n >= 5 else 0), item_id="i", delta={"ms": 100})
        for n in range(40)
    ]
    cut = _event("conversation.item.truncate", 3100, sent=True, item_id="i", audio_end_ms=told_ms)
    return _evidence([*wire, cut], heard=[HeardUtterance(1100, 3100)])


@pytest.mark.parametrize(("told_ms", "ok"), [(2050, True), (1900, True), (3000, False), (0, False)])
def test_an_answer_is_cut_where_it_was_heard_to(told_ms: int, ok: bool) -> None:
    check = _check("truncated_as_heard", _interrupted(told_ms))
    assert check.status is (CheckStatus.PASS if ok else CheckStatus.FAIL)
    assert check.found == f"it was cut at {told_ms} ms"


def test_time_in_which_nothing_came_was_not_heard() -> None:
    assert (
        _check("truncated_as_heard", _interrupted(2050, stall_ms=1000)).status is CheckStatus.FAIL
    )
    assert (
        _check("truncated_as_heard", _interrupted(1500, stall_ms=1000)).status is CheckStatus.PASS
    )


def test_where_speech_followed_speech_nothing_is_said() -> None:
    evidence = _interrupted(2050)
    assert evidence.log is not None
    joined = [HeardUtterance(200, 3100)]
    other = _evidence(evidence.wire, heard=joined)
    assert not [c for c in default_checks(other, faulty=False) if "truncated" in c.kind]


def test_lost_evidence_is_inconclusive_and_says_why() -> None:
    check = _check("evidence", _evidence(None))
    assert check.status is CheckStatus.INCONCLUSIVE
    assert check.found == "the disk was full"


def test_a_call_without_answer_has_no_such_checks() -> None:
    caller = CallerEvidence(CallOutcome.REFUSED, 486, "id")
    assert default_checks(Evidence("s.ga.1", "ga", "ga", caller), faulty=False) == ()


@pytest.mark.parametrize(("told_ms", "ok"), [(1050, True), (2050, False)])
def test_a_hold_is_time_in_which_nothing_was_heard(told_ms: int, ok: bool) -> None:
    evidence = _interrupted(told_ms)
    assert evidence.caller is not None
    assert evidence.log is not None
    held = replace(evidence.log, deeds=(Deed(0, Doing.HOLD, "", 1600, 2600),))
    caller = replace(evidence.caller, log=held)
    check = _check("truncated_as_heard", replace(evidence, caller=caller))

    assert check.status is (CheckStatus.PASS if ok else CheckStatus.FAIL)
