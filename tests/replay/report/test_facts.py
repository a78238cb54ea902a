"""Numbers, dates and names are compared by what they mean."""

from itertools import pairwise

import pytest

from bridge.replay.report.facts import FactKind, differing, find_facts


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It is forty two dollars.", "That makes $42."),
        ("Your code is four one one one.", "The code: 4111"),
        ("It costs one hundred and twenty dollars.", "It costs 120 dollars."),
        ("About two thousand five hundred.", "About 2,500."),
        ("It comes on Monday.", "On monday it comes."),
        ("I spoke to Anna Schmidt.", "It was Anna Schmidt whom I asked."),
        ("Due on 3 May 2026.", "Due on May 3 2026."),
        ("The red one, please.", "The red, please."),
    ],
)
def test_another_wording_says_the_same(first: str, second: str) -> None:
    assert differing(find_facts(first), find_facts(second)) == ([], [])


@pytest.mark.parametrize(
    ("first", "second", "kind", "gone", "come"),
    [
        ("It is fifteen dollars.", "It is fifty dollars.", FactKind.NUMBER, "fifteen", "fifty"),
        ("It comes on Monday.", "It comes on Tuesday.", FactKind.DATE, "Monday", "Tuesday"),
        ("Ask for Mr Smith.", "Ask for Mr Smyth.", FactKind.NAME, "Mr Smith", "Mr Smyth"),
        ("Due on 3 May 2026.", "Due on 4 May 2026.", FactKind.DATE, "3 May 2026", "4 May 2026"),
        (
            "Press two hundred.",
            "Press two thousand.",
            FactKind.NUMBER,
            "two hundred",
            "two thousand",
        ),
    ],
)
def test_one_word_that_matters_is_found(
    first: str, second: str, kind: FactKind, gone: str, come: str
) -> None:
    lost, new = differing(find_facts(first), find_facts(second))
    assert [(fact.kind, fact.text) for fact in lost] == [(kind, gone)]
    assert [(fact.kind, fact.text) for fact in new] == [(kind, come)]


def test_a_number_that_is_said_once_less_differs() -> None:
    lost, new = differing(find_facts("42, I repeat: 42."), find_facts("It is 42."))
    assert ([fact.text for fact in lost], new) == (["42"], [])


def test_the_first_word_of_a_sentence_is_no_name() -> None:
    assert find_facts("Certainly. Please hold: One moment.") == ()


def test_facts_do_not_overlap() -> None:
    facts = find_facts("On May 3rd 2026 Mr Smith paid 42 dollars, on Monday.")
    assert [fact.kind.value for fact in facts] == ["date", "name", "number", "date"]
    assert all(one.end <= other.start for one, other in pairwise(facts))
