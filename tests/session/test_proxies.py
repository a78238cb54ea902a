"""Which proxy a connection goes through, by settings and by the environment."""

import pytest

from bridge.errors import ConfigError
from bridge.session.proxies import DIRECT, Proxies, Proxy

ENVIRON = {"HTTPS_PROXY": "http://secure:3128", "http_proxy": "plain:8080"}


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("wss://h/x", "secure:3128"),
        ("https://h/x", "secure:3128"),
        ("ws://h/x", "plain:8080"),
        ("http://h/x", "plain:8080"),
        ("wss://127.0.0.1:9/x", None),
        ("wss://[::1]/x", None),
        ("ws://localhost/x", None),
    ],
)
def test_environments_proxy_goes_by_the_scheme_and_spares_this_machine(
    url: str, address: str | None
) -> None:
    found = Proxies.from_environment(ENVIRON).of(url)
    assert (found.address if found else None) == address


@pytest.mark.parametrize("no_proxy", ["h", ".example", "other, h.example", "h.example:443", "*"])
def test_no_proxy_names_hosts_that_are_reached_directly(no_proxy: str) -> None:
    proxies = Proxies.from_environment({**ENVIRON, "NO_PROXY": no_proxy})
    hosts = {"h": "h"}.get(no_proxy, "h.example")
    assert proxies.of(f"wss://{hosts}/x") is None
    if no_proxy != "*":
        assert proxies.of("wss://elsewhere/x") is not None


def test_an_explicit_proxy_is_taken_for_every_url() -> None:
    proxies = Proxies.explicit("http://proxy", "name:pass:word")
    for url in ("wss://h/x", "http://127.0.0.1/x"):
        assert proxies.of(url) == Proxy("proxy:80", "name:pass:word")
    assert DIRECT.of("wss://h/x") is None


def test_credentials_of_the_environment_are_read_and_not_shown() -> None:
    proxies = Proxies.from_environment({"HTTPS_PROXY": "http://na%40me:Okapi%2F2029@proxy:1"})
    proxy = proxies.of("wss://h/x")
    assert proxy == Proxy("proxy:1", "na@me:Okapi/2029")
    assert proxy is not None
    assert proxy.secret_url == "http://na%40me:Okapi%2F2029@proxy:1"
    assert proxy.url == "http://proxy:1"
    assert "Okapi" not in repr(proxies)


@pytest.mark.parametrize(
    "value", ["socks5://p:1", "https://p:443", "http://u:Okapi2029@p:x", "http://", "http://[x"]
)
def test_a_proxy_that_is_not_spoken_with_is_refused_unrepeated(value: str) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY names no proxy like") as caught:
        Proxies.from_environment({"https_proxy": value})
    assert "Okapi" not in str(caught.value)
    assert "none" in caught.value.remedy


def test_an_ipv6_proxy_is_in_brackets() -> None:
    assert Proxies.explicit("http://[2001:db8::1]:3128", None).of("ws://h/") == Proxy(
        "[2001:db8::1]:3128"
    )
