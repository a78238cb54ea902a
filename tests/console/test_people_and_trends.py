"""The pages of people and of trends: what they show, how they filter, and with 200 rows."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from bridge.clock import NS_PER_MS, SystemClock
from bridge.console.tally import HOUR_MS
from tests.console.desk import Desk
from tests.console.looks import LONG, faults_of_looks
from tests.support.console_user import sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_ROWS = "#list tbody tr"
_ASKED = ("#main .head", f"{_ROWS}:first-child")


async def test_two_hundred_people_with_long_names(desk: Desk, tmp_path: Path) -> None:
    names = [f"{LONG}-{number:03}" for number in range(200)]
    for name in names:
        await sign_in(desk.floor.redis_url, name, "agent")
    watched = f'{{"{names[0]}": "listens"}}'
    now_ms = SystemClock().wall_ns() // NS_PER_MS
    since = f'{{"{names[0]}": {now_ms - 3_661_000}}}'
    fields = {"watchers": 1, "watched_by": watched, "watched_since": since}
    held = {"held_by": names[1], "state": "human", "state_since_at": now_ms - 7_260_000}
    async with (
        desk.with_call("c_watched", **fields),
        desk.with_call("c_held", **held),
        desk.opens("people", "supervisor") as page,
    ):
        rows = page.locator(_ROWS)
        await expect(rows.nth(200)).to_be_visible()
        first, second = rows.filter(has_text=names[0]), rows.filter(has_text=names[1])
        await expect(first).to_contain_text("agent")
        await expect(first).to_contain_text("listens to c_watched for 1:")
        await expect(second).to_contain_text("on a call")
        await expect(second).to_contain_text("c_held")
        await expect(second).to_contain_text("2:0")  # two hours and a minute
        await expect(page.locator("#count")).to_contain_text("1 on a call")
        assert await faults_of_looks(page, "people", tmp_path, *_ASKED) == []
        await page.locator("#search").fill("on a call")
        await expect(rows.filter(has_text=names[1])).to_have_count(1)
        await expect(rows.filter(has_text=names[0])).to_have_count(0)


async def test_somebody_says_that_they_are_away(desk: Desk) -> None:
    async with desk.opens("people", "supervisor", name="sue") as page:
        mine = page.locator('tr[data-key="sue"]')
        await expect(mine).to_contain_text("available")
        await page.get_by_role("button", name="I am away").click()
        await expect(mine).to_contain_text("away")
        await page.get_by_role("button", name="I am available").click()
        await expect(mine).to_contain_text("available")


async def _end(desk: Desk, call_id: str, route: str, hour_at: int, **more: Any) -> None:
    """Have a call of an hour that is over."""  # Any: of a hash
    began = {"started_at": hour_at + 60_000, "answered_at": hour_at + 61_000, "dialplan": route}
    desk.floor.begin(call_id, **began)
    ended = {"outcome": "completed", "fault": "none", "ended_at": hour_at + 121_000, **more}
    desk.floor.store.end(call_id, ended)


async def test_trends_of_two_hundred_hours_and_routes(desk: Desk, tmp_path: Path) -> None:
    now_ms = SystemClock().wall_ns() // NS_PER_MS
    hour_at = now_ms // HOUR_MS * HOUR_MS - HOUR_MS
    routes = [f"support-for-partners-in-the-north-and-the-south-{each}" for each in range(20)]
    for back in range(10):
        for number, route in enumerate(routes):
            await _end(desk, f"c_t{back}_{number}", route, hour_at - back * HOUR_MS)
    await _end(desk, "c_lost", routes[0], hour_at, outcome="node_lost", fault="bridge")
    await desk.floor.settle()
    async with desk.opens("trends", "supervisor") as page:
        rows = page.locator(_ROWS)
        await expect(rows.nth(199)).to_be_visible()
        assert await faults_of_looks(page, "trends", tmp_path, *_ASKED) == []
        await page.locator("#route").select_option(routes[0])
        await expect(rows).to_have_count(10)
        latest = rows.first
        for column, text in (
            ("calls", "2"),
            ("answered", "2"),
            ("contained", "1"),
            ("broken", "1"),
        ):
            await expect(latest.locator(f'td[data-column="{column}"]')).to_have_text(text)
        chart = page.get_by_role("img", name="Handled by the AI alone by hour")
        assert "100%, 50%, none" in (await chart.get_attribute("aria-label") or "")
        await page.locator("#hours").select_option("8")
        await expect(rows).to_have_count(7)
        await page.reload()  # what was chosen is kept
        await expect(rows).to_have_count(7)
        await expect(page.locator("#route")).to_have_value(routes[0])
