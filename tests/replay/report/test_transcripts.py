"""Two transcripts are laid beside each other turn by turn."""

from typing import Literal

from bridge.replay.report.transcripts import (
    ArmTurn,
    Likeness,
    align,
    compare_words,
    input_error_rate,
)
from bridge.replay.results.detail import TranscriptTurn


def _turn(
    speaker: Literal["caller", "agent"],
    text: str | None,
    at_ms: int,
    *,
    reference: str | None = None,
    recognised: str | None = None,
) -> TranscriptTurn:
    told = text if speaker == "caller" else reference
    return TranscriptTurn(speaker, text, told, recognised, at_ms, at_ms + 900)


def _marked(said: ArmTurn | None) -> list[str]:
    assert said is not None
    return [word.text for word in said.words if word.differs]


_FIRST = [
    _turn("agent", "Hello, how can I help?", 0),
    _turn("caller", "What is on my invoice?", 2000),
    _turn("agent", "Your last invoice was forty two dollars.", 3500),
]


def test_what_both_say_stands_on_one_row() -> None:
    second = [
        _turn("agent", "Hello, how can I help?", 40),
        _turn("caller", "What is on my invoice?", 2600),
        _turn("agent", "That makes $42 for your last invoice.", 4100),
    ]
    rows = align(_FIRST, second)
    assert [(row.speaker, row.likeness) for row in rows] == [
        ("agent", Likeness.SAME),
        ("caller", Likeness.SAME),
        ("agent", Likeness.WORDED),
    ]
    assert "$42" not in _marked(rows[2].second)
    assert "makes" in _marked(rows[2].second)


def test_a_changed_number_is_told_in_words() -> None:
    second = [*_FIRST[:2], _turn("agent", "Your last invoice was fifty two dollars.", 3500)]
    row = align(_FIRST, second)[2]
    assert row.likeness is Likeness.CONTENT
    assert row.differences == ("number: “forty two” became “fifty two”",)
    assert row.second is not None
    assert [word.text for word in row.second.words if word.fact_differs] == ["fifty", "two"]


def test_an_answer_that_one_arm_lacks_shifts_no_later_turn() -> None:
    ends = [_turn("caller", "Thank you.", 6000), _turn("agent", "Goodbye.", 7000)]
    rows = align([*_FIRST, *ends], [*_FIRST[:2], *ends])
    assert [(row.speaker, row.likeness.value) for row in rows[2:]] == [
        ("agent", "one-sided"),
        ("caller", "same"),
        ("agent", "same"),
    ]


def test_a_call_that_broke_off_leaves_its_side_empty() -> None:
    rows = align(_FIRST, _FIRST[:1])
    assert [row.second is None for row in rows] == [False, True, True]
    assert [row.speaker for row in rows] == ["agent", "caller", "agent"]


def test_what_the_session_misunderstood_is_marked_and_measured() -> None:
    asked = _turn("caller", "Where is my order?", 0, recognised="where is my older")
    said = align([asked], [asked])[0].first
    assert said is not None
    assert said.error_rate == 0.25
    assert said.other is not None
    assert [word.text for word in said.other if word.differs] == ["older"]


def test_what_the_agent_says_it_said_is_shown_where_something_else_was_heard() -> None:
    told = "Your last invoice was forty two dollars."
    cut = _turn("agent", "Your last invoice", 0, reference=told)
    whole = _turn("agent", told, 0, reference=told)
    first, second = align([cut], [whole])[0].first, align([cut], [whole])[0].second
    assert first is not None
    assert second is not None
    assert first.other is not None
    assert second.other is None


def test_speech_that_nobody_wrote_down_is_not_compared() -> None:
    row = align([_turn("agent", None, 0)], [_turn("agent", "Hello.", 0)])[0]
    assert row.likeness is Likeness.UNKNOWN


def test_what_the_recogniser_made_nothing_of_is_told_by_the_session() -> None:
    garbled = _turn("agent", "[?]", 0, reference="It costs 42 dollars.")
    clear = _turn("agent", "It costs 52 dollars.", 0, reference="It costs 52 dollars.")
    row = align([garbled], [clear])[0]
    assert row.likeness is Likeness.CONTENT
    assert row.first is not None
    assert not row.first.heard
    assert row.first.other is None


def test_the_error_rate_of_a_call_weighs_words_and_not_turns() -> None:
    long = _turn(
        "caller", "one two three four five six", 0, recognised="one two three four five six"
    )
    short = _turn("caller", "yes please", 2000, recognised="yes")
    assert input_error_rate([long, short]) == 1 / 8
    assert input_error_rate([_turn("caller", "yes", 0)]) is None


def test_case_and_punctuation_are_no_difference() -> None:
    assert not any(word.differs for word in compare_words("Well, HELLO there!", "well hello there"))
