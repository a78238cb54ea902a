"""Who a URI calls."""

import pytest

from bridge.telephony.uris import user_of


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:support@10.0.0.1:5060", "support"),
        ("<sip:support@10.0.0.1>", "support"),
        ("sips:+15551234@carrier.example;transport=tcp", "+15551234"),
        ("sip:%2B15551234@carrier.example", "+15551234"),
        ("sip:+15551234;phone-context=example@carrier.example", "+15551234"),
        ("sip:alice:secret@carrier.example", "alice"),
        ("SIP:alice@carrier.example?Subject=x", "alice"),
        ("tel:+1-555-1234;ext=5", "+1-555-1234"),
        ("sip:10.0.0.1:5060", "10.0.0.1"),
        ("sip:carrier.example;transport=udp", "carrier.example"),
        ("sip:[::1]:5060", "[::1]"),
        ("alice@carrier.example", "alice"),
        ("", ""),
    ],
)
def test_user_of(uri: str, user: str) -> None:
    assert user_of(uri) == user
