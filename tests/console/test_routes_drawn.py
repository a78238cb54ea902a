"""Routes and hours, drawn: the way from number to arm to fallback, the week, the holidays."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.console.desk import Desk
from tests.support.browser import SCHEMES, accessibility_faults, keep_screenshot, too_wide

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_route_is_drawn_from_number_to_fallback(desk: Desk, tmp_path: Path) -> None:
    async with desk.opens("routes", "viewer") as page:
        steps = page.locator(".way > li")
        await expect(steps.locator("h3")).to_have_text(
            ["Number", "Arm", "People", "If the AI fails"]
        )
        await expect(steps.nth(0)).to_contain_text("+15550100")
        await expect(steps.nth(1)).to_contain_text("ga")
        await expect(steps.nth(2)).to_contain_text("billing sip:billing@desk.example, asked first")
        await expect(steps.nth(3)).to_contain_text(
            "They hear “Please call later.”. Then the call goes to sip:desk@x."
        )
        facts = page.locator(".facts")
        await expect(facts).to_contain_text("An AI answers, and the call is recorded.")
        await expect(facts).to_contain_text("Recordingon")
        days = page.locator(".week tbody tr")
        await expect(days).to_have_count(7)
        await expect(days.nth(0)).to_contain_text("08:00 to 18:30")
        await expect(days.nth(5)).to_contain_text("22:00 to 24:00")
        await expect(days.nth(6)).to_contain_text("00:00 to 02:00")
        # What is drawn is what is written: in minutes of the day.
        bar = days.nth(0).locator("rect.open")
        assert (await bar.get_attribute("x"), await bar.get_attribute("width")) == ("480", "630")
        await expect(page.locator(".week thead")).to_contain_text("Europe/Berlin")
        await expect(page.locator(".holidays li").first).to_contain_text("a day of the")
        faults = []
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            faults += await accessibility_faults(page)
            for width, height in ((390, 844), (1440, 900), (3840, 2160)):
                await page.set_viewport_size({"width": width, "height": height})
                if await too_wide(page):
                    faults.append(f"{width}: too wide")
                await keep_screenshot(page, f"routes-{scheme}-{width}", tmp_path, whole=False)
        assert faults == []
