"""Real calls whose verdict rests on the caller's ear: tones, holds, wrong numbers, noise."""

import asyncio

import pytest

from bridge.replay.checks.check import Check, CheckStatus
from bridge.replay.results.run import RunVerdict
from bridge.store.local import start_local_redis
from tests.support.machine import Timing
from tests.support.replaying import (
    ASKS,
    INTERRUPTION,
    LONG_ANSWER,
    LONG_QUESTION,
    QUESTION,
    Document,
    Played,
    arms_of,
    play,
    write_script,
)

pytestmark = [
    *(pytest.mark.sip, pytest.mark.redis, pytest.mark.speech, pytest.mark.slow),
    pytest.mark.usefixtures("timing"),  # an ear judges what came in time: nothing runs beside it
]

_THINKS: Document = {
    **ASKS,
    "id": "thinks",
    "realtime": {"scenario": "scenario.yaml", "pacing": {"think_ms": 2600}},
    "caller": [{"say": QUESTION, "expect": {"within_ms": 2500}}],
}
_HOLDS: Document = {
    **ASKS,
    "id": "holds",
    "hears": [LONG_ANSWER, "Sure, go ahead."],
    "caller": [
        {"say": LONG_QUESTION},
        {"wait": {"event": "agent_audio_started", "delay_ms": 1500}},
        {"hold": {"ms": 2500}},
        {"interrupt": {"text": INTERRUPTION, "after": {"delay_ms": 1500}}},
    ],
}
_OWES, _OWES_MORE = "You owe forty two dollars.", "You owe forty three dollars."
_MISHEARD: Document = {
    **ASKS,
    "id": "misheard",
    "hears": [_OWES],
    "realtime": {"scenario": "scenario.yaml", "rules": [{"hears": [QUESTION], "say": _OWES_MORE}]},
    "caller": [{"say": QUESTION, "expect": {"text_contains": "forty two dollars"}}],
}
_BABBLE: Document = {
    **ASKS,
    "id": "babble",
    "noise": {"kind": "babble", "snr_db": 15},
    "caller": [{"say": QUESTION, "expect": {"text_contains": "Monday", "within_ms": 2500}}],
}
_GERMAN: Document = {
    **ASKS,
    "id": "german",
    "voice": "de",
    "caller": [{"say": "Wo ist meine Bestellung?", "expect": {"text_contains": "Monday"}}],
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    place = tmp_path_factory.mktemp("ears")
    scripts = [write_script(place, each) for each in (_THINKS, _HOLDS, _MISHEARD, _BABBLE, _GERMAN)]
    with start_local_redis() as redis:
        return asyncio.run(play(place, scripts, arms_of("ga"), redis.url, jobs=2))


def _check(played: Played, script: str, kind: str) -> Check:
    _, files = played.run_of(script)
    return next(check for check in files.detail.checks if check.kind == kind)


def test_an_agent_who_thinks_for_2600_ms_is_not_saved_by_the_waiting_tone(
    played: Played, timing: Timing
) -> None:
    check = _check(played, "thinks", "within_ms")
    _, files = played.run_of("thinks")
    tone = "(a waiting tone was heard after" in check.found

    timing.check_heard(str(check), is_right=tone and check.status is CheckStatus.FAIL)
    assert any(marker.kind == "filler" for marker in files.markers)


def test_an_answer_that_waited_for_a_hold_to_end_is_not_cut_late(
    played: Played, timing: Timing
) -> None:
    check = _check(played, "holds", "default_truncated_as_heard")

    passed = (check.status, check.owner) == (CheckStatus.PASS, None)
    timing.check_heard(str(check), is_right=passed)


def test_a_wrong_number_that_the_ear_took_for_the_only_one_it_knows_is_no_pass(
    played: Played, timing: Timing
) -> None:
    info, _ = played.run_of("misheard")
    check = _check(played, "misheard", "text_contains")

    assert info.verdict is not RunVerdict.PASS
    timing.check_heard(str(check), is_right="forty three" in check.found)


def test_a_caller_whom_nobody_heard_is_named_as_the_likely_cause(played: Played) -> None:
    check = _check(played, "babble", "text_contains")

    assert check.status is not CheckStatus.PASS
    assert "babble at 15 dB" in check.found


def test_a_language_that_the_simulator_lacks_is_named_as_the_likely_cause(played: Played) -> None:
    check = _check(played, "german", "text_contains")

    assert check.status is not CheckStatus.PASS
    assert "'de'" in check.found
