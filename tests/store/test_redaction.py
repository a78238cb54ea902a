"""What redaction finds in a transcript, and what it leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.store.redaction import redact

VISA = "4111111111111111"
AMEX = "378282246310005"
MAESTRO_19 = "6304000000000000000"


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
    ],
)
def test_redact_leaves(said: str) -> None:
    assert redact(said) == said


@given(st.text())
def test_redact_twice_is_redact_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.lists(st.sampled_from(["4111", " ", "1", "-", "000", ", ", "word"])))
def test_redact_never_leaves_the_test_card(pieces: list[str]) -> None:
    assert VISA not in redact("".join([*pieces, " x ", VISA, " x ", *pieces]))
