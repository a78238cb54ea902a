"""What attackers try, over a real port: each is refused. The rest of the list has its own files:
sessions, roles, origins in `test_door`, tokens in `test_tokens`, logins in `test_accounts`."""

import asyncio
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute

from bridge.console.access.door import Allowed
from tests.console.conftest import Browser, Console

OPEN = {
    # For machines.
    "/metrics",
    "/healthz",
    "/readyz",
    # Where one signs in.
    "/login",
    "/login/oidc",
    "/login/oidc/callback",
    "/welcome",
    "POST /api/v1/session",
    "/api/v1/invitation",
    "/api/v1/invitation/accept",
}
"""The only routes without a door."""


def routes_of(app: FastAPI) -> Iterator[APIRoute | APIWebSocketRoute]:
    def walk(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
        for route in routes:
            inner = getattr(route, "original_router", None) or getattr(route, "router", None)
            if inner is None:
                yield route
            else:
                yield from walk(inner.routes)

    for route in walk(app.routes):
        if isinstance(route, APIRoute | APIWebSocketRoute):
            yield route


def has_door(route: APIRoute | APIWebSocketRoute) -> bool:
    pending = [route.dependant]
    while pending:
        each = pending.pop()
        if isinstance(each.call, Allowed):
            return True
        pending += each.dependencies
    return False


async def test_every_route_has_a_door(console: Console) -> None:
    found = list(routes_of(console.app))
    assert len(found) > 20
    doorless = {
        route.path
        for route in found
        if not has_door(route)
        and f"{next(iter(getattr(route, 'methods', {'WS'})))} {route.path}" not in OPEN
    }
    assert doorless == {path for path in OPEN if path.startswith("/")}


async def test_a_route_without_a_door_would_be_found(console: Console) -> None:
    @console.app.get("/api/v1/forgotten")
    async def forgotten() -> None: ...

    @console.app.get("/api/v1/kept", dependencies=[Depends(Allowed(None))])
    async def kept() -> None: ...

    assert [has_door(route) for route in routes_of(console.app)][-2:] == [False, True]


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
    line = await raw(console, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
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


SCRIPT = "<script>alert(1)</script>"


async def test_what_users_are_called_is_text_in_every_page(
    console: Console, browser: Browser
) -> None:
    # No such name can be made by the API; the pages don't rely on that.
    await console.add_user(SCRIPT, "admin", routes=(SCRIPT, '"><img src=x onerror=alert(1)>'))
    await console.sign_in(browser, SCRIPT)
    for path in ("/", "/account", "/users", "/audit"):
        status, page = await browser.get(path)
        assert status == 200
        assert SCRIPT not in page
        assert "<img" not in page
    assert "&lt;script&gt;" in (await browser.get("/account"))[1]


async def test_the_login_page_does_not_lead_elsewhere(console: Console, browser: Browser) -> None:
    line = await raw(console, b"GET //evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
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
