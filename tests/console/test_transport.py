"""Who reaches the console over which network: TLS, proxies, other machines."""

import ssl
from pathlib import Path

import aiohttp
import pytest

from bridge.config.console import ConsoleSettings
from bridge.config.settings import HttpSettings
from bridge.console.app import make_app
from bridge.console.server import HttpServer
from bridge.errors import ConfigError
from bridge.telemetry.metrics import Metrics
from tests.console.conftest import Console, MakeConsole
from tests.support.certificates import make_certificate

REMOTE = {"X_Forwarded_For": "203.0.113.9"}


async def test_other_machines_are_refused_without_tls(make_console: MakeConsole) -> None:
    console: Console = await make_console(trusted_proxies=["127.0.0.0/8"])
    async with console.browser() as browser:
        for path in ("/", "/login", "/api/v1/session", "/static/css/console.css"):
            status, told = await browser.get(path, **REMOTE)
            assert (status, "console.tls_cert_file" in told["detail"]) == (403, True)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await browser.http.ws_connect("/x", headers={"X-Forwarded-For": "203.0.113.9"})
        # Prometheus comes from wherever it is.
        for path in ("/metrics", "/healthz", "/readyz"):
            assert (await browser.get(path, **REMOTE))[0] == 200


async def test_a_trusted_proxy_with_tls_lets_them_in(make_console: MakeConsole) -> None:
    console: Console = await make_console(trusted_proxies=["127.0.0.1"])
    await console.add_user("sue", "supervisor")
    over_tls = {**REMOTE, "X_Forwarded_Proto": "https"}
    async with console.browser() as browser:
        assert (await browser.get("/login", **over_tls))[0] == 200
        async with browser.http.get(
            "/login", headers={k.replace("_", "-"): v for k, v in over_tls.items()}
        ) as response:
            assert "max-age" in response.headers["Strict-Transport-Security"]


async def test_whoever_is_no_trusted_proxy_is_not_believed(make_console: MakeConsole) -> None:
    console: Console = await make_console(trusted_proxies=["198.51.100.7"])
    said = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    async with (
        console.browser() as browser,
        browser.http.get("/login", headers=said) as response,
    ):
        # Not the address, and not that it came by TLS.
        assert response.status == 200
        assert "Strict-Transport-Security" not in response.headers


async def test_a_closed_network_may_do_without(make_console: MakeConsole) -> None:
    console: Console = await make_console(trusted_proxies=["127.0.0.1"], insecure_remote=True)
    async with console.browser() as browser:
        assert (await browser.get("/login", **REMOTE))[0] == 200


async def test_the_port_speaks_tls_itself(make_console: MakeConsole, tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    console: Console = await make_console(tls_cert_file=cert, tls_key_file=key)
    link = await console.services.accounts.first_admin_token()
    trust = ssl.create_default_context(cafile=str(cert))
    given = {"token": link, "user": "ada", "password": "correct horse battery"}
    connector = aiohttp.TCPConnector(ssl=trust)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(console.url, connector=connector, cookie_jar=jar) as client:
        async with client.post(
            "/api/v1/invitation/accept", json=given, headers={"Origin": console.url}
        ) as response:
            assert response.status == 200
            cookie = response.headers["Set-Cookie"]
            assert cookie.startswith("__Host-bridge_session=")
            assert "Secure" in cookie
        async with client.get("/api/v1/session") as response:
            assert response.status == 200
        plain = console.url.replace("https", "http")
        async with aiohttp.ClientSession() as other:
            with pytest.raises(aiohttp.ClientError):
                await other.get(plain)


async def test_a_certificate_that_is_none_is_named_with_the_remedy(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("no PEM")
    settings = ConsoleSettings(
        tls_cert_file=tmp_path / "cert.pem", tls_key_file=tmp_path / "key.pem"
    )
    server = HttpServer(HttpSettings(port=0), settings, make_app(None, Metrics("1"), list))
    with pytest.raises(ConfigError, match="tls_cert_file and tls_key_file are PEM"):
        await server.start()


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValueError, match="name both"):
        ConsoleSettings(tls_cert_file=Path("x"))


async def test_behind_a_proxy_origins_are_those_of_the_public_url(
    make_console: MakeConsole,
) -> None:
    console: Console = await make_console(public_url="https://console.example")
    await console.add_user("sue", "supervisor")
    async with console.browser() as browser:
        await console.sign_in(browser, "sue")
        path = "/api/v1/session"
        assert (await browser.get(path, Origin="https://console.example"))[0] == 200
        assert (await browser.get(path, Origin=console.url))[0] == 403
