"""The judge of the calls on the adverse service: each thing that a record may lack is seen."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.adverse_calls import Asked, Question, _tone_before_ns, unaccounted
from tests.support.gateways import Record
from tests.support.rtp_caller import Heard

MS = 1_000_000
S = 1_000 * MS
FAILURE = {"code": "stalled"}


def spoken(speaker: str, heard_ms: int | None = None) -> Record:
    return {"speaker": speaker, "text": "", "heard_ms": heard_ms}


def call(**changed: object) -> Asked:
    """Two questions, of which both are answered half a second later."""
    questions = [Question("apple", 5 * S, int(5.5 * S)), Question("fig", 9 * S, int(9.5 * S))]
    whole = Asked("ga", 200, "1@a", questions, silence_ms=600, open_silence_ms=2_000, greeted=True)
    return replace(whole, **changed)  # type: ignore[arg-type]  # by field name


def record(**changed: object) -> Record:
    agent, caller = spoken("agent", 1_500), spoken("caller")
    return {
        "call_id": "c_1",
        "outcome": "completed",
        "turns": [agent, caller, agent, caller, agent],
        "failures": [],
        "sessions": [{"session_id": "sess_1"}],
        "longest_silence_ms": 640,
        "longest_silence_cause": "model",
        **changed,
    }


def problems(asked: Asked, written: Record, *endless: str) -> list[str]:
    return list(unaccounted(asked, written, set(endless)))


def test_call_that_went_well_has_no_problem() -> None:
    assert problems(call(), record()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"turns": [*record()["turns"][:4], spoken("agent")]}, "3 answers heard, 2 in the record"),
        ({"turns": [*record()["turns"][:3], spoken("agent", 900)]}, "2 asked, 1 in the record"),
        ({"longest_silence_ms": 200}, "600 to 600 ms of silence heard, 200 put down"),
        ({"longest_silence_ms": 1_900}, "600 to 600 ms of silence heard, 1900 put down"),
        ({"longest_silence_ms": 2_900, "failures": [FAILURE]}, "600 to 2000 ms of silence heard"),
        ({"outcome": ""}, "outcome ''"),
    ],
)
def test_what_a_record_lacks_is_seen(changed: Record, said: str) -> None:
    (problem,) = problems(call(), record(**changed))
    assert said in problem


def test_silence_is_compared_with_the_open_one_only_where_an_end_was_not_told() -> None:
    open_ended = record(longest_silence_ms=1_900)
    assert problems(call(), open_ended, "sess_1") == []
    assert problems(call(cut_short=True), open_ended) == []
    assert len(problems(call(), open_ended, "sess_2")) == 1


def test_question_without_a_word_is_seen_and_needs_a_failure() -> None:
    asked = call()
    asked.questions[1].answered_ns = 0
    assert [each.partition(": ")[2] for each in problems(asked, record())] == [
        "not a word",
        "1 not answered, and no failure in the record",
    ]
    asked.questions[1].worded_ns = 17 * S
    assert [each.partition(": ")[2] for each in problems(asked, record(failures=[FAILURE]))] == [
        "a word after 8.0 s"
    ]


def test_caller_who_broke_off_is_seen() -> None:
    assert any(
        "broke off: TimeoutError" in p for p in problems(call(broke="TimeoutError"), record())
    )


def test_pause_of_a_waiting_tone_is_no_silence_though_the_caller_spoke_in_it() -> None:
    tone = 8_000 * np.sin(2 * np.pi * 440 * np.arange(160) / 8_000)
    quiet = np.zeros(160)
    packets = [*[tone] * 15, *[quiet] * 45, *[tone] * 15]
    heard = [
        Heard(20 * number * MS, number, 160 * number, packet.astype(np.int16), bool(packet.any()))
        for number, packet in enumerate(packets)
    ]
    assert _tone_before_ns(heard, 600 * MS) == 14 * 20 * MS
    assert _tone_before_ns(heard, 1_490 * MS) == 1_480 * MS
    assert _tone_before_ns(heard[15:60], 600 * MS) == 600 * MS  # no tone before it
