"""Numbers as trunks write them: what becomes E.164, what is left alone, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.addresses import Uri, called_by
from bridge.sip.numbers import AS_WRITTEN, BareNumber, NumberFormat, WrittenNumber

GERMAN = NumberFormat("49", "0", "00", "keep", "national")
AMERICAN = NumberFormat("1", "1", "011", "national", "e164")
DIGITS = NumberFormat(bare="international", out="digits")
ITALIAN = NumberFormat("39", "", "00", "national", "international")


@pytest.mark.parametrize(
    ("numbers", "user", "read"),
    [
        # In full already.
        (GERMAN, "+493012345678", "+493012345678"),
        (GERMAN, "+49 (30) 1234-5678", "+493012345678"),
        (GERMAN, "+15551234567", "+15551234567"),
        # With prefixes.
        (GERMAN, "03012345678", "+493012345678"),
        (GERMAN, "00493012345678", "+493012345678"),
        (GERMAN, "0015551234567", "+15551234567"),
        (AMERICAN, "5551234567", "+15551234567"),
        (AMERICAN, "15551234567", "+15551234567"),
        (AMERICAN, "011493012345678", "+493012345678"),
        (DIGITS, "447700900000", "+447700900000"),
        (ITALIAN, "0612345678", "+390612345678"),  # its zero is part of the number
        (ITALIAN, "00493012345678", "+493012345678"),
        # Not known in full.
        (GERMAN, "12345678", "12345678"),
        (GERMAN, "493012345678", "493012345678"),
        # Extensions, short codes, emergency numbers, whatever is put in front.
        *((numbers, "112", "112") for numbers in (GERMAN, AMERICAN, DIGITS, ITALIAN)),
        *((numbers, "911", "911") for numbers in (GERMAN, AMERICAN, DIGITS, ITALIAN)),
        (GERMAN, "0112", "0112"),
        (GERMAN, "00112", "00112"),
        (GERMAN, "+112", "+112"),
        (GERMAN, "+49112", "+49112"),
        (GERMAN, "0116117", "0116117"),
        (AMERICAN, "1001", "1001"),
        (AMERICAN, "1911", "1911"),
        # No numbers.
        (DIGITS, "anonymous", "anonymous"),
        (DIGITS, "Restricted", "Restricted"),
        (DIGITS, "support", "support"),
        (DIGITS, "4477009000x0", "4477009000x0"),
        (DIGITS, "*98447700900", "*98447700900"),
        (DIGITS, "447700900000#1", "447700900000#1"),
        (DIGITS, "٤٤٧٧٠٠٩٠٠٠٠٠", "٤٤٧٧٠٠٩٠٠٠٠٠"),
        (DIGITS, "4477%0d%0a00900000", "4477%0d%0a00900000"),
        (DIGITS, "", ""),
        (DIGITS, "+", "+"),
        (DIGITS, "++447700900000", "++447700900000"),
        (DIGITS, "+4477+00900000", "+4477+00900000"),
        # No country code begins with 0; nothing has more than 15 digits.
        (DIGITS, "0447700900000", "0447700900000"),
        (DIGITS, "+0447700900000", "+0447700900000"),
        (DIGITS, "1234567890123456", "1234567890123456"),
        (GERMAN, "0" + "1" * 14, "0" + "1" * 14),
        (GERMAN, "9" * 5000, "9" * 5000),
        (GERMAN, "000493012345678", "000493012345678"),
    ],
)
def test_what_comes_in_is_e164_or_as_it_was(numbers: NumberFormat, user: str, read: str) -> None:
    assert numbers.read(user) == read


@pytest.mark.parametrize(
    ("numbers", "user", "written"),
    [
        (GERMAN, "+493012345678", "03012345678"),
        (GERMAN, "+49 30 12345678", "03012345678"),
        (GERMAN, "+15551234567", "0015551234567"),
        (NumberFormat("49", "0", "", out="national"), "+15551234567", "+15551234567"),
        (AMERICAN, "+15551234567", "+15551234567"),
        (DIGITS, "+447700900000", "447700900000"),
        (ITALIAN, "+390612345678", "00390612345678"),
        (AS_WRITTEN, "+447700900000", "+447700900000"),
        *((each, "112", "112") for each in (GERMAN, AMERICAN, DIGITS, ITALIAN)),
        (GERMAN, "+49112", "+49112"),  # else it were 0112
        (GERMAN, "+49110110", "0049110110"),  # too short for a national number: abroad's way
        (DIGITS, "+49112", "+49112"),
        (DIGITS, "447700900000", "447700900000"),
        (GERMAN, "03012345678", "03012345678"),
        (GERMAN, "12345678", "12345678"),
        (DIGITS, "queue", "queue"),
        (DIGITS, "+447700900000p12", "+447700900000p12"),
        (DIGITS, "+" + "9" * 16, "+" + "9" * 16),
    ],
)
def test_what_goes_out_is_as_the_trunk_wants_it(
    numbers: NumberFormat, user: str, written: str
) -> None:
    assert numbers.write(user) == written


@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("sip:03012345678@bridge.example;user=phone", "+493012345678"),
        ("sip:03012345678;phone-context=+49@bridge.example;user=phone", "+493012345678"),
        ("sip:3012345678;phone-context=+49@bridge.example;user=phone", "+493012345678"),
        ("sip:03012345678;phone-context=+1@bridge.example;user=phone", "03012345678"),
        ("sip:03012345678;phone-context=pbx.example@bridge.example", "03012345678"),
        ("sip:112;phone-context=+49@bridge.example", "112"),
        ("sip:+493012345678;phone-context=pbx.example@bridge.example", "+493012345678"),
        ("tel:03012345678;phone-context=+49", "+493012345678"),
        ("tel:030-1234-5678;phone-context=+49", "+493012345678"),
        ("tel:03012345678;phone-context=pbx.example", "03012345678"),
        ("sip:03012345678;ext=12@bridge.example", "+493012345678"),
        ("sip:support@bridge.example", "support"),
        ("sip:bridge.example", "bridge.example"),
    ],
)
def test_a_number_of_another_plan_is_not_ours_to_read(uri: str, called: str) -> None:
    assert called_by(GERMAN.read_request_uri(uri)) == called


def test_a_context_goes_with_the_number_that_needed_it() -> None:
    uri = Uri.parse("sip:03012345678;phone-context=+49;ext=12@bridge.example;user=phone")
    read = str(GERMAN.read_uri(uri))
    assert read == "sip:+493012345678;ext=12@bridge.example;user=phone"


@pytest.mark.parametrize(
    "text",
    ["", "no address", "<sip:03012345678@a", "sip:03012345678>@a", '"a" sip:03012345678@a'],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert GERMAN.read_address(text) == text
    assert GERMAN.read_request_uri(text) == text


def test_addresses_keep_their_names_and_their_list() -> None:
    given = '"0301, Eve" <sip:03012345678@a;user=phone>;tag=1, <tel:0049301234567>'
    read = '"0301, Eve" <sip:+493012345678@a;user=phone>;tag=1, <tel:+49301234567>'
    assert GERMAN.read_header(given) == read
    assert AS_WRITTEN.read_header("a ,b") == "a ,b"


FORMS: list[tuple[BareNumber, WrittenNumber]] = [
    ("keep", "e164"),
    ("international", "digits"),
    ("keep", "international"),
    ("keep", "national"),
]


@given(
    st.from_regex(r"\A\+[1-9][0-9]{6,14}\Z"), st.sampled_from(FORMS), st.sampled_from(["49", "1"])
)
def test_what_is_written_is_read_back(
    number: str, form: tuple[BareNumber, WrittenNumber], country: str
) -> None:
    """Without prefixes that a bare country code may begin with: a trunk has one form."""
    bare, out = form
    prefixes = ("", "") if bare == "international" else ("0", "00")
    numbers = NumberFormat(country, *prefixes, bare, out)
    assert numbers.read(numbers.write(number)) == number


@given(st.text(max_size=40))
def test_nothing_makes_more_than_one_address_of_a_number(user: str) -> None:
    for numbers in (GERMAN, AMERICAN, DIGITS, ITALIAN):
        for made in (numbers.read(user), numbers.write(user)):
            assert made == user or made.removeprefix("+").isdecimal()
            assert made == user or made.isascii()
        assert numbers.read(numbers.read(user)) == numbers.read(user)
