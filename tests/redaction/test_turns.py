"""What redaction finds in a transcript, and what it leaves."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.redaction.kinds import DEFAULT_KINDS, PLACEHOLDER, PLACEHOLDERS, Kind
from bridge.redaction.numbers import digits_of, find_runs
from bridge.redaction.turns import Redactor

VISA = "4111111111111111"
AMEX = "378282246310005"
MAESTRO_19 = "6304000000000000000"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ALL = frozenset(Kind)

redact = Redactor().redact


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"it is {VISA}.", "it is [card]."),
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111 thanks", "[card] thanks"),
        ("4111, 1111, 1111, 1111", "[card]"),
        ("4111.1111.1111.1111", "[card]"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[card]"),
        ("3782 822463 10005 amex", "[card] amex"),
        (MAESTRO_19, "[card]"),
        ("order 17, 4111 1111 1111 1111, 5 pieces", "order 17, [card], 5 pieces"),
        (f"{VISA} or {AMEX}", "[card] or [card]"),
        (f"{VISA} {AMEX}", "[card] [card]"),
        ("14 4111 1111 1111 1111", "[card]"),  # its first 14 digits pass the check by chance
        ("my social is 078-05-1120", "my social is [ssn]"),
        ("078 05 1120", "[ssn]"),
        ("born 31/12/1980", "born [date]"),
        ("1.2.2003 and 01-02-1999", "[date] and [date]"),
        ("1980-03-05", "[date]"),
        ("on March 5th, 1980", "on [date]"),
        ("the fifth of March nineteen eighty-one", "the [date]"),
        ("am 5. März 1980", "am [date]"),
        ("four one one one, " + "one one one one " * 3, "[card] "),
        ("forty-one eleven, eleven eleven, eleven eleven, eleven eleven", "[card]"),
        ("four triple one, um, double one 11 1111 and then 1111 ok", "[card] ok"),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "[card]"),
        ("४१११११११११११११११", "[card]"),
        ("DE89 3704 0044 0532 0130 00", "[account]"),
        ("my card number is 4111 1111 1111 1112", "my card number is [card]"),  # misheard
        ("and the security code is 123", "and the security code is [card]"),
        ("account number one two three four five six seven", "account number [account]"),
        ("Kontonummer: 12345678", "Kontonummer: [account]"),
        ("born 05/03/80", "born [date]"),
    ],
)
def test_redact_finds(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "",
        "4111 1111 1111 1112",  # fails the Luhn check
        "call me on +1 555 010 0199",
        "order 123456789012",  # twelve digits
        "the year 1999, 12 pieces at 3.50",
        "version 1.2.3456",
        "ratio 1/2/3",
        "078-051-120",
        "order number 78442391",
        "your invoice is 1,234.56 dollars on your card ending in 4242",
        "it arrives on March 5th",
        "one moment please, I have two questions about ten orders",
        "the card was charged $ 12,345.67",
        "call me on five five five, oh one oh, oh one nine nine",
        "account 4 is on page 12",
        "DE89 3704 0044 0532 0130 02",  # wrong check digits
    ],
)
def test_redact_leaves(said: str) -> None:
    assert redact(said) == said


@pytest.mark.parametrize(
    ("asked", "answered", "kept"),
    [
        ("What is your card number?", "4111 1111", "[card]"),  # the rest comes in the next turn
        ("And your date of birth?", "march fifth", "[date]"),
        ("Your social security number, please.", "zero seven eight, 05, 1120", "[ssn]"),
        ("Which account?", "12345678", "[account]"),
        ("Your account?", "my order is 12345678", "my order is 12345678"),
        ("Your card number, and your order number?", "78442391", "78442391"),
        ("Your card number?", "oh, I see. One second.", "oh, I see. One second."),
        ("", "12345678", "12345678"),
    ],
)
def test_a_number_is_what_was_asked_for(asked: str, answered: str, kept: str) -> None:
    assert redact(answered, asked) == kept


def test_only_what_is_named_is_replaced() -> None:
    said = f"{VISA}, born 31/12/1980, a@b.example, +1 555 010 0199"
    assert Redactor(frozenset()).redact(said) == said
    assert Redactor(frozenset({Kind.CARDS})).redact(said) == said.replace(VISA, "[card]")
    phones = Redactor(frozenset({Kind.PHONES}))
    assert phones.redact("call me on five five five oh one oh oh") == "call me on [phone]"
    assert Redactor(ALL).redact(said) == "[card], born [date], [email], [phone]"


@pytest.mark.parametrize("kinds", [DEFAULT_KINDS, ALL])
@given(text=st.text(), asked=st.sampled_from(["", "Your card number?", "Your account?"]))
def test_redact_twice_is_redact_once(kinds: frozenset[Kind], text: str, asked: str) -> None:
    redactor = Redactor(kinds)
    once = redactor.redact(text, asked)
    assert redactor.redact(once, asked) == once


PIECES = ["4111", "one", "eleven", "forty one", "double two", "5/3/80", "1980", " ", "-", ", "]
PIECES += ["account", "card", "order", "born", "March", "fifth", "word", "um", "DE89", "oh"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join))
def test_redact_twice_is_redact_once_in_what_looks_like_numbers(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.lists(st.sampled_from(["4111", " ", "1", "-", "000", ", ", "word"])))
def test_redact_never_leaves_the_test_card(pieces: list[str]) -> None:
    assert VISA not in redact("".join([*pieces, " x ", VISA, " x ", *pieces]))


Draw = Callable[[st.SearchStrategy[Any]], Any]  # Any: what is drawn


def spoken(draw: Draw, digits: str) -> str:
    """Say digits as callers do: singly, in figures, or both; with pauses."""
    said = []
    while digits:
        count = draw(st.integers(1, 4))
        group, digits = digits[:count], digits[count:]
        in_figures = draw(st.booleans())
        said.append(group if in_figures else " ".join(WORDS[int(each)] for each in group))
    between: str = draw(st.sampled_from([" ", ", ", "... ", ", um, "]))
    return between.join(said)


@st.composite
def said_cards(draw: st.DrawFn) -> str:
    """Make a good card number of 13 to 19 digits and say it."""
    body = draw(st.text("0123456789", min_size=11, max_size=17))
    number = draw(st.sampled_from("23456")) + body
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(number))]
    check = -sum(each - 9 if each > 9 else each for each in doubled) % 10
    return spoken(draw, f"{number}{check}")


@given(said_cards())
def test_a_spoken_card_number_leaves_no_digit(said: str) -> None:
    left = redact(f"my number is {said}, thanks")
    assert left == "my number is [card], thanks"


@given(st.text("0123456789", min_size=1, max_size=20), st.data())
def test_digits_are_read_as_they_are_said(digits: str, data: st.DataObject) -> None:
    said = spoken(data.draw, digits)
    (run,) = find_runs(said)
    assert digits_of(run) == digits


def test_placeholders_hold_no_digits() -> None:
    assert PLACEHOLDERS.keys() == ALL
    for each in PLACEHOLDERS.values():
        assert PLACEHOLDER.fullmatch(each)
        assert not any(letter.isdigit() for letter in each)
