"""Somebody's browser at a console, and the floor that it shows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from bridge.clock import SystemClock
from bridge.config.console import ConsoleSettings
from bridge.config.settings import HttpSettings, RedisSettings
from bridge.console.app import make_app
from bridge.console.server import HttpServer
from bridge.console.services import ConsoleServices, open_services
from bridge.telemetry.metrics import Metrics
from tests.console.floor import Floor
from tests.support.browser import open_browser, open_page
from tests.support.console_user import sign_in


class Desk:
    """A supervisor's browser, the console that it shows, and the floor behind that."""

    def __init__(self, floor: Floor, services: ConsoleServices, url: str, browser: Browser) -> None:
        self.floor = floor
        self.services = services
        self.url = url
        self._browser = browser

    @asynccontextmanager
    async def opens(
        self,
        path: str,
        role: str = "admin",
        *,
        name: str | None = None,
        url: str | None = None,
        expected_errors: Sequence[str] = (),
    ) -> AsyncIterator[Page]:
        """Open a page in a profile of its own, for somebody who has a role."""
        token, _ = await sign_in(self.floor.redis_url, name or role, role)
        async with open_page(
            self._browser,
            f"{url or self.url}/{path}",
            cookies={"bridge_session": token},
            expected_errors=expected_errors,
        ) as page:
            yield page

    async def change_places(self, page: Page, role: str) -> None:
        """Have somebody else be signed in at the same browser."""
        token, _ = await sign_in(self.floor.redis_url, role, role)
        await page.context.add_cookies(
            [{"name": "bridge_session", "value": token, "url": self.url, "sameSite": "Strict"}]
        )

    @asynccontextmanager
    async def with_call(self, call_id: str, **fields: Any) -> AsyncIterator[None]:  # Any: of a hash
        """Have one more live call while the block runs."""
        self.floor.begin(call_id, **fields)
        try:
            yield
        finally:
            self.floor.store.end(call_id, {"outcome": "completed", "fault": "none"})
            await self.floor.settle()


@asynccontextmanager
async def serving(services: ConsoleServices) -> AsyncIterator[str]:
    """Serve a console; give its URL."""
    app = make_app(services, Metrics("1"), list)
    server = HttpServer(HttpSettings(port=0), services.settings, app)
    try:
        yield f"http://127.0.0.1:{await server.start()}"
    finally:
        await server.aclose()


@asynccontextmanager
async def open_desk(redis_url: str, directory: Path) -> AsyncIterator[Desk]:
    """Start a browser, a floor and its console."""
    floor = Floor(directory, redis_url)
    await floor.open()
    services = open_services(
        ConsoleSettings(),
        # No page of these tests is about a Redis that is slow: a busy machine's may be.
        RedisSettings(connect_timeout_s=30),
        redis_url,
        SystemClock(),
        floor.sources,
        count_audit_failure=lambda: None,
    )
    async with open_browser() as browser, serving(services) as url:
        yield Desk(floor, services, url, browser)
    await services.aclose()
    await floor.aclose()
