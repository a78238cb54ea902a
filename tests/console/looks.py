"""What is wrong with how a page looks, in light and dark, on a phone, a laptop and a wall."""

from pathlib import Path

from playwright.async_api import Page

from tests.support.browser import SCHEMES, accessibility_faults, keep_screenshot, too_wide

PHONE, LAPTOP, WALL = WINDOWS = ((390, 844), (1440, 900), (3840, 2160))
"""Width and height, in CSS pixels."""

LONG = "annemarie.of_the_evening_shift_in_the_north_and_the_south_of_it"
"""A name without a place to break it."""

_CUT = """(selector) => [...document.querySelectorAll(selector)]
    .filter((each) => each.getClientRects().length && each.clientWidth > 0)
    .filter((each) => !each.closest(".clip, .visually-hidden, .in-words"))
    .filter((each) => each.scrollWidth > each.clientWidth + 1)
    .filter((each) => getComputedStyle(each).overflowX !== "auto")
    .filter((each) => getComputedStyle(each).textOverflow !== "ellipsis")
    .map((each) => `${each.tagName}.${each.className}: ${each.textContent.slice(0, 60)}`)"""

_OUT_OF_VIEW = """() => {
    const boxes = [...document.querySelectorAll("main .table-box")];
    const right = (each) => each.getBoundingClientRect().right;
    const wide = boxes.filter((box) => box.scrollWidth > box.clientWidth + 1);
    const cut = [...document.querySelectorAll("main td .nowrap")]
        .filter((each) => each.getClientRects().length && right(each) > right(each.closest("td")));
    return [...wide.map(() => "columns"), ...cut.map((each) => each.textContent)];
}"""
"""Columns beyond the table's box, and what is to be whole and is not."""


async def faults_of_looks(page: Page, name: str, folder: Path, *within: str) -> list[str]:
    """Return what is wrong with a page, and keep its screenshots.

    Args:
        page: all there.
        name: of the screenshots.
        folder: of them, where the environment names none.
        within: CSS selectors of what is asked for contrast and names; a whole page takes long.
    """
    wrong = []
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        for width, height in WINDOWS:
            await page.set_viewport_size({"width": width, "height": height})
            if beyond := await too_wide(page):
                wrong.append(f"{scheme}, {width}: too wide by {beyond}")
            for cut in await page.evaluate(_CUT, "main :is(h1, h2, p, li, dd, td, button, span)"):
                wrong.append(f"{scheme}, {width}: runs over its box: {cut}")
            for hidden in set(await page.evaluate(_OUT_OF_VIEW)):
                wrong.append(f"{scheme}, {width}: out of view: {hidden}")
            await keep_screenshot(page, f"{name}-{scheme}-{width}", folder, whole=False)
        await page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})
        for each in within:
            wrong += await accessibility_faults(page, within=each)
    return wrong
