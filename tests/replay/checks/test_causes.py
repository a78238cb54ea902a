"""The likely cause beside a finding: who was not heard, who was cut off, which language."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from pydantic import JsonValue

from bridge.replay.call.timeline import CallLog, Deed, Doing
from bridge.replay.checks.call import judge
from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.checks.run import judge_run
from bridge.replay.evidence.evidence import CallerEvidence, Evidence, WireEvent
from bridge.replay.results.call import CallOutcome
from bridge.replay.script import CallScript
from bridge.softphone.ear import HeardUtterance
from bridge.speech.recognition import HeardPiece

_SAID = Deed(0, Doing.SAY, "Where is my order?", 500, 1200)
_EXPECTS = {"say": "Where is my order?", "expect": {"text_contains": "on Thursday"}}


def _script(*steps: Mapping[str, object], **more: object) -> CallScript:
    document = {
        "schema": "callscript/v1",
        "id": "test",
        "hears": ["It arrives on Thursday."],
        "caller": list(steps),
        "end": {"by": "anyone"},
    }
    return CallScript.model_validate(document | more)


def _log(*deeds: Deed, heard: tuple[HeardUtterance, ...] = ()) -> CallLog:
    pieces = [HeardPiece(None, each.start_ms, each.end_ms or 9000) for each in heard]
    return CallLog(deeds, heard, pieces, True, 9000, False)


def _wire(*events: tuple[float, str], **raw: JsonValue) -> tuple[WireEvent, ...]:
    return tuple(
        WireEvent(0, at_ms, "received", kind, None, {"type": kind, **raw}) for at_ms, kind in events
    )


def _evidence(log: CallLog, wire: tuple[WireEvent, ...] | None = None) -> Evidence:
    return Evidence(
        "r", "ga", "ga", CallerEvidence(CallOutcome.ANSWERED, 200, "i", log=log), wire=wire
    )


def _first(script: CallScript, evidence: Evidence) -> Check:
    return judge(script, evidence)[0]


_STARTED, _STOPPED, _COMMITTED = (
    f"input_audio_buffer.{what}" for what in ("speech_started", "speech_stopped", "committed")
)


def test_a_caller_whom_nobody_heard_in_babble_is_named() -> None:
    script = _script(_EXPECTS, noise={"kind": "babble", "snr_db": 15})
    check = _first(script, _evidence(_log(_SAID), _wire((100, "session.updated"))))

    assert check.status is CheckStatus.FAIL
    assert check.found == (
        "it was not heard; likely cause: the service did not hear the caller, in babble at 15 dB"
    )


def test_speech_without_an_end_is_named_as_such() -> None:
    script = _script(_EXPECTS, noise="babble")
    check = _first(script, _evidence(_log(_SAID), _wire((300, _STARTED))))

    assert "the service noticed no end of the caller's words, in babble" in check.found


def test_a_caller_who_was_heard_is_no_cause() -> None:
    wire = _wire((600, _STARTED), (1700, _STOPPED), (1710, _COMMITTED))
    check = _first(_script(_EXPECTS), _evidence(_log(_SAID), wire))

    assert check.found == "it was not heard"
    assert "likely" not in _first(_script(_EXPECTS), _evidence(_log(_SAID))).found


def test_a_step_that_cuts_the_answer_off_is_named() -> None:
    script = _script(_EXPECTS, {"interrupt": {"text": "Stop", "after": {"delay_ms": 300}}})
    cut = Deed(1, Doing.INTERRUPT, "Stop", 2300, 2800)
    evidence = _evidence(_log(_SAID, cut, heard=(HeardUtterance(2000, 2900),)))
    check = _first(script, evidence)

    assert check.status is CheckStatus.INCONCLUSIVE
    assert check.found.endswith(
        "; likely cause: step 2 cut the answer off after 300 ms: a longer delay_ms would let it be"
        " heard"
    )


def test_a_step_that_leaves_no_time_for_an_answer_is_named() -> None:
    script = _script(_EXPECTS, {"say": "Hello?"})
    again = Deed(1, Doing.SAY, "Hello?", 1500, 1900)
    check = _first(script, _evidence(_log(_SAID, again)))

    assert check.found.endswith("; likely cause: step 2 came 300 ms after the caller's words")


@pytest.mark.parametrize(("simulated", "named"), [({}, True), (None, False)])
def test_a_voice_that_the_simulator_does_not_understand_is_named(
    simulated: Mapping[str, int] | None, named: bool
) -> None:
    evidence = replace(_evidence(_log(_SAID)), faults_struck=simulated)
    check = _first(_script(_EXPECTS, voice="de"), evidence)

    assert ("the caller's voice is 'de'" in check.found) is named


def test_what_passed_needs_no_cause() -> None:
    heard = HeardPiece("It arrives on Thursday.", 2000, 3000)
    log = replace(_log(_SAID, heard=(HeardUtterance(2000, 3000),)), pieces=(heard,))
    check = _first(_script(_EXPECTS, voice="de"), replace(_evidence(log), faults_struck={}))

    assert (check.status, check.found) == (CheckStatus.PASS, 'it said "It arrives on Thursday."')


def test_checks_that_faults_switch_off_are_listed() -> None:
    faulty = _script(_EXPECTS, realtime={"faults": [{"kind": "stall", "at": "audio", "ms": 100}]})
    evidence = _evidence(_log(_SAID))

    listed = ("default_known_events", "default_no_errors")
    assert judge_run(faulty, evidence).switched_off == listed
    assert judge_run(_script(_EXPECTS), evidence).switched_off == ()
