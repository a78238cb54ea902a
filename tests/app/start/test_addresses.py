"""Places that are printed: an IPv6 address is in brackets, and all addresses are no place."""

import pytest

from bridge.app.start.addresses import browser_url, http_url, sip_address
from bridge.config.settings import Settings
from bridge.replay.call.process import own_address


@pytest.mark.parametrize(
    ("host", "sip", "http", "browser"),
    [
        ("::1", "[::1]:5060", "http://[::1]:80", "http://[::1]:80"),
        ("::", "", "http://[::]:80", "http://[::1]:80"),
        ("127.0.0.1", "127.0.0.1:5060", "http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0", "", "http://0.0.0.0:80", "http://127.0.0.1:80"),
    ],
)
def test_places_where_a_gateway_is_reached(host: str, sip: str, http: str, browser: str) -> None:
    settings = Settings.model_validate({"sip": {"host": host}, "http": {"host": host}})
    assert sip_address(settings, 5060) == sip
    assert http_url(settings, 80) == http
    assert browser_url(settings, http) == browser


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("sip:a@[::1]:5060", "::1"),
        ("sip:a@[2001:db8::7]", "::"),
        ("sip:a@127.0.0.1", "127.0.0.1"),
        ("sip:a@pbx.example", "0.0.0.0"),
    ],
)
def test_the_softphone_calls_from_an_address_of_the_same_family(uri: str, host: str) -> None:
    assert own_address(uri) == host
