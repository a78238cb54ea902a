"""The service's HTTP side goes the way that the WebSocket goes, and says as little."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.config.settings import ArmSettings
from bridge.session.access import Access
from bridge.session.access_reader import AccessReader
from bridge.session.http import TIMED_OUT, HttpAnswer, ask
from bridge.session.obstacles import Obstacle
from tests.support.certificates import Authority
from tests.support.http_proxy import http_proxy
from tests.support.tls_door import tls_door

SECRETS = {"KEY": "Zebra0451_Quagga7788", "SIG": "Gnu5150+Civet6809", "PROXY": "name:Lemur6502"}
AZURE: dict[str, Any] = {
    "api_key_env": "KEY",
    "auth": "header",
    "query": {"api-version": "1", "sig": {"env": "SIG"}},
}


def access_of(**fields: Any) -> Access:
    arm = ArmSettings.model_validate({"url": "wss://127.0.0.1/realtime", **fields})
    return AccessReader("azure", arm, SECRETS).current


async def get(url: str, access: Access) -> HttpAnswer | Obstacle:
    return await ask("GET", url, access, timeout_s=2.0, most_bytes=10_000)


@asynccontextmanager
async def service(
    authority: Authority | None = None, *, wants_clients: bool = False
) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Serve a page, with TLS if there is an authority; give its URL, and the requests that came."""
    context = None
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*authority.sign("server"))
        if wants_clients:
            context.load_verify_locations(authority.cert_file)
            context.verify_mode = ssl.CERT_REQUIRED
    came: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        came.append(request)
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/v1/models", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield (
            f"http{'s' if context else ''}://127.0.0.1:{runner.addresses[0][1]}/v1/models?a=1",
            came,
        )
    finally:
        await runner.cleanup()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


async def test_the_request_carries_what_the_websocket_would() -> None:
    async with service() as (url, came):
        found = await get(url, access_of(**AZURE))
    assert isinstance(found, HttpAnswer)
    assert found.body == b"here"
    assert came[0].headers["api-key"] == SECRETS["KEY"]
    assert "Authorization" not in came[0].headers
    assert dict(came[0].query) == {"a": "1", "api-version": "1", "sig": SECRETS["SIG"]}


async def test_certificates_both_ways(authority: Authority) -> None:
    cert, key = authority.sign("bridge")
    async with service(authority, wants_clients=True) as (url, came):
        good = access_of(ca_file=authority.cert_file, client_cert_file=cert, client_key_file=key)
        assert isinstance(await get(url, good), HttpAnswer)
        stranger = await get(url, access_of(**AZURE))
    assert len(came) == 1
    assert isinstance(stranger, Obstacle)
    assert "arms.azure.ca_file" in stranger.remedy


async def test_a_client_certificate_that_is_missing_is_named(authority: Authority) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.sign("server"))
    context.load_verify_locations(authority.cert_file)
    context.verify_mode = ssl.CERT_REQUIRED
    access = access_of(**AZURE, ca_file=authority.cert_file)
    with tls_door(context) as port:
        found = await get(f"https://127.0.0.1:{port}/", access)
    assert isinstance(found, Obstacle)
    assert "client certificate" in found.what
    assert "arms.azure.client_cert_file" in found.remedy


@pytest.mark.parametrize("secure", [False, True])
async def test_it_goes_through_the_proxy(authority: Authority, secure: bool) -> None:
    where = service(authority) if secure else service()
    async with where as (url, came), http_proxy() as proxy:
        proxy.credentials = SECRETS["PROXY"]
        access = access_of(
            **AZURE,
            ca_file=authority.cert_file,
            proxy=proxy.url,
            proxy_credentials={"env": "PROXY"},
        )
        found = await get(url, access)
        assert isinstance(found, HttpAnswer), found
        assert len(came) == 1
        refused = await get(url, access_of(**AZURE, ca_file=authority.cert_file, proxy=proxy.url))
    assert proxy.asked[0].startswith("CONNECT " if secure else "GET http://")
    if secure:
        assert SECRETS["KEY"] not in proxy.asked[0]
        assert isinstance(refused, Obstacle)
        assert refused.code == "proxy_auth"
    else:
        assert isinstance(refused, HttpAnswer)
        assert refused.status == 407


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "proxy_refused"),
        (b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n", "proxy_failed"),
        (b"220 mail.example ESMTP\r\n\r\n", "unavailable"),
        (b"", TIMED_OUT),
    ],
)
async def test_a_bad_proxy_is_an_obstacle(answer: bytes, code: str) -> None:
    async with http_proxy() as proxy:
        proxy.answer = answer
        access = access_of(**AZURE, proxy=proxy.url)
        found = await ask("GET", "https://127.0.0.1:9/", access, timeout_s=0.3, most_bytes=10)
    assert isinstance(found, Obstacle)
    assert found.code == code
    assert not [each for each in SECRETS.values() if each in repr(found)]


async def test_a_proxy_that_is_not_there_is_one_too(unused_tcp_port: int) -> None:
    found = await get("https://h/", access_of(proxy=f"http://127.0.0.1:{unused_tcp_port}"))
    assert isinstance(found, Obstacle)
    assert found.code == "proxy_unreachable"
