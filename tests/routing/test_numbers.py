import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.routing.numbers import (
    covers,
    normalise_called,
    normalise_pattern,
    pattern_matches,
    shown_number,
)


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("sip:+15550100@gw", "+15550100"),
        ("SIPS:+1-555-0100@gw:5061;transport=tls", "+15550100"),
        ('"Support" <sip:(555) 0100@gw>;tag=1', "5550100"),
        ("sip:%2B1555%200100@gw", "+15550100"),
        ("sip:+15550100;phone-context=x@gw", "+15550100"),
        ("sip:alice:secret@gw", "alice"),
        ("sip:j.doe-2@gw", "j.doe-2"),
        ("sip:Sales@gw", "Sales"),
        ("tel:+1.555.0100;ext=2", "+15550100"),
        ("sip:gw", ""),
        ("sip:*98@gw", "*98"),
        ("  1001 ", "1001"),
        ("", ""),
    ],
)
def test_normalise_called(called: str, expected: str) -> None:
    assert normalise_called(called) == expected


@pytest.mark.parametrize(
    ("pattern", "called", "expected"),
    [
        ("+1 555 0100", "+15550100", True),
        ("+1 555 0100", "15550100", False),
        ("+1 555*", "+15550100", True),
        ("+1 555*", "+1555", True),
        ("+1 555*", "+1556", False),
        ("sup*", "support", True),
        ("*", "", True),
        ("*98", "*98", True),
        ("*98", "98", False),
        ("*9*", "*98", True),
        ("_+1NXX555XXXX", "+12125550100", True),
        ("_+1 NXX-555-XXXX", "+12125550100", True),
        ("_+1NXX555XXXX", "+11125550100", False),
        ("_+1NXX555XXXX", "+1212555010", False),
        ("_+1NXX555XXXX", "+121255501000", False),
        ("_Z*", "1", True),
        ("_Z*", "01", False),
        ("_[2-57]0", "70", True),
        ("_[2-57]0", "60", False),
        ("_X", "x", False),
    ],
)
def test_pattern(pattern: str, called: str, expected: bool) -> None:
    assert pattern_matches(normalise_pattern(pattern), called) is expected


@pytest.mark.parametrize(
    "pattern",
    ["1*2", "**2", "sip:1@gw", "1@gw", "tel:1", "_", "_*", "_[", "_[]", "_[a-b]", "_[5-2]"],
)
def test_pattern_that_cannot_be_meant_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"should be|may have|should have|should hold|goes down"):
        normalise_pattern(pattern)


PATTERNS = st.from_regex(r"\A\*?[01]{1,3}\*?\Z|\A\*\Z|\A_([01XZN]|\[[01]\]|\[0-[1-3]\]){1,4}\*?\Z")
NUMBERS = st.from_regex(r"\A\*?[01]{0,4}\Z")


@given(first=PATTERNS, second=PATTERNS, called=NUMBERS)
def test_what_a_covered_pattern_takes_the_covering_one_takes(
    first: str, second: str, called: str
) -> None:
    first, second = normalise_pattern(first), normalise_pattern(second)
    if covers(first, second) and pattern_matches(second, called):
        assert pattern_matches(first, called)


@given(st.text())
def test_any_text_that_is_dialled_is_matched_without_error(text: str) -> None:
    assert pattern_matches("*", normalise_called(text))


@pytest.mark.parametrize(
    ("first", "second", "covered"),
    [
        ("*", "_+1NXX*", True),
        ("_+1XX", "_+1NX", True),
        ("_+1NX", "_+1XX", False),
        ("_X*", "12", True),
        ("_X", "1*", False),
        ("12", "12*", False),
        ("12*", "12", True),
        ("12*", "1*", False),
        ("_[0-4]", "3", True),
        ("3", "_[0-4]", False),
    ],
)
def test_what_a_pattern_covers(first: str, second: str, covered: bool) -> None:
    assert covers(normalise_pattern(first), normalise_pattern(second)) is covered


def test_a_caller_who_shows_no_number_has_none() -> None:
    assert shown_number("<sip:Anonymous@anonymous.invalid>") == ""
    assert shown_number("") == ""
    assert shown_number('"A" <sip:+1-555-0100@x>;tag=1') == "+15550100"
