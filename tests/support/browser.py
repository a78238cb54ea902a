"""A real browser for tests: Debian's Chromium, headless, driven by Playwright.

A page is watched from its first byte: an error on its console, an exception that nobody caught, or
a request that leaves for somewhere else than the page's own origin fails the test that opened it.
"""

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    Error,
    Page,
    Request,
    Route,
    WebSocketRoute,
    async_playwright,
    expect,
)

from tests.support.programs import need_program
from tests.support.waiting import wait_until

ARTEFACTS_DIR = "ARTEFACTS_DIR"
"""Names the folder that keeps screenshots; without it they go where the test says."""

PHONE, LAPTOP, WALL = WIDTHS = (360, 1280, 1920)
"""In CSS pixels."""

_PATIENCE_MS = 60_000
"""A machine that does other things besides is slow, not wrong."""
expect.set_options(timeout=_PATIENCE_MS)

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

_HEIGHTS = {PHONE: 740, LAPTOP: 800, WALL: 1080}
_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_UNSAFE_IN_A_NAME = re.compile(r"[^\w.-]+")


@asynccontextmanager
async def open_browser(microphone: Path | None = None) -> AsyncIterator[Browser]:
    """Start Chromium; it ends with the block.

    Args:
        microphone: a WAV file that pages hear as the microphone, from its begin each time one is
            opened and over again; permission is granted unasked. Without it there is none.
    """
    chromium = need_program("chromium", "chromium")
    arguments = ["--disable-gpu", "--mute-audio", "--force-color-profile=srgb"]
    if microphone is not None:
        arguments += [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
        ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_page(
    browser: Browser,
    url: str,
    *,
    width: int = LAPTOP,
    scheme: Scheme = "light",
    expected_errors: Sequence[str] = (),
    cookies: Mapping[str, str] | None = None,
) -> AsyncIterator[Page]:
    """Open a page in a profile of its own, and judge it when the block ends.

    Args:
        browser: where.
        url: http(s) or file; requests to any other origin are refused and fail the test.
        width: of the window, in CSS pixels.
        scheme: what the page's media query is told.
        cookies: that the page's host has set before.
        expected_errors: regular expressions of console errors that belong to the test.

    Raises:
        AssertionError: the page wrote an error to its console, let an exception through, or asked
            for something from elsewhere.
    """
    context = await browser.new_context(
        viewport={"width": width, "height": _HEIGHTS.get(width, 800)},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    try:
        context.set_default_timeout(_PATIENCE_MS)
        for name, value in (cookies or {}).items():
            # By its origin: a cookie's path would be that of the page.
            await context.add_cookies(
                [{"name": name, "value": value, "url": _origin_of(url), "sameSite": "Strict"}]
            )
        page = await context.new_page()
        complaints = await _watch(page, url)
        await page.goto(url)
        yield page
        unexpected = [
            each
            for each in complaints
            if not any(re.search(pattern, each) for pattern in expected_errors)
        ]
        assert not unexpected, "\n".join(unexpected)
    finally:
        await context.close()


async def accessibility_faults(
    page: Page, *, within: str | None = None, rules: Sequence[str] = ()
) -> list[str]:
    """Return what axe-core finds against WCAG 2.2 AA and its best practices, a line a place.

    Args:
        page: as it stands; what is hidden is not looked at.
        within: a CSS selector, for a part of the page.
        rules: of axe-core's, such as ``color-contrast``, where the others were asked before: a big
            page takes seconds.
    """
    which = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": _WCAG}
    options = {"runOnly": which, "resultTypes": ["violations"]}
    results = await Axe().run(page, context=within, options=options)
    return [
        f"{fault['id']}: {fault['help']}: {' '.join(map(str, node['target']))}: "
        f"{node['failureSummary']}"
        for fault in results.response["violations"]
        for node in fault["nodes"]
    ]


async def until_true(page: Page, expression: str) -> None:
    """Wait until an expression holds; a page whose policy forbids `eval` can't wait by itself.

    An element that is not there yet holds nothing.
    """

    async def holds() -> bool:
        try:
            return bool(await page.evaluate(expression))
        except Error as error:
            if "properties of null" in error.message:
                return False
            raise

    await wait_until(holds, f"{expression} did not come true")


async def too_wide(page: Page) -> int:
    """Return by how many pixels the page is wider than its window; 0 is as it should be."""
    beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(await page.evaluate(beyond))


async def keep_screenshot(page: Page, name: str, otherwise: Path, *, whole: bool = True) -> Path:
    """Write a PNG of the page.

    Args:
        page: what is shown.
        name: of the file, without its ending; other than letters, digits, `.`, `_` and `-` become
            `-`.
        otherwise: the folder, where the environment names none (``ARTEFACTS_DIR``).
        whole: from the page's head to its foot, not just what the window shows.
    """
    folder = Path(os.environ.get(ARTEFACTS_DIR) or otherwise)
    path = folder / f"{_UNSAFE_IN_A_NAME.sub('-', name)}.png"
    await page.screenshot(path=path, full_page=whole)
    return path


async def _watch(page: Page, url: str) -> list[str]:
    """Collect the page's complaints, from now on, in the list that is returned."""
    complaints: list[str] = []
    origin = _origin_of(url)
    page.on(
        "console",
        lambda message: (
            complaints.append(f"console: {message.text}") if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))

    async def judge(route: Route, request: Request) -> None:
        if _origin_of(request.url) == origin:
            await route.continue_()
            return
        complaints.append(f"asked for {request.url} from another origin")
        await route.abort()

    async def judge_socket(socket: WebSocketRoute) -> None:
        if _origin_of(socket.url.replace("ws", "http", 1)) == origin:
            socket.connect_to_server()
            return
        complaints.append(f"asked for {socket.url} from another origin")
        await socket.close()

    await page.route(re.compile("^(https?|ftp|file):"), judge)
    await page.route_web_socket(re.compile("^wss?:"), judge_socket)
    return complaints


def _origin_of(url: str) -> str:
    """Return scheme, host and port; a file is an origin of its own, whatever its fragment."""
    if url.startswith("file:"):
        return url.partition("#")[0]
    return "/".join(url.split("/", 3)[:3])
