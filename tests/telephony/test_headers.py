"""Headers of a message, whatever its sender makes of RFC 3261."""

from bridge.telephony.headers import read_headers

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
