"""A page that gets no live data says so over its whole width, and judges no old figure."""

from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Page, expect

from tests.console.desk import Desk, serving
from tests.support.browser import accessibility_faults, too_wide, until_true

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_LIVE = {
    "calls": "#live-table tbody tr >> nth=6",
    "queue": "#list .summary",
    "wallboard": "#wall .tile >> nth=8",
    "trends": "#list tbody tr >> nth=0",
    "people": "#list tbody tr >> nth=0",
    "alerts": "#list li.card >> nth=1",
    "rollouts": "#list .arm >> nth=1",
    "history": "#list tbody tr >> nth=5",
}
"""Screens with live data, if only the number of alerts in the menu -> when it is all there."""

_COUNT_CHANGES = """(() => {
    window.said = [];
    const bar = document.querySelector('#loss');
    new MutationObserver(() => window.said.push(bar.textContent))
        .observe(bar, { childList: true, subtree: true, characterData: true });
})()"""


async def test_pause_in_the_talk_is_no_old_transcript(desk: Desk) -> None:
    """The server says once a second that there is nothing new; the clock of the page is put on."""
    async with desk.opens("calls#c_live1") as page:
        await page.clock.install()
        await page.reload()
        panel = page.locator("#drawer .panel")
        await expect(panel).to_contain_text("Then pay one of them back, please.")
        await page.clock.fast_forward(20_000)
        await expect(panel).not_to_have_class("panel is-stale", timeout=10_000)
        await expect(panel).to_have_class("panel")
        await expect(page.locator("#loss")).to_be_empty()


async def _is_told(page: Page, name: str) -> list[str]:
    """Return what is wrong with how a page tells that its server is away."""
    bar = page.locator("#loss p")
    await expect(bar).to_contain_text("No live data.", timeout=40_000)
    wrong = []
    box, window = await bar.bounding_box(), page.viewport_size
    assert window is not None
    if box is None or (box["x"], box["y"], box["width"]) != (0, 0, window["width"]):
        wrong.append(f"{name}: the bar is at {box}")
    if await page.get_by_role("alert").filter(has_text="No live data").count() != 1:
        wrong.append(f"{name}: not one alert")
    if await too_wide(page):
        wrong.append(f"{name}: too wide")
    return wrong


@pytest.mark.parametrize("name", list(_LIVE))
async def test_lost_data_is_told_over_the_whole_page_once(desk: Desk, name: str) -> None:
    server = AsyncExitStack()
    url = await server.enter_async_context(serving(desk.services))
    async with desk.opens(name, url=url, expected_errors=("ERR_",)) as page:
        await page.locator(_LIVE[name]).wait_for()
        await expect(page.locator("#loss")).to_be_empty()
        if name == "history":
            await page.clock.install()
            await page.reload()
            await page.locator(_LIVE[name]).wait_for()
        await page.evaluate(_COUNT_CHANGES)
        await server.aclose()
        if name == "history":
            await page.clock.fast_forward(20_000)
        wrong = await _is_told(page, name)
        if name == "wallboard":
            # No figure that is not known has a verdict, or a value.
            await expect(page.locator("#wall .mark").first).to_have_text("? not known")
            marks = await page.locator("#wall .mark").all_inner_texts()
            assert set(marks) == {"? not known"}
            values = await page.locator("#wall .value").all_inner_texts()
            assert set(values) == {"–"}
        if name == "calls":
            wrong += await accessibility_faults(page, within="#loss")
            await page.set_viewport_size({"width": 390, "height": 844})
            wrong += await _is_told(page, "calls on a phone")
            # It stays one message, however long that goes on.
            await until_true(
                page, "document.querySelector('#live-badge .age').textContent >= '9 s old'"
            )
        assert await page.evaluate("window.said.length") == 1
        assert wrong == []


async def test_bar_goes_when_data_come_again(desk: Desk) -> None:
    async with desk.opens("wallboard", expected_errors=("ERR_",)) as page:
        await page.locator(_LIVE["wallboard"]).wait_for()
        await page.context.set_offline(True)
        await expect(page.locator("#loss p")).to_be_visible()
        await page.context.set_offline(False)
        await expect(page.locator("#loss")).to_be_empty()
        await expect(page.locator("#wall-active_ai .mark")).not_to_have_text("? not known")
