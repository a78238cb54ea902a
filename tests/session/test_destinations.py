"""The way of a connection: what it carries, TLS both ways, proxies, redirects, echoes."""

import asyncio
import contextlib
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bridge.config.settings import ArmSettings, SessionSettings
from bridge.errors import UpstreamError
from bridge.realtime.failures import classify
from bridge.realtime.session_config import SessionConfig
from bridge.session.access import Access
from bridge.session.access_reader import AccessReader
from tests.session.peer import QUICK, Heard, accept, event, make_session, serving, session_event
from tests.support.certificates import Authority, make_certificate
from tests.support.http_proxy import http_proxy
from tests.support.tls_door import tls_door

CONFIG = SessionConfig(instructions="Be kind.")
SECRETS = {
    "KEY": "Zebra0451_Quagga7788",
    "HEADER": "Okapi2029/Tapir3141",
    "SIG": "Gnu5150+Civet6809",
    "PROXY": "name:Lemur6502",
}
FULL: dict[str, Any] = {
    "api_key_env": "KEY",
    "auth": "header",
    "headers": {"X-Gateway-Key": {"env": "HEADER"}, "OpenAI-Project": "proj-1"},
    "query": {"api-version": "2025-04-01-preview", "sig": {"env": "SIG"}},
}


def access_of(url: str, **fields: Any) -> Access:
    arm = ArmSettings.model_validate({"url": url, **fields})
    return AccessReader("azure", arm, SECRETS).current


def shown(error: BaseException) -> str:
    """The whole chain, with the locals of every frame."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
    parts = ["".join(trace.format()), repr(error), repr(vars(error))]
    return "\n".join(
        [*parts, *(shown(each) for each in (error.__cause__, error.__context__) if each)]
    )


def no_secret_in(text: str) -> bool:
    parts = [part for secret in SECRETS.values() for part in (secret, *secret.split("_"))]
    return not [part for part in (*parts, "Tapir3141", "Civet6809", "Lemur6502") if part in text]


async def refusal(url: str, settings: SessionSettings = QUICK, **fields: Any) -> UpstreamError:
    heard = Heard()
    session = make_session(url, heard, settings, access=access_of(url, **fields))
    with capture_logs() as logs, pytest.raises(UpstreamError) as caught:
        await session.open(CONFIG)
    await session.aclose()
    assert heard.closed == []
    assert no_secret_in(shown(caught.value) + repr(logs))
    assert caught.value.remedy
    return caught.value


async def talk(peer: ServerConnection) -> None:
    await accept(peer)
    await peer.wait_closed()


async def opens(url: str, **fields: Any) -> None:
    session = make_session(url, Heard(), access=access_of(url, **fields))
    await session.open(CONFIG)
    await session.aclose()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def server_tls(paths: tuple[Path, Path], clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*paths)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_the_bytes_that_leave_are_those_of_the_settings() -> None:
    heads: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/openai/realtime"
        error = await refusal(url, **FULL, dialect="beta")
    request, *lines = heads[0].decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    assert request == (
        "GET /openai/realtime?api-version=2025-04-01-preview&sig=Gnu5150%2BCivet6809"
        "&model=gpt-realtime-2.1 HTTP/1.1"
    )
    sent = dict(line.split(": ", 1) for line in lines)
    assert len(sent) == len(lines)  # no header twice
    assert sent["X-Gateway-Key"] == SECRETS["HEADER"]
    assert sent["api-key"] == SECRETS["KEY"]
    assert sent["OpenAI-Project"] == "proj-1"
    assert sent["Host"] == f"127.0.0.1:{port}"
    assert "Authorization" not in sent
    assert (error.code, error.retryable) == ("http_401", True)
    assert "arms.azure.api_key_env" in error.remedy


async def test_a_certificate_of_the_arms_own_authority_is_taken(authority: Authority) -> None:
    async with serving(talk, server_tls(authority.sign("server"))) as url:
        await opens(url, ca_file=authority.cert_file)


@pytest.mark.parametrize(
    ("case", "what", "remedy"),
    [
        ("unknown signer", "signed by nobody who is trusted", "arms.azure.ca_file"),
        ("self-signed", "signed by nobody who is trusted", "arms.azure.ca_file"),
        ("other name", "for another", "arms.azure.url"),
        ("other address", "for another address", "arms.azure.url"),
        ("expired", "has expired", "renewed"),
    ],
)
async def test_certificates_that_are_no_good_are_told_apart(
    tmp_path: Path, authority: Authority, case: str, what: str, remedy: str
) -> None:
    paths = {
        "unknown signer": lambda: Authority(tmp_path / "other", "Another").sign("server"),
        "self-signed": lambda: make_certificate(tmp_path / "self"),
        "other name": lambda: authority.sign("server", hosts=("elsewhere.example",)),
        "other address": lambda: authority.sign("server", hosts=("127.0.0.2",)),
        "expired": lambda: authority.sign("server", days_left=-1),
    }[case]()
    async with serving(talk, server_tls(paths)) as url:
        error = await refusal(url, **FULL, ca_file=authority.cert_file)
    assert what in error.what
    assert remedy in error.remedy
    # As every failure of TLS: the arm is given up, and the fallback follows.
    assert (error.code, classify(error).permanent) == ("tls", True)


async def test_a_self_signed_certificate_without_a_ca_file_is_refused(tmp_path: Path) -> None:
    async with serving(talk, server_tls(make_certificate(tmp_path))) as url:
        error = await refusal(url)
    assert "arms.azure.ca_file" in error.remedy


async def test_a_client_certificate_is_shown_and_taken(authority: Authority) -> None:
    cert, key = authority.sign("bridge")
    tls = server_tls(authority.sign("server"), authority.cert_file)
    async with serving(talk, tls) as url:
        await opens(url, ca_file=authority.cert_file, client_cert_file=cert, client_key_file=key)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("case", "what"),
    [
        ("none", "client certificate"),
        ("unknown signer", "signer of our client certificate"),
        ("expired", "our client certificate has expired"),
    ],
)
async def test_client_certificates_that_are_refused_are_told_apart(
    tmp_path: Path, authority: Authority, case: str, what: str, version: ssl.TLSVersion
) -> None:
    tls = server_tls(authority.sign("server"), authority.cert_file)
    tls.maximum_version = version
    fields: dict[str, Any] = {"ca_file": authority.cert_file}
    if case != "none":
        signer = Authority(tmp_path / "other", "Another") if case == "unknown signer" else authority
        cert, key = signer.sign("bridge", days_left=-1 if case == "expired" else 30)
        fields |= {"client_cert_file": cert, "client_key_file": key}
    with tls_door(tls) as port:
        error = await refusal(f"wss://127.0.0.1:{port}/v1/realtime", **FULL, **fields)
    assert error.code == "tls"
    assert what in error.what
    assert "arms.azure.client_cert_file" in error.remedy


async def test_a_tunnel_through_the_proxy_carries_tls_and_all_of_it(
    authority: Authority,
) -> None:
    seen: list[str] = []

    async def script(peer: ServerConnection) -> None:
        assert peer.request is not None
        seen.append(peer.request.headers["api-key"])
        await talk(peer)

    async with (
        serving(script, server_tls(authority.sign("server"))) as url,
        http_proxy() as proxy,
    ):
        proxy.credentials = SECRETS["PROXY"]
        await opens(
            url,
            **FULL,
            ca_file=authority.cert_file,
            proxy=proxy.url,
            proxy_credentials={"env": "PROXY"},
        )
    assert seen == [SECRETS["KEY"]]
    (head,) = proxy.asked
    assert head.startswith("CONNECT 127.0.0.1:")
    # What is for the service is not for the proxy.
    assert "Zebra" not in head
    assert "sig=" not in head


async def test_the_services_certificate_is_checked_behind_a_proxy(
    tmp_path: Path, authority: Authority
) -> None:
    paths = Authority(tmp_path / "other", "Another").sign("server")
    async with serving(talk, server_tls(paths)) as url, http_proxy() as proxy:
        error = await refusal(url, proxy=proxy.url, ca_file=authority.cert_file)
    assert error.code == "tls"
    assert "arms.azure.ca_file" in error.remedy


@pytest.mark.parametrize(
    ("answer", "code", "permanent"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "proxy_refused", True),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "proxy_failed", False),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n", "proxy_refused", True),
        (b"220 mail.example ESMTP\r\n", "proxy_failed", False),
        (b"\x16\x03\x01\x00\x00", "proxy_failed", False),
        (b"HTTP/1.1 200 OK\r\n", "proxy_failed", False),
    ],
)
async def test_a_proxy_that_gives_no_tunnel(answer: bytes, code: str, permanent: bool) -> None:
    async with http_proxy() as proxy:
        proxy.answer = answer
        error = await refusal("ws://127.0.0.1:9/x", **FULL, proxy=proxy.url)
    assert (error.code, classify(error).permanent) == (code, permanent)
    assert f"proxy 127.0.0.1:{proxy.port}" in error.what


async def test_a_proxy_that_wants_other_credentials() -> None:
    async with http_proxy() as proxy:
        proxy.credentials = "name:another"
        ways: tuple[dict[str, Any], ...] = ({}, {"proxy_credentials": {"env": "PROXY"}})
        for fields in ways:
            error = await refusal("ws://127.0.0.1:9/x", proxy=proxy.url, **fields)
            assert error.code == "proxy_auth"
            assert "arms.azure.proxy_credentials" in error.remedy
            # Renewed credentials may be in the file by now; else it is over.
            assert not classify(error).permanent
            assert classify(error, key_is_fresh=True).permanent


async def test_a_proxy_that_is_not_there(unused_tcp_port: int) -> None:
    error = await refusal("ws://127.0.0.1:9/x", proxy=f"http://127.0.0.1:{unused_tcp_port}")
    assert (error.code, error.retryable) == ("proxy_unreachable", True)
    assert "arms.azure.proxy" in error.remedy


async def test_a_proxy_that_hangs_takes_no_longer_than_an_opening_may() -> None:
    async with http_proxy() as proxy:
        proxy.answer = b""
        error = await refusal(
            "ws://127.0.0.1:9/x", SessionSettings(open_timeout_s=0.2), proxy=proxy.url
        )
    assert error.code == "timeout"
    assert f"through the proxy 127.0.0.1:{proxy.port}" in error.what


async def test_a_proxy_that_hangs_up_during_tls(authority: Authority) -> None:
    async with http_proxy() as proxy:
        proxy.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        error = await refusal("wss://127.0.0.1:9/x", proxy=proxy.url)
    assert error.code in ("proxy_unreachable", "tls")
    assert error.what


@asynccontextmanager
async def answering(status: HTTPStatus, **headers: str) -> AsyncIterator[tuple[str, list[Request]]]:
    """Serve refusals of the upgrade; give the URL, and the requests that came."""
    came: list[Request] = []

    def refuse(peer: ServerConnection, request: Request) -> Response:
        came.append(request)
        response = peer.respond(status, f"no: {request.headers} {request.path}\n")
        for name, value in headers.items():
            response.headers[name] = value.format(path=request.path)
        return response

    async def never(peer: ServerConnection) -> None:
        raise AssertionError("the upgrade was refused")

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/realtime", came


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_carries_nothing_there(status: int) -> None:
    async with (
        answering(HTTPStatus.OK) as (elsewhere, came),
        answering(HTTPStatus(status), Location=f"{elsewhere}{{path}}") as (url, first),
    ):
        error = await refusal(url, **FULL)
    assert len(first) == 1
    assert came == []
    assert error.code == f"http_{status}"


async def test_a_redirect_to_a_host_that_is_named_carries_all() -> None:
    async with (
        answering(HTTPStatus.UNAUTHORIZED) as (elsewhere, came),
        answering(HTTPStatus.FOUND, Location=elsewhere) as (url, _),
    ):
        session = make_session(url, Heard(), access=access_of(url, **FULL))
        session._connection._redirect_hosts = (elsewhere.split("/")[2],)
        with pytest.raises(UpstreamError, match="HTTP 401"):
            await session.open(CONFIG)
    assert came[0].headers["X-Gateway-Key"] == SECRETS["HEADER"]


async def test_a_redirect_to_tls_is_followed_with_the_arms_own_signers(
    authority: Authority,
) -> None:
    async with (
        serving(talk, server_tls(authority.sign("server"))) as secure,
        answering(HTTPStatus.FOUND, Location=secure) as (url, _),
    ):
        access = access_of(secure, ca_file=authority.cert_file)
        session = make_session(url, Heard(), access=access)
        session._connection._redirect_hosts = (secure.split("/")[2],)
        await session.open(CONFIG)
        await session.aclose()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_that_repeats_our_request_is_not_repeated(status: int) -> None:
    echo = {"Retry-After": "{path}", "WWW-Authenticate": "{path}"}
    async with answering(HTTPStatus(status), **echo) as (url, came):
        error = await refusal(url, **FULL)
    assert SECRETS["KEY"] in str(came[0].headers)
    assert error.code == f"http_{status}"


@pytest.mark.parametrize("secret", ["KEY", "HEADER", "SIG"])
@pytest.mark.parametrize("where", ["reason", "code", "param", "type"])
async def test_a_close_that_repeats_a_secret_is_not_repeated(where: str, secret: str) -> None:
    """A key of letters, digits and underscores looks like an error's code."""

    async def script(peer: ServerConnection) -> None:
        value = SECRETS[secret]
        if where != "reason":
            fields = {"type": "x", "message": value, where: value}
            await peer.send(event("error", error=fields))
        with contextlib.suppress(ConnectionClosed):
            await peer.close(4000, value)

    async with serving(script) as url:
        error = await refusal(url, **FULL)
    assert no_secret_in(f"{error} {error.code} {classify(error)}")


async def test_events_that_repeat_a_secret_reach_nobody_with_it() -> None:
    frames: list[object] = []

    async def script(peer: ServerConnection) -> None:
        assert peer.request is not None
        await accept(peer, id=SECRETS["KEY"])
        for secret in SECRETS.values():
            await peer.send(event("error", error={"type": secret, "code": secret, "message": "m"}))
            await peer.send(event(secret, echo=secret))
            await peer.send(f'{{"type": "response.done", "response": "{secret}"}}')
        await peer.send(session_event("session.updated"))
        await peer.wait_closed()

    heard = Heard()
    async with serving(script) as url:
        access = access_of(url, **FULL, proxy="none")
        session = make_session(url, heard, access=access)
        session._wire = lambda direction, frame, known: frames.append(frame)
        info = await session.open(CONFIG)
        await heard.until(lambda: heard.kinds().count("SessionUpdated") == 2)
        await session.aclose()
    told = repr(info) + repr(heard.events) + repr(frames)
    told += "".join(f"{each} {each.event_type}" for each in heard.protocol_errors)
    assert "[secret]" in told
    # The proxy's is not this connection's: it was not sent.
    assert no_secret_in(told.replace(SECRETS["PROXY"], ""))
