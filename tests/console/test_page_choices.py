"""What somebody may have otherwise: keys, filters, thresholds, a phone; kept for them alone."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.console.desk import Desk

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_ROWS = "#live-table tbody tr"


async def _give_key(page: Page, what: str, key: str) -> None:
    """Give a shortcut another key, as the account page has it."""
    await page.get_by_role("button", name=f"{what}: ").click()
    await page.keyboard.press(key)


async def test_key_is_given_another_one_and_kept(desk: Desk) -> None:
    async with desk.opens("account", "supervisor") as page:
        await _give_key(page, "Next call", "n")
        await _give_key(page, "Take over (asks first)", "Alt+o")
        await expect(page.locator("#shortcuts")).to_contain_text("Alt+O")
        await page.goto(f"{desk.url}/calls")
        rows = page.locator(_ROWS)
        await expect(rows).to_have_count(7)
        await page.keyboard.press("j")
        await expect(rows.first).not_to_be_focused()
        await page.keyboard.press("n")
        await expect(rows.first).to_be_focused()
        await page.keyboard.press("Enter")
        button = page.locator("[data-action=take_over]")
        await expect(button).to_have_attribute("aria-keyshortcuts", "Alt+O")
        await expect(button).to_contain_text("Alt+O")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Alt+O")


async def test_key_that_is_taken_is_told_and_not_given(desk: Desk) -> None:
    async with desk.opens("account", "supervisor") as page:
        problem = page.locator("#key-problem")
        await _give_key(page, "Flag with a note", "j")
        await expect(problem).to_have_text("j is taken: “Next call”. Give that another key first.")
        await _give_key(page, "Flag with a note", "Enter")
        await expect(problem).to_contain_text("needed to move about")
        await _give_key(page, "Flag with a note", "Escape")
        flag = page.get_by_role("button", name="Flag with a note: ")
        await expect(flag).to_have_text("f")
        await _give_key(page, "Flag with a note", "q")
        await expect(flag).to_have_text("q")
        await expect(problem).to_be_hidden()
        await page.get_by_role("button", name="Back to the first keys").click()
        await expect(flag).to_have_text("f")


async def test_choices_are_somebodys_own(desk: Desk) -> None:
    async with desk.opens("account", "supervisor") as page:
        await _give_key(page, "Next call", "n")
        await page.get_by_label("Address").fill("sip:204@pbx.example")
        await page.get_by_role("button", name="Keep", exact=True).click()
        await expect(page.locator("#phone-kept")).to_be_visible()
        await page.goto(f"{desk.url}/calls#c_live1")
        await page.get_by_role("button", name="More", exact=True).click()
        await page.locator("[data-action=phone]").click()
        phone = page.get_by_role("dialog").get_by_label("Your phone")
        await expect(phone).to_have_value("sip:204@pbx.example")
        # Whoever sits down there next has the keys as they came.
        await desk.change_places(page, "admin")
        await page.goto(f"{desk.url}/account")
        await expect(page.get_by_role("button", name="Next call: ")).to_have_text("j")
        await expect(page.get_by_label("Address")).to_have_value("")


async def test_filters_are_saved_by_name(desk: Desk) -> None:
    async with desk.opens("calls", "supervisor") as page:
        rows = page.locator(_ROWS)
        await page.locator("#filter-route").select_option("billing")
        await expect(rows).to_have_count(2)
        await page.get_by_text("Saved filters", exact=True).click()
        await page.get_by_role("button", name="Save these filters…").click()
        await page.get_by_role("dialog").get_by_label("Name").fill("Money")
        # A dialog's end comes a while after its button: what is saved was on show before.
        await page.locator("#filter-route").select_option("")
        await page.get_by_role("dialog").get_by_role("button", name="Save").click()
        await expect(rows).to_have_count(7)
        await page.reload()
        await page.get_by_text("Saved filters", exact=True).click()
        await page.get_by_role("button", name="Money", exact=True).click()
        await expect(rows).to_have_count(2)
        await expect(page.locator("#filter-route")).to_have_value("billing")
        await page.get_by_text("Saved filters", exact=True).click()
        await page.get_by_role("button", name="Forget Money").click()
        await expect(page.get_by_role("button", name="Money", exact=True)).to_have_count(0)


async def test_thresholds_are_changed(desk: Desk) -> None:
    async with desk.opens("calls", "supervisor") as page:
        slow = page.locator(f'{_ROWS}[data-key="c_live1"] td[data-column="last_turn"]')
        await expect(slow).to_contain_text("too high")  # in words beside the colour
        await page.get_by_role("button", name="Thresholds").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Time to answer, red above, s").fill("4")
        await dialog.get_by_role("button", name="Keep").click()
        await expect(slow).to_have_text(re.compile("3.1 s, high$"))
        await page.reload()
        await expect(slow).to_have_text(re.compile("3.1 s, high$"))


async def test_every_screen_that_moves_can_be_held(desk: Desk) -> None:
    async with desk.opens("calls", "supervisor") as page:
        rows = page.locator(_ROWS)
        await expect(rows).to_have_count(7)
        await page.get_by_role("button", name="Pause updates").click()
        await expect(page.locator("#live-badge")).to_contain_text("PAUSED")
        async with desk.with_call("c_meanwhile"), desk.opens("wallboard", name="other") as wall:
            await expect(wall.locator("#wall-active_ai .value")).to_have_text("6")
            await wall.get_by_role("button", name="Pause updates").click()
            await expect(rows).to_have_count(7)
            await page.get_by_role("button", name="Resume updates").click()
            await expect(rows).to_have_count(8)
            async with desk.with_call("c_later"):
                await expect(rows).to_have_count(9)
                await expect(wall.locator("#wall-active_ai .value")).to_have_text("6")
                await wall.get_by_role("button", name="Resume updates").click()
                await expect(wall.locator("#wall-active_ai .value")).to_have_text("7")


async def test_figures_lead_to_their_calls(desk: Desk) -> None:
    async with desk.opens("wallboard", "supervisor") as page:
        rows = page.locator(_ROWS)
        await page.locator("#wall-failing").click()
        await expect(rows).to_have_count(1)
        assert await rows.first.get_attribute("data-key") == "c_live1"
        await page.goto(f"{desk.url}/wallboard")
        await page.locator("#wall-active_human").click()
        await expect(rows).to_have_count(1)
        await expect(page.locator("#filter-state")).to_have_value("human")
        await page.get_by_role("button", name="with a person").click()
        await expect(rows).to_have_count(7)
    async with desk.opens("wallboard", "viewer") as page:
        assert await page.locator("#wall-failing").get_attribute("href") == "/calls?health=bad"
        assert await page.locator("#wall-abandoned").get_attribute("href") is None
