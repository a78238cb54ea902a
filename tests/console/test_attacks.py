"""What attackers try, over a real port: each is refused. The rest of the list has its own files:
sessions, roles, origins in `test_door`, tokens in `test_tokens`, logins in `test_accounts`."""

import asyncio
import contextlib
import re
import socket
from urllib.parse import urlsplit

import aiohttp
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from tests.console.conftest import Browser, Console, MakeConsole
from tests.support.waiting import wait_until

OPEN = {
    # For machines.
    *("GET /metrics", "GET /healthz", "GET /readyz"),
    # Where one signs in.
    *("GET /login", "GET /login/oidc", "GET /login/oidc/callback", "GET /welcome"),
    "POST /api/v1/session",
    *("POST /api/v1/invitation", "POST /api/v1/invitation/accept"),
}
"""The only routes without a door."""


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Return method (`WS` for a WebSocket) and path of every route; names stand for parameters."""
    found = []
    for router in app.routes:
        contexts = getattr(router, "effective_route_contexts", None)
        for each in [router] if contexts is None else contexts():
            path = re.sub(r"[{}]", "", getattr(each, "path", ""))
            if isinstance(router, Mount) or not path:
                continue
            found += [(method, path) for method in getattr(each, "methods", None) or ["WS"]]
    return found


async def answered(browser: Browser, method: str, path: str) -> int:
    """Return the status that somebody who is not signed in gets."""
    if method != "WS":
        return (await browser.ask(method, path))[0]
    try:
        async with browser.http.ws_connect(path, headers={"Origin": browser.url}):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


async def test_every_route_has_a_door(console: Console, browser: Browser) -> None:
    routes = routes_of(console.app)
    assert len(routes) > 20
    assert {f"{method} {path}" for method, path in routes} >= OPEN
    open_ones = set()
    for method, path in routes:
        status = await answered(browser, method, path)
        if status not in (401, 403) and (method, status) != ("GET", 303):
            open_ones.add(f"{method} {path}")
    assert open_ones <= OPEN


async def test_a_route_without_a_door_would_be_found(console: Console, browser: Browser) -> None:
    @console.app.get("/api/v1/forgotten")
    async def forgotten() -> None: ...

    assert ("GET", "/api/v1/forgotten") in routes_of(console.app)
    assert await answered(browser, "GET", "/api/v1/forgotten") == 200


async def test_a_body_over_64_kib_is_refused(console: Console, browser: Browser) -> None:
    given = {"user": "x" * 70_000, "password": "x"}
    assert (await browser.post("/api/v1/session", given))[0] == 413

    async def endless() -> object:
        for _ in range(200):
            yield b" " * 1024

    # Without a length nobody knows before.
    async with browser.http.post(
        "/api/v1/session",
        data=endless(),
        headers={"Content-Type": "application/json", "Origin": browser.url},
    ) as response:
        assert response.status == 413


async def test_a_body_that_is_no_json_is_refused(console: Console, browser: Browser) -> None:
    # What a form of another site's page can send without asking first.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        async with browser.http.post(
            "/api/v1/session",
            data=b'{"user": "ada", "password": "x"}',
            headers={"Content-Type": kind, "Origin": browser.url},
        ) as response:
            assert response.status == 422


async def raw(console: Console, request: bytes) -> bytes:
    """Send bytes as no client would, and return the answer's first line."""
    parts = urlsplit(console.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/css/../../app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\app.py",
        "/static/css%00.css",
    ],
)
async def test_no_path_leads_out_of_the_static_files(console: Console, path: str) -> None:
    line = await raw(console, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert line.split()[1] in (b"404", b"400"), line


async def test_endless_headers_are_cut_off(console: Console) -> None:
    line = await raw(console, b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
    assert line.split()[1] == b"400"


async def test_a_slow_client_holds_up_nobody(console: Console, browser: Browser) -> None:
    parts = urlsplit(console.url)
    slow = [socket.create_connection((parts.hostname, parts.port or 0)) for _ in range(50)]
    for each in slow:
        each.sendall(b"GET / HTTP/1.1\r\n")
    assert (await browser.get("/healthz"))[0] == 200
    for each in slow:
        each.close()


async def test_a_request_with_two_lengths_is_refused_with_all_that_follows(
    console: Console,
) -> None:
    parts = urlsplit(console.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    answered = await asyncio.wait_for(reader.read(), 4)
    assert answered.startswith(b"HTTP/1.1 400")
    assert answered.count(b"HTTP/1.1") == 1
    writer.close()


ODD_QUERIES = (
    *("history?before_ms=" + "9" * 400, "history?since_ms=-1", "history?limit=0"),
    *("audit?before=" + "9" * 20 + "-1", "audit?since_ms=" + "9" * 30, "audit?limit=501"),
    *("calls/c_1/events?after=" + "9" * 20, "calls/c_1/outline?width=1", "replays/..%2f..%2fetc"),
    *("calls/c_1%00/stream", "history?text=" + "a" * 20_000, "rollouts/%2e%2e/history"),
)


@pytest.mark.parametrize("query", ODD_QUERIES, ids=lambda query: query[:30])
async def test_odd_numbers_and_names_are_the_askers_fault(
    console: Console, browser: Browser, query: str
) -> None:
    await console.add_user("ada", "admin")
    await console.sign_in(browser, "ada")
    status, told = await browser.get(f"/api/v1/{query}")
    assert status in (200, 404, 422), told


BEGUN = [
    b"",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 50\r\n\r\n{",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /heal",
]
"""Nothing, half of a header, half of a body, half of a second request."""


@pytest.mark.parametrize("begun", BEGUN)
async def test_a_request_that_does_not_come_whole_is_given_up(
    console: Console, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr("bridge.console.patience.REQUEST_WITHIN_S", 0.3)
    parts = urlsplit(console.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(begun)
    async with asyncio.timeout(4):  # before uvicorn's own end of an idle connection, at 5 s
        try:
            while await reader.read(1000):
                writer.write(b"x")  # a byte now and then does not help
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
    writer.close()


async def test_a_stream_outlives_the_patience_for_requests(
    console: Console, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.console.patience.REQUEST_WITHIN_S", 0.3)
    await console.add_user("sue", "supervisor")
    await console.sign_in(browser, "sue")
    async with browser.http.get("/api/v1/calls/stream") as events, asyncio.timeout(10):
        heard = 0
        async for line in events.content:  # the list's first, and one a second
            heard += line.startswith(b"event:")
            if heard == 3:
                return
    raise AssertionError("the stream was cut")


async def test_silent_connections_make_room_for_people_and_probes(
    console: Console, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.console.patience.MOST_CONNECTIONS", 20)
    parts = urlsplit(console.url)
    await console.add_user("sue", "supervisor")
    await console.sign_in(browser, "sue")
    stranger = ("127.0.0.9", 0)
    async with browser.http.get("/api/v1/calls/stream") as events:
        await events.content.readline()
        opened = [
            await asyncio.open_connection(parts.hostname, parts.port, local_addr=stranger)
            for _ in range(40)
        ]
        # The first ones have gone for those that came after them, and there are no more than 20.
        for reader, _ in opened[:20]:
            assert await asyncio.wait_for(_end_of(reader), 5) is True
        assert not any(reader.at_eof() for reader, _ in opened[21:])
        async with console.browser() as probe:
            assert (await probe.get("/healthz"))[0] == 200
            assert (await probe.get("/readyz"))[0] == 200
        assert (await browser.get("/api/v1/session"))[0] == 200
        assert await events.content.readline()  # and nobody who is served was dropped
    for _, writer in opened:
        writer.close()


async def _end_of(reader: asyncio.StreamReader) -> bool:
    """Return whether a connection is over."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


async def test_an_address_that_is_all_served_gets_no_more(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.console.patience.MOST_CONNECTIONS", 5)
    await console.add_user("sue", "supervisor")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            watching = await stack.enter_async_context(console.browser())
            await console.sign_in(watching, "sue")
            await stack.enter_async_context(watching.http.get("/api/v1/calls/stream"))
        late = await stack.enter_async_context(console.browser())
        with pytest.raises(aiohttp.ClientConnectionError):
            await late.get("/healthz")


async def test_one_viewers_streams_leave_room_for_everybody_else(
    console: Console, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.console.streams.MOST_OF_ONE_USER", 3)
    for name in ("eve", "sue"):
        await console.add_user(name, "supervisor")
    await console.sign_in(browser, "eve")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            events = await stack.enter_async_context(browser.http.get("/api/v1/calls/stream"))
            assert events.status == 200
        async with browser.http.get("/api/v1/calls/stream") as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
            assert "too many pages" in (await refused.json())["detail"]
        other = await stack.enter_async_context(console.browser())
        await console.sign_in(other, "sue")
        async with other.http.get("/api/v1/calls/stream") as events:
            assert events.status == 200

    async def again() -> bool:
        async with browser.http.get("/api/v1/calls/stream") as events:
            return events.status == 200

    await wait_until(again, "eve gets no stream though hers have ended")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"user":' * 8_000,
        b'{"user": "a", "password": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"user": "a", "password": ' + b"9" * 60_000 + b"}",
        b'{"user": "a", "password": 1e999}',
        b'{"user": "a", "password": NaN}',
        b'{"user": "\\ud800", "password": "x"}',
        b'{"user": "\xff\xfe", "password": "x"}',
        b"\x00" * 1000,
        b"",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_json_bombs_are_refused_and_harm_nobody(browser: Browser, body: bytes) -> None:
    async with browser.http.post(
        "/api/v1/session",
        data=body,
        headers={"Content-Type": "application/json", "Origin": browser.url},
    ) as response:
        assert response.status in (400, 401, 422), await response.text()
    assert (await browser.get("/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", b"303"),
        ("127.0.0.1:8080", b"303"),
        ("[::1]:8080", b"303"),
        ("console.localhost", b"303"),
        ("evil.example", b"421"),
        ("evil.example:8080", b"421"),
        ("localhost.evil.example", b"421"),
        ("127.0.0.1.evil.example", b"421"),
        ("127.0.0.1@evil.example", b"421"),
        ("", b"421"),
    ],
)
async def test_another_name_that_leads_here_is_not_the_consoles(
    console: Console, host: str, status: bytes
) -> None:
    """DNS rebinding: the page of such a name would be of our origin."""
    line = await raw(console, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert line.split()[1] == status


async def test_the_public_name_is_the_consoles(make_console: MakeConsole) -> None:
    console: Console = await make_console(public_url="https://console.example.com")
    for host, status in (("console.example.com", b"303"), ("other.example.com", b"421")):
        line = await raw(console, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert line.split()[1] == status


SCRIPT = "<script>alert(1)</script>"


async def test_what_users_are_called_is_text_in_every_page(
    console: Console, browser: Browser
) -> None:
    # No such name can be made by the API; the pages don't rely on that.
    await console.add_user(SCRIPT, "admin", routes=(SCRIPT, '"><img src=x onerror=alert(1)>'))
    await console.sign_in(browser, SCRIPT)
    pages = [
        path
        for method, path in routes_of(console.app)
        if method == "GET" and not path.startswith("/api/") and f"GET {path}" not in OPEN
    ]
    assert {"/account", "/users", "/audit"} <= set(pages)
    for path in pages:
        status, page = await browser.get(path)
        assert status in (200, 303, 404), path
        assert SCRIPT not in page
        assert "<img src=x" not in page
    assert "&lt;script&gt;" in (await browser.get("/account"))[1]


async def test_the_login_page_does_not_lead_elsewhere(console: Console, browser: Browser) -> None:
    line = await raw(console, b"GET //evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert line.split()[1] == b"404"
    async with browser.http.get("/users", allow_redirects=False) as response:
        assert response.headers["Location"] == "/login?next=/users"


async def test_answers_of_the_api_are_never_kept_or_guessed_at(
    console: Console, browser: Browser
) -> None:
    await console.add_user("sue", "supervisor")
    await console.sign_in(browser, "sue")
    async with browser.http.get("/api/v1/session") as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Type"] == "application/json"
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Server" not in response.headers


async def test_the_api_describes_itself_to_who_is_signed_in(
    console: Console, browser: Browser
) -> None:
    await console.add_user("sue", "supervisor")
    await console.sign_in(browser, "sue")
    status, found = await browser.get("/api/openapi.json")
    assert status == 200
    assert found["openapi"].startswith("3.")
    assert {"/api/v1/session", "/api/v1/users", "/api/v1/audit"} <= set(found["paths"])
    assert (await browser.get("/docs"))[0] == 404
