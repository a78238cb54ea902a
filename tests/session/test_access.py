"""What requests to an arm's service carry, and what is taken out of its answers."""

import json
from urllib.parse import quote, quote_plus

import pytest

from bridge.session.access import MASK, NO_KEY, Access
from bridge.session.proxies import Proxies, Proxy

KEY = 'Zebra0451/Quagga+7788="x'
URL = "wss://h/v1/realtime"


def test_a_bearer_goes_in_authorization() -> None:
    access = Access("key-1", headers={"OpenAI-Project": "p"}, query={"api-version": "1"})
    assert access.request_headers == {"OpenAI-Project": "p", "Authorization": "Bearer key-1"}
    assert access.url_with(URL, model="m 1") == f"{URL}?api-version=1&model=m+1"


def test_a_key_in_a_header_goes_nowhere_else() -> None:
    access = Access("key-1", auth="header", auth_name="api-key")
    assert access.request_headers == {"api-key": "key-1"}
    assert access.url_with(URL) == URL


def test_a_key_in_the_query_goes_nowhere_else() -> None:
    access = Access("a b&c", auth="query", auth_name="api-key")
    assert access.request_headers == {}
    assert access.url_with(f"{URL}?x=1", model="m") == f"{URL}?x=1&model=m&api-key=a+b%26c"


@pytest.mark.parametrize("auth", ["bearer", "header", "query"])
def test_a_token_goes_as_a_bearer_and_the_key_not_at_all(auth: str) -> None:
    access = Access("long-lived", auth=auth, headers={"X-A": "1"})  # type: ignore[arg-type]  # of a parameter
    token = access.with_token("ek_short")
    assert token.request_headers == {"X-A": "1", "Authorization": "Bearer ek_short"}
    assert "long-lived" not in token.url_with(URL)


def test_a_server_without_keys_gets_none() -> None:
    assert NO_KEY.request_headers == {}
    assert NO_KEY.url_with(URL) == URL


def test_nothing_that_may_be_secret_is_in_a_repr() -> None:
    proxy = Proxy("proxy:3128", "name:Lemur6502")
    access = Access(
        "Gnu5150",
        headers={"X-Key": "Tapir3141"},
        query={"sig": "Dugong8086"},
        secrets=("Tapir3141", "Dugong8086"),
        proxies=Proxies(proxy, proxy),
    )
    shown = repr(access) + repr(access.with_token("Civet6809"))
    assert "proxy:3128" in shown
    assert not [each for each in ("5150", "3141", "8086", "6502", "6809") if each in shown]


@pytest.mark.parametrize(
    "spelt",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        quote(KEY),
        quote(KEY, safe=""),
        quote_plus(KEY),
    ],
)
def test_what_a_service_repeats_of_a_secret_is_taken_out(spelt: str) -> None:
    for access in (Access(KEY), Access("other-key", secrets=(KEY,)), Access(KEY).with_token("t")):
        assert access.without_secrets(f'{{"a": "{spelt}!"}}') == f'{{"a": "{MASK}!"}}'


def test_a_proxys_credentials_are_taken_out_in_each_form() -> None:
    proxy = Proxy("proxy:3128", "name:Serval4004")
    access = Access(proxies=Proxies(proxy, None))
    sent = proxy.headers["Proxy-Authorization"].removeprefix("Basic ")
    assert access.without_secrets(f"Serval4004 {sent}") == f"{MASK} {MASK}"


def test_what_is_too_short_to_be_a_secret_stays() -> None:
    assert Access("a", secrets=("the",)).without_secrets("the cat") == "the cat"
