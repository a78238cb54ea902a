"""Two hundred live calls with long names, measured in a real browser: what stays in view."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from bridge.clock import NS_PER_MS, SystemClock
from tests.console.desk import Desk
from tests.support.browser import SCHEMES, accessibility_faults, keep_screenshot, too_wide

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_CALLS = 200
_LONG = "maximiliane-" * 14 + "of"
"""170 letters, as a caller chose them."""

_REASONS = "; ".join(
    (
        "3 long silences",
        "asked for a person, nobody to be had",
        "a tool failed",
        "the AI was cut off 7 times",
        "answers take 4.2 s",
    )
)
_KEPT = ("from", "state", "silence", "watchers")
_MOST_PX = 34
"""Of a row: twenty are 680 px, and a laptop's window has 900."""

_PHONE, _LAPTOP, _WALL = (390, 844), (1440, 900), (3840, 2160)


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def crowd(desk: Desk) -> AsyncIterator[None]:
    """Fill the floor; the worst call is the one with all the long names, and stands first."""
    store, now_ms = desk.floor.store, SystemClock().wall_ns() // NS_PER_MS
    many = {f"c_many{number:03}": _one(number, now_ms) for number in range(_CALLS)}
    for call_id, fields in many.items():
        desk.floor.begin(call_id, **fields)
    await desk.floor.settle()
    yield
    for call_id in many:
        store.end(call_id, {"outcome": "completed", "fault": "none"})
    await desk.floor.settle()


def _one(number: int, now_ms: int) -> dict[str, Any]:  # Any: fields of a hash
    fields: dict[str, Any] = {
        "from": f"sip:+1555{number:05}@carrier.example",
        "started_at": now_ms - 1_000 * number,
        "state_since_at": now_ms,
        "last_turn_ms": 800 + number,
        "health": 100 - number % 45,
    }
    if number:
        return fields
    return fields | {
        "from": f"sip:{_LONG}@carrier.example",
        "dialplan": "support-for-partners-in-the-north-and-the-south",
        "arm": "ga-next-with-a-long-name-of-its-own",
        "health": 1,
        "health_reasons": _REASONS,
        "state": "recovering",
        "silent_since_at": now_ms,
        "held_by": "annemarie.of-the-evening-shift",
        "watchers": 3,
        "watched_by": '{"ann": "listens", "kim": "whispers", "sam": "says"}',
    }


async def _boxes(page: Page, columns: tuple[str, ...]) -> list[dict[str, Any]]:  # Any: of JS
    """Return where the cells of every row's columns are, and what of each is cut off."""
    found: list[dict[str, Any]] = await page.evaluate(
        """(columns) => [...document.querySelectorAll('#live-table tbody tr')].flatMap((row) =>
            columns.map((column) => {
                const cell = row.querySelector(`td[data-column="${column}"]`);
                const { left, right, width, height } = cell.getBoundingClientRect();
                return { column, left, right, width, height };
            }))""",
        list(columns),
    )
    return found


async def _rows_in_view(page: Page) -> tuple[int, float]:
    """Return how many rows are whole within the window, and the height of the highest of all."""
    found: list[float] = await page.evaluate(
        """(() => {
            const boxes = [...document.querySelectorAll('#live-table tbody tr')]
                .map((row) => row.getBoundingClientRect());
            return [boxes.filter((box) => box.top >= 0 && box.bottom <= innerHeight).length,
                Math.max(...boxes.map((box) => box.height))];
        })()"""
    )
    return int(found[0]), found[1]


async def _opened(page: Page, size: tuple[int, int], *, drawer: bool) -> float:
    """Have the window of a size, with the worst call's drawer or without; return the room's end."""
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await expect(page.locator("#live-table tbody tr")).to_have_count(_CALLS + 7)
    if drawer:
        await page.locator('tr[data-key="c_many000"]').click()
        await expect(page.locator("#drawer")).to_be_visible()
        await page.locator("#drawer h2").focus()
        await page.mouse.move(2, 2)
        return float(
            await page.evaluate("document.querySelector('#drawer').getBoundingClientRect().left")
        )
    return float(size[0])


@pytest.mark.parametrize("drawer", [False, True], ids=["alone", "beside the drawer"])
@pytest.mark.parametrize(("size", "least"), [(_LAPTOP, 20), (_WALL, 45)], ids=["laptop", "4k"])
async def test_one_long_name_takes_no_column_and_rows_are_dense(
    desk: Desk, tmp_path: Path, size: tuple[int, int], least: int, drawer: bool
) -> None:
    async with desk.opens("calls", "supervisor") as page:
        end = await _opened(page, size, drawer=drawer)
        await keep_screenshot(page, f"crowd-{size[0]}-{drawer}", tmp_path, whole=False)
        outside = [
            each
            for each in await _boxes(page, _KEPT)
            if not (each["left"] >= 0 and each["right"] <= end and each["width"] >= 24)
        ]
        assert outside == []
        assert await too_wide(page) == 0
        within = "document.querySelector('#live-table')"
        assert await page.evaluate(f"{within}.scrollWidth - {within}.clientWidth") <= 0
        seen, highest = await _rows_in_view(page)
        assert highest <= _MOST_PX * (1.5 if size == _WALL else 1)
        assert seen >= least
        # What is cut off is there for those who ask.
        name = page.locator('tr[data-key="c_many000"] td[data-column="from"] [title]')
        assert (await name.get_attribute("title") or "").startswith("maximiliane")


async def test_crowd_fits_a_phone(desk: Desk, tmp_path: Path) -> None:
    async with desk.opens("calls", "supervisor") as page:
        await _opened(page, _PHONE, drawer=False)
        await keep_screenshot(page, "crowd-390", tmp_path, whole=False)
        assert await too_wide(page) == 0
        boxes = await _boxes(page, ("from", "state"))
        assert [each for each in boxes if each["left"] < 0 or each["right"] > _PHONE[0]] == []
        worst = page.locator('tr[data-key="c_many000"]')
        for column in _KEPT:
            await expect(worst.locator(f'td[data-column="{column}"]')).to_be_visible()
        _, highest = await _rows_in_view(page)
        assert highest <= 112


async def test_filters_fold_on_a_phone_and_nowhere_else(desk: Desk) -> None:
    async with desk.opens("calls", "supervisor") as page:
        await _opened(page, _PHONE, drawer=False)
        folds, button = page.locator("#folds"), page.locator("#fold")
        await expect(folds).to_be_hidden()
        await button.click()
        await expect(folds).to_be_visible()
        await expect(button).to_have_attribute("aria-expanded", "true")
        await button.click()
        await expect(folds).to_be_hidden()
        await _opened(page, _LAPTOP, drawer=False)
        await expect(folds).to_be_visible()
        await expect(button).to_be_hidden()


async def test_crowd_is_for_everybody(desk: Desk) -> None:
    async with desk.opens("calls", "supervisor") as page:
        await _opened(page, _LAPTOP, drawer=True)
        faults = []
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            faults += await accessibility_faults(page, within="#drawer")
            faults += await accessibility_faults(page, within='tr[data-key="c_many000"]')
        assert faults == []
