"""Who is let in: sessions, roles, CSRF, origins, streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import aiohttp
import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from bridge.clock import ManualClock
from bridge.console.access.door import Allowed
from bridge.console.access.principal import Principal
from tests.console.conftest import Browser, Console, MakeConsole
from tests.support.waiting import wait_until

MAY_MONITOR = Depends(Allowed("monitor"))


def add_routes(app: FastAPI) -> None:
    """Routes as others add them: a change, a stream of events, a WebSocket."""

    @app.post("/api/v1/change")
    async def change(principal: Annotated[Principal, MAY_MONITOR]) -> dict[str, str]:
        return {"by": principal.user}

    @app.get("/api/v1/stream")
    async def stream(principal: Annotated[Principal, MAY_MONITOR]) -> StreamingResponse:
        async def ticks() -> AsyncIterator[str]:
            yield f"data: {principal.user}\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(ticks(), media_type="text/event-stream")

    @app.websocket("/api/v1/socket")
    async def socket(socket: WebSocket, principal: Annotated[Principal, MAY_MONITOR]) -> None:
        await socket.accept()
        await socket.send_text(principal.user)
        await asyncio.Event().wait()


@pytest.fixture
async def console(make_console: MakeConsole) -> Console:
    made: Console = await make_console(add_routes)
    await made.add_user("sue", "supervisor")
    return made


async def test_nobody_gets_in_without_a_session(browser: Browser) -> None:
    assert (await browser.get("/api/v1/session"))[0] == 401
    assert (await browser.post("/api/v1/change"))[0] == 401
    assert (await browser.get("/api/openapi.json"))[0] == 401
    status, _ = await browser.get("/")
    assert status == 303


async def test_a_session_tells_who_one_is_and_what_one_may(
    console: Console, browser: Browser
) -> None:
    await console.sign_in(browser, "sue")
    status, found = await browser.get("/api/v1/session")
    assert status == 200
    assert (found["user"], found["roles"], found["routes"]) == ("sue", ["supervisor"], ["*"])
    assert "barge" in found["permissions"]
    assert "users.admin" not in found["permissions"]


async def test_a_made_up_session_is_none(browser: Browser) -> None:
    browser.http.cookie_jar.update_cookies({"bridge_session": "x" * 43})
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_the_session_id_opens_nothing(console: Console, browser: Browser) -> None:
    session_id = await console.sign_in(browser, "sue")
    browser.http.cookie_jar.update_cookies({"bridge_session": session_id})
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_a_session_ends_after_its_longest_life(console: Console, browser: Browser) -> None:
    assert isinstance(console.clock, ManualClock)
    await console.sign_in(browser, "sue")
    console.clock.advance_ms((12 * 3600 - 1) * 1000)
    assert (await browser.get("/api/v1/session"))[0] == 200
    console.clock.advance_ms(2000)
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_a_role_counts_at_once(console: Console, browser: Browser) -> None:
    await console.sign_in(browser, "sue")
    assert await browser.post("/api/v1/change") == (200, {"by": "sue"})
    await console.add_user("sue", "viewer")
    status, told = await browser.post("/api/v1/change")
    assert status == 403
    assert "monitor" in told["detail"]


async def test_a_disabled_user_is_out(console: Console, browser: Browser) -> None:
    await console.sign_in(browser, "sue")
    await console.add_user("sue", "supervisor", disabled=True)
    assert (await browser.get("/api/v1/session"))[0] == 401


async def test_a_change_needs_the_token_of_its_session(console: Console, browser: Browser) -> None:
    await console.sign_in(browser, "sue")
    for wrong in ("", "x" * 43):
        browser.csrf_token, right = wrong, browser.csrf_token
        status, told = await browser.post("/api/v1/change")
        assert (status, "X-CSRF-Token" in told["detail"]) == (403, True)
        browser.csrf_token = right
    assert (await browser.post("/api/v1/change"))[0] == 200


async def test_another_sites_page_changes_nothing(console: Console, browser: Browser) -> None:
    await console.sign_in(browser, "sue")
    for origin in ("https://evil.example", "null"):
        assert (await browser.post("/api/v1/change", Origin=origin))[0] == 403
    # A script outside of browsers has no origin; it has the token.
    assert (await browser.post("/api/v1/change", Origin=""))[0] == 200


async def opened(browser: Browser, **headers: str) -> int:
    """Return the status that a WebSocket is refused with, 101 if it is not."""
    try:
        async with browser.http.ws_connect("/api/v1/socket", headers=headers) as socket:
            assert await socket.receive_str() == "sue"
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


async def test_a_websocket_needs_a_session_and_our_own_page(
    console: Console, browser: Browser
) -> None:
    assert await opened(browser, Origin=browser.url) == 401
    await console.sign_in(browser, "sue")
    assert await opened(browser, Origin=browser.url) == 101
    assert await opened(browser, Origin="https://evil.example") == 403
    assert await opened(browser) == 403


async def test_streams_end_with_the_session(console: Console, browser: Browser) -> None:
    session_id = await console.sign_in(browser, "sue")
    session = await console.services.sessions.use(session_id, console.services.now_ms)
    assert session is not None
    async with (
        browser.http.get("/api/v1/stream") as events,
        browser.http.ws_connect("/api/v1/socket", headers={"Origin": browser.url}) as socket,
    ):
        assert await events.content.readline() == b"data: sue\n"
        assert await socket.receive_str() == "sue"
        await console.streams.check()
        assert len(console.streams) == 2
        await console.services.sessions.end(session)
        await console.streams.check()
        assert await asyncio.wait_for(events.content.read(), 60) == b"\n"
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4401)
    await wait_until(lambda: len(console.streams) == 0)


async def test_streams_end_with_the_role(console: Console, browser: Browser) -> None:
    await console.sign_in(browser, "sue")
    async with browser.http.get("/api/v1/stream") as events:
        await events.content.readline()
        await console.add_user("sue", "viewer")
        assert await asyncio.wait_for(events.content.read(), 60) == b"\n"


async def test_every_answer_carries_the_headers(browser: Browser) -> None:
    for path in ("/login", "/api/v1/session", "/static/css/console.css", "/nothing"):
        async with browser.http.get(path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["X-Frame-Options"] == "DENY"


async def test_closing_does_not_wait_for_streams(
    console: Console, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    await console.sign_in(browser, "sue")
    async with (
        browser.http.get("/api/v1/stream") as events,
        browser.http.ws_connect("/api/v1/socket", headers={"Origin": browser.url}) as socket,
    ):
        await events.content.readline()
        await socket.receive_str()
        await console.aclose()
        assert await events.content.read() == b"\n"
    # uvicorn alone would take its whole grace and say so.
    assert "graceful shutdown exceeded" not in caplog.text
