"""Places that are printed: an IPv6 address is in brackets, and all addresses are no place."""

import re
from pathlib import Path

import pytest

from bridge.app.start.addresses import browser_url, http_url, sip_address
from bridge.config.settings import Settings
from bridge.replay.call.process import own_address
from bridge.store.local import LocalRedis
from tests.support.certificates import Authority
from tests.support.gateways import serving, write_dialplan
from tests.support.tls_sip import client_context, tls_phone


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
    assert http_url(settings.http, settings.console, 80) == http
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


@pytest.mark.sip
@pytest.mark.redis
@pytest.mark.parametrize("secure", [False, pytest.param(True, marks=pytest.mark.capacity)])
async def test_the_ready_line_says_where_tls_is_heard(
    simulator: str, redis: LocalRedis, tmp_path: Path, secure: bool
) -> None:
    authority = Authority(tmp_path / "tls")
    cert, key = map(str, authority.sign("gateway"))
    tls = {"port": 0, "cert_file": cert, "key_file": key} if secure else None
    plans = write_dialplan(tmp_path / "dialplans")
    with serving(tmp_path, simulator, plans, redis_url=redis.url, sip={"tls": tls}) as gateway:
        said = gateway.process.ready["sip_tls"]
        if not secure:
            assert said is None
            return
        place = re.fullmatch(r"sip:127\.0\.0\.1:(\d+);transport=tls", str(said))
        assert place is not None, said
        async with tls_phone(int(place[1]), client_context(authority.cert_file)) as phone:
            assert (await phone.options()).startswith("SIP/2.0 200")
