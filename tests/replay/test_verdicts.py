"""Expectations against what was heard."""

from collections.abc import Mapping

import pytest

from bridge.replay.script import CallScript
from bridge.replay.timeline import CallLog, Deed, Doing
from bridge.replay.verdicts import Verdict, check, contains_words
from bridge.softphone.ear import Utterance
from bridge.speech.recognition import HeardPiece

ANSWER = Utterance(2000, 4000)
SENTENCE = HeardPiece("It arrives on Thursday.", 2000, 4000)
SAID = Deed(0, Doing.SAY, "where", 500, 1200)


def script(*steps: Mapping[str, object], **end: object) -> CallScript:
    return CallScript.model_validate(
        {
            "schema": "callscript/v1",
            "id": "test",
            "hears": ["It arrives on Thursday."],
            "caller": list(steps),
            "end": {"by": "anyone", **end},
        }
    )


def log(
    *deeds: Deed,
    utterances: tuple[Utterance, ...] = (ANSWER,),
    pieces: tuple[HeardPiece, ...] = (SENTENCE,),
    ended_by_far_end: bool = False,
    cut_off: bool = False,
) -> CallLog:
    return CallLog(deeds, utterances, pieces, True, 9000, ended_by_far_end, cut_off)


def expecting(**expect: object) -> CallScript:
    return script({"say": "where", "expect": expect})


def only(verdicts: tuple[Verdict, ...]) -> Verdict:
    (verdict,) = verdicts
    return verdict


def test_words_that_came_are_met() -> None:
    verdict = only(check(expecting(text_contains="on Thursday"), log(SAID)))

    assert verdict.ok
    assert verdict.step == 1


def test_words_that_did_not_come_are_broken_and_tell_what_came() -> None:
    verdict = only(check(expecting(text_contains="on Friday"), log(SAID)))

    assert not verdict.ok
    assert str(verdict) == (
        'step 1: expected the agent to say "on Friday"; it said "It arrives on Thursday."'
    )


def test_words_that_came_before_the_step_do_not_count() -> None:
    later = Deed(0, Doing.SAY, "where", 4500, 5000)

    verdict = only(check(expecting(text_contains="Thursday"), log(later)))
    assert not verdict.ok
    assert verdict.found == "it was not heard"


def test_words_that_came_after_the_next_step_do_not_count() -> None:
    steps = script({"say": "one", "expect": {"text_contains": "Thursday"}}, {"say": "two"})
    deeds = (Deed(0, Doing.SAY, "one", 0, 500), Deed(1, Doing.SAY, "two", 1000, 1500))

    assert not only(check(steps, log(*deeds))).ok


@pytest.mark.parametrize(("limit_ms", "ok"), [(800, True), (799, False)])
def test_latency_counts_from_the_last_word(limit_ms: int, ok: bool) -> None:
    verdict = only(check(expecting(within_ms=limit_ms), log(SAID)))

    assert verdict.ok is ok
    assert verdict.found == "it took 800 ms"


def test_silence_is_no_latency() -> None:
    verdict = only(check(expecting(within_ms=60_000), log(SAID, utterances=(), pieces=())))

    assert not verdict.ok
    assert verdict.found == "it was not heard"


def test_speech_over_the_callers_words_is_no_answer_in_time() -> None:
    early = log(SAID, utterances=(Utterance(1000, 3000),))

    verdict = only(check(expecting(within_ms=5000), early))
    assert not verdict.ok
    assert verdict.found == "it spoke before the caller had finished"


def test_a_listening_step_counts_from_its_begin() -> None:
    greeting = script({"expect": {"within_ms": 2000, "text_contains": "Thursday"}})
    verdicts = check(greeting, log(Deed(0, Doing.LISTEN, "", 0, 0)))

    assert [verdict.ok for verdict in verdicts] == [True, True]
    assert verdicts[1].found == "it took 2000 ms"


def test_a_silence_step_takes_what_came_during_it() -> None:
    reprompt = script({"silence": {"ms": 8000}, "expect": {"within_ms": 3000}})

    assert only(check(reprompt, log(Deed(0, Doing.SILENCE, "", 0, 8000)))).ok


@pytest.mark.parametrize(
    ("speech", "ok", "found"),
    [
        (Utterance(2000, 3200), True, "it took 200 ms"),
        (Utterance(2000, 3400), False, "it took 400 ms"),
        (Utterance(2000, 2900), False, "not speaking then"),
        (Utterance(2000, 3200, cut=True), False, "did not stop before the call's end"),
    ],
)
def test_an_interrupted_agent_has_to_fall_silent(speech: Utterance, ok: bool, found: str) -> None:
    step = {"interrupt": "wait", "expect": {"agent_silent_within_ms": 300}}
    deed = Deed(0, Doing.INTERRUPT, "wait", 3000, 4000)

    verdict = only(check(script(step), log(deed, utterances=(speech,), pieces=())))
    assert verdict.ok is ok
    assert found in verdict.found


def test_a_step_that_was_not_done_breaks_all_that_it_expected() -> None:
    steps = script(
        {"say": "one"},
        {"say": "two", "expect": {"text_contains": "Thursday", "within_ms": 9000}},
    )
    verdicts = check(steps, log(Deed(0, Doing.SAY, "one", 0, 500)))

    assert [verdict.ok for verdict in verdicts] == [False, False, False]
    assert str(verdicts[0]) == (
        'step 2: expected the caller to say "two"; the call was over by then'
    )


def test_an_interruption_that_found_nobody_speaking_is_told_as_such() -> None:
    steps = script({"interrupt": "wait"}, {"say": "two"})

    verdict = only(check(steps, log(Deed(1, Doing.SAY, "two", 0, 500))))
    assert not verdict.ok
    assert verdict.found == "the agent was not speaking"


def test_a_call_that_was_not_answered_meets_nothing() -> None:
    verdicts = check(expecting(text_contains="Thursday", within_ms=1000), None)

    assert [verdict.ok for verdict in verdicts] == [False, False, False]
    assert verdicts[0].step is None


@pytest.mark.parametrize(
    ("by", "far_end", "oks"),
    [
        ("caller", False, [True]),
        ("caller", True, [False]),
        ("bridge", True, [True]),
        ("bridge", False, [False]),
        ("anyone", True, []),
        ("anyone", False, []),
    ],
)
def test_the_right_side_has_to_hang_up(by: str, far_end: bool, oks: list[bool]) -> None:
    verdicts = check(script(by=by), log(ended_by_far_end=far_end))

    assert [verdict.ok for verdict in verdicts] == oks


def test_a_call_that_was_cut_off_is_broken() -> None:
    verdict = only(check(script(max_duration_s=9), log(cut_off=True)))

    assert not verdict.ok
    assert verdict.found == "it was cut off after 9.0 s"


def test_a_call_that_was_to_end_after_a_while_is_not_broken_by_it() -> None:
    assert check(script({"say": "never said"}, after_s=9), log(cut_off=True)) == ()


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("That's $42, on Monday.", "forty two on monday", True),
        ("on Monday", "Monday on", False),
        ("a Mondayish day", "Monday", False),
        ("", "Monday", False),
        ("[?]", "Monday", False),
        ("anything", "?!", False),
    ],
)
def test_words_are_compared_as_they_are_spoken(text: str, wanted: str, found: bool) -> None:
    assert contains_words(text, wanted) is found
