"""Headers of a message, whatever its sender makes of RFC 3261."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.telephony.headers import read_headers, request_uri

INVITE = (
    "INVITE sip:support@127.0.0.1 SIP/2.0\r\n"
    "f: <sip:ann@x>;tag=1\r\n"
    "P-Asserted-Identity: <sip:+1555;verstat=TN-Validation-Passed@x>\r\n"
    "p-asserted-identity : <tel:+1555>\r\n"
    "X-Long: one\r\n"
    "  two\r\n"
    "no header at all\r\n"
    "\r\n"
    "v: 0\r\nX-Body: no\r\n"
)


def test_headers_are_found_by_lower_case_name_with_all_their_lines() -> None:
    headers = read_headers(INVITE)
    asserted = ("<sip:+1555;verstat=TN-Validation-Passed@x>", "<tel:+1555>")
    assert headers["p-asserted-identity"] == asserted
    assert headers["x-long"] == ("one two",)
    assert "x-body" not in headers


def test_compact_form_is_the_long_one() -> None:
    assert read_headers(INVITE)["from"] == ("<sip:ann@x>;tag=1",)


@pytest.mark.parametrize(
    ("compact", "long"),
    [("s", "subject"), ("B", "referred-by"), ("r", "refer-to"), ("k", "supported")],
)
def test_a_rule_finds_a_header_in_its_compact_form(compact: str, long: str) -> None:
    headers = read_headers(f"INVITE sip:a@b SIP/2.0\r\n{compact} : M\udcfcller\r\n\r\n")
    assert headers == {long: ("Müller",)}


def test_only_line_feeds_end_a_header() -> None:
    """What other programs take for the end of a line must not let a value forge a header."""
    ends = ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r")
    for end in ends:
        forged = f"INVITE sip:a@b SIP/2.0\r\nX-A: x{end}P-Asserted-Identity: <tel:+1>\r\n\r\n"
        assert read_headers(forged) == {"x-a": ("x P-Asserted-Identity: <tel:+1>",)}


def test_bytes_that_are_no_utf8_are_letters_of_old_pbxs() -> None:
    received = b"INVITE sip:B\xfcro@b SIP/2.0\r\nX-A: M\xfcller\r\nX-B: M\xc3\xbcller\r\n\r\nx"
    message = received.decode("utf-8", "surrogateescape")  # as pjsua2's binding does
    assert read_headers(message) == {"x-a": ("Müller",), "x-b": ("Müller",)}
    assert request_uri(message) == "sip:Büro@b"


@given(st.binary())
def test_no_bytes_break_the_reading(octets: bytes) -> None:
    message = octets.decode("utf-8", "surrogateescape")
    for name, values in read_headers(message).items():
        "".join((name, *values)).encode()
    request_uri(message).encode()
