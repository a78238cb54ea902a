"""The console in a real browser: every screen, its keys, its colours, its widths."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from bridge.clock import SystemClock
from bridge.console.access.secrets import new_token
from bridge.store.local import LocalRedis
from tests.console.conftest import Console, MakeConsole
from tests.console.floor import EVIL, Floor
from tests.support.browser import (
    SCHEMES,
    WIDTHS,
    accessibility_faults,
    keep_screenshot,
    open_browser,
    open_page,
    too_wide,
    until_true,
)

pytestmark = [pytest.mark.browser, pytest.mark.redis, pytest.mark.slow]

_SCREENS = {
    "calls": "calls",
    "drawer": "calls#c_live1",
    "history": "history",
    "call": "history/c_over0",
    "queue": "queue",
    "wallboard": "wallboard",
    "alerts": "alerts",
    "rollouts": "rollouts",
    "replays": "replays",
    "routes": "routes",
    "users": "users",
    "audit": "audit",
    "account": "account",
}
"""Name -> path. What each one shows when it is all there: :data:`_SHOWN`."""

_SHOWN = {
    "calls": "#live-table tbody tr >> nth=6",
    "drawer": "#drawer .turn >> nth=4",
    "history": "#list tbody tr >> nth=5",
    "call": "#call .markers button >> nth=3",
    "queue": "#list .summary",
    "wallboard": "#wall .tile >> nth=8",
    "alerts": "#list li.card >> nth=1",
    "rollouts": "#list .arm >> nth=1",
    "replays": "#list .spark",
    "routes": "#list .card",
    "users": "#users tr",
    "audit": "#main h1",
    "account": "#main h1",
}


@pytest.fixture
async def floor(redis_server: LocalRedis, redis: object, tmp_path: Path) -> AsyncIterator[Floor]:
    made = Floor(tmp_path, redis_server.url)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture
async def console(make_console: MakeConsole, floor: Floor) -> Console:
    made: Console = await make_console(sources=floor.sources, clock=SystemClock())
    return made


async def cookie_of(console: Console, *roles: str) -> dict[str, str]:
    """Sign somebody in by the back door; return the browser's cookie."""
    await console.add_user("ada", *roles)
    services, token = console.services, new_token()
    await services.sessions.open(
        token, new_token(), "ada", services.now_ms, via="test", address="127.0.0.1"
    )
    return {"bridge_session": token}


@asynccontextmanager
async def opened(
    console: Console,
    path: str,
    *roles: str,
    width: int = 1280,
    expected_errors: tuple[str, ...] = (),
) -> AsyncIterator[Page]:
    """Open a page for somebody with these roles."""
    cookies = await cookie_of(console, *(roles or ("supervisor", "qa", "operator", "admin")))
    async with (
        open_browser() as browser,
        open_page(
            browser,
            f"{console.url}/{path}",
            width=width,
            cookies=cookies,
            expected_errors=expected_errors,
        ) as page,
    ):
        yield page


async def test_every_screen_is_for_everybody_in_light_and_dark_on_every_width(
    console: Console, tmp_path: Path
) -> None:
    """WCAG 2.2 AA by axe-core, nothing wider than the window; screenshots of all."""
    faults: list[str] = []
    async with opened(console, "account") as page:
        for name, path in _SCREENS.items():
            await page.goto("about:blank")
            await page.set_viewport_size({"width": 1280, "height": 800})
            await page.goto(f"{console.url}/{path}")
            await page.wait_for_selector(_SHOWN[name])
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                found = await accessibility_faults(page)
                faults += [f"{name}, {scheme}: {each}" for each in found]
                for width in WIDTHS:
                    await page.set_viewport_size({"width": width, "height": 800})
                    if beyond := await too_wide(page):
                        faults.append(f"{name}, {scheme}, {width}: too wide by {beyond}")
                    await keep_screenshot(
                        page, f"console-{name}-{scheme}-{width}", tmp_path, whole=name != "drawer"
                    )
    assert not faults, "\n".join(faults)


async def test_live_call_is_worked_with_by_keys_alone(console: Console, floor: Floor) -> None:
    async with opened(console, "calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        # Worst health first, then longest.
        assert await rows.first.get_attribute("data-key") == floor.live[1]
        await page.keyboard.press("j")
        await expect(rows.first).to_be_focused()
        await page.keyboard.press("j")
        await expect(rows.nth(1)).to_be_focused()
        await page.keyboard.press("k")
        await page.keyboard.press("Enter")
        drawer = page.locator("#drawer")
        await expect(drawer).to_be_visible()
        log = drawer.get_by_role("log")
        await expect(log).to_contain_text("Then pay one of them back, please.")
        await expect(log).to_contain_text("sam")  # the supervisor's note has a name
        await page.keyboard.press("w")
        await expect(drawer.locator("textarea")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(drawer).to_be_hidden()
        await expect(rows.first).to_be_focused()
        await page.keyboard.press("/")
        await expect(page.locator("#search")).to_be_focused()
        await page.keyboard.type("billing")
        await expect(rows).to_have_count(2)


async def test_consequential_keys_ask_first(console: Console) -> None:
    async with opened(console, "calls#c_live1") as page:
        await page.wait_for_selector(_SHOWN["drawer"])
        await page.keyboard.press("Shift+E")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("End the call of ***91?")
        await expect(dialog.get_by_label("Reason")).to_have_attribute("required", "")
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(page.locator("#drawer")).to_be_visible()


async def test_keys_are_told_and_can_be_turned_off(console: Console) -> None:
    async with opened(console, "calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        await page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Keyboard")
        await expect(dialog).to_contain_text("Take over")
        await dialog.get_by_label("Shortcuts are on").uncheck()
        await dialog.get_by_role("button", name="Close").click()
        await page.keyboard.press("j")
        await expect(rows.first).not_to_be_focused()


async def test_rows_stay_where_they_are_under_the_cursor(console: Console, floor: Floor) -> None:
    async with opened(console, "calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        first = await rows.first.get_attribute("data-key")
        await page.keyboard.press("j")
        floor.begin("c_worse", health=5, health_reasons="the AI was given up")
        changes = page.get_by_role("button", name="press r")
        await expect(changes).to_have_text("1 change, press r")
        assert await rows.first.get_attribute("data-key") == first
        await page.keyboard.press("r")
        await expect(rows).to_have_count(8)
        assert await rows.first.get_attribute("data-key") == "c_worse"
        await expect(changes).to_be_hidden()


async def test_list_goes_grey_when_nothing_comes_any_more(console: Console) -> None:
    async with opened(console, "calls", expected_errors=("ERR_",)) as page:
        badge = page.locator("#live-badge")
        await expect(badge).to_have_attribute("data-state", "live")
        await console.server.aclose()
        await expect(badge).to_have_attribute("data-state", "stale", timeout=15_000)
        await expect(page.locator("#live-table")).to_have_class(re.compile("is-stale"))


async def test_columns_are_chosen_and_kept(console: Console) -> None:
    async with opened(console, "calls") as page:
        header = page.get_by_role("columnheader", name="Node")
        await expect(page.locator("#live-table tbody tr")).to_have_count(7)
        await expect(header).to_have_count(0)
        await page.get_by_text("Columns", exact=True).click()
        await page.get_by_label("Node", exact=True).check()
        await expect(header).to_be_visible()
        await page.reload()
        await expect(header).to_be_visible()


async def test_csv_holds_no_formula(console: Console, floor: Floor) -> None:
    floor.begin("c_formula", dialplan="=cmd()")
    async with opened(console, "calls") as page:
        await expect(page.locator("#live-table tbody tr")).to_have_count(8)
        async with page.expect_download() as waited:
            await page.get_by_role("button", name="CSV").click()
        download = await waited.value
        text = await asyncio.to_thread(Path(await download.path()).read_text)
        assert '"\'=cmd()"' in text
        assert len(text.splitlines()) == 9


async def test_words_and_names_that_are_markup_stay_words(console: Console, floor: Floor) -> None:
    floor.begin("c_evil", **{"from": f"sip:{EVIL}@x", "handoff_summary": EVIL})
    async with opened(console, "calls#c_live1") as page:
        said = page.locator("#drawer .turn.caller p").first
        await expect(said).to_have_text(EVIL)
        assert await page.locator("#main script, #main img").count() == 0
        await page.goto(f"{console.url}/history/c_over0")
        await expect(page.locator(".turn.caller p").first).to_contain_text(EVIL)


async def test_viewer_sees_calls_and_neither_words_nor_actions(console: Console) -> None:
    async with opened(console, "calls#c_live1", "viewer") as page:
        drawer = page.locator("#drawer")
        await expect(drawer).to_contain_text("Your role does not show transcripts.")
        assert await drawer.locator("[data-action]").count() == 0
        assert await page.get_by_role("link", name="Users").count() == 0


async def test_kill_switch_asks_for_a_reason_and_works(console: Console) -> None:
    async with opened(console, "rollouts") as page:
        await page.get_by_role("button", name="Kill switch: ga-next off").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("it answers in the wrong language")
        await dialog.get_by_role("button", name="Switch ga-next off").click()
        await expect(page.locator(".arm.off")).to_contain_text("ga-next")
        await expect(page.locator("details")).to_contain_text("wrong language")


async def test_recording_plays_from_a_marker(console: Console) -> None:
    async with opened(console, "history/c_over0") as page:
        await page.get_by_role("button", name="interrupted").click()
        await until_true(page, "document.querySelector('audio').currentTime >= 9")
        await until_true(page, "!document.querySelector('audio').paused")


async def test_alert_is_seen_to(console: Console) -> None:
    async with opened(console, "alerts") as page:
        await page.get_by_role("button", name="I see to it").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Note").fill("called them")
        await dialog.get_by_role("button", name="I see to it").click()
        await expect(page.locator("#list")).to_contain_text("called them")
