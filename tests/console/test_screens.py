"""The console in a real browser: every screen, its keys, its colours, its widths."""

import asyncio
import os
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.console.desk import Desk, serving
from tests.console.floor import EVIL
from tests.support.browser import (
    ARTEFACTS_DIR,
    SCHEMES,
    WIDTHS,
    accessibility_faults,
    keep_screenshot,
    too_wide,
    until_true,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_SCREENS = {
    "calls": "calls",
    "drawer": "calls#c_live1",
    "history": "history",
    "call": "history/c_over0",
    "queue": "queue",
    "wallboard": "wallboard",
    "trends": "trends",
    "people": "people",
    "alerts": "alerts",
    "refusals": "refusals",
    "rollouts": "rollouts",
    "replays": "replays",
    "routes": "routes",
    "users": "users",
    "audit": "audit",
    "account": "account",
}
"""Name -> path. What each one shows when it is all there: :data:`_SHOWN`."""

_SCROLL = "document.querySelector('#drawer .scroll')"
_AT_END = f"{_SCROLL}.scrollHeight - {_SCROLL}.scrollTop - {_SCROLL}.clientHeight < 2"
_SHOWN = {
    "calls": "#live-table tbody tr >> nth=6",
    "drawer": "#drawer .turn >> nth=4",
    "history": "#list tbody tr >> nth=5",
    "call": "#call .markers button >> nth=3",
    "queue": "#list .summary",
    "wallboard": "#wall .tile >> nth=8",
    "trends": "#list tbody tr",
    "people": "#list tbody tr",
    "alerts": "#list li.card >> nth=1",
    "refusals": "#none .empty",
    "rollouts": "#list .arm >> nth=1",
    "replays": "#list .spark",
    "routes": "#list .card",
    "users": "#users tr",
    "audit": "#main h1",
    "account": "#main h1",
}


async def test_every_screen_is_for_everybody_in_light_and_dark_on_every_width(
    desk: Desk, tmp_path: Path
) -> None:
    """WCAG 2.2 AA by axe-core, nothing wider than the window; screenshots where they are kept."""
    faults: list[str] = []
    async with desk.opens("account") as page:
        for name, path in _SCREENS.items():
            await page.goto("about:blank")
            await page.set_viewport_size({"width": 1280, "height": 800})
            await page.goto(f"{desk.url}/{path}")
            await page.wait_for_selector(_SHOWN[name])
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                found = await accessibility_faults(page)
                faults += [f"{name}, {scheme}: {each}" for each in found]
                for width in WIDTHS:
                    await page.set_viewport_size({"width": width, "height": 800})
                    if beyond := await too_wide(page):
                        faults.append(f"{name}, {scheme}, {width}: too wide by {beyond}")
                    if ARTEFACTS_DIR in os.environ:
                        shot = f"console-{name}-{scheme}-{width}"
                        await keep_screenshot(page, shot, tmp_path, whole=name != "drawer")
    assert not faults, "\n".join(faults)


async def test_live_call_is_worked_with_by_keys_alone(desk: Desk) -> None:
    async with desk.opens("calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        # Worst health first, then longest.
        assert await rows.first.get_attribute("data-key") == desk.floor.live[1]
        await page.keyboard.press("j")
        await expect(rows.first).to_be_focused()
        await page.keyboard.press("j")
        await expect(rows.nth(1)).to_be_focused()
        await page.keyboard.press("k")
        await page.keyboard.press("Enter")
        drawer = page.locator("#drawer")
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


async def test_consequential_keys_ask_first(desk: Desk) -> None:
    async with desk.opens("calls#c_live1") as page:
        await page.wait_for_selector(_SHOWN["drawer"])
        await page.keyboard.press("Shift+E")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("End the call of ***91?")
        await expect(dialog.get_by_label("Reason")).to_have_attribute("required", "")
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(page.locator("#drawer")).to_be_visible()


async def test_keys_are_told_and_can_be_turned_off(desk: Desk) -> None:
    async with desk.opens("calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        await page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Keyboard")
        await expect(dialog).to_contain_text("Take over")
        await dialog.get_by_label("Shortcuts are on").uncheck()
        await dialog.get_by_role("button", name="Close").click()
        await page.keyboard.press("j")
        await expect(rows.first).not_to_be_focused()


async def test_rows_stay_where_they_are_under_the_cursor(desk: Desk) -> None:
    async with desk.opens("calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        first = await rows.first.get_attribute("data-key")
        await page.keyboard.press("j")
        reasons = {"health": 5, "health_reasons": "the AI was given up"}
        async with desk.with_call("c_worse", **reasons):
            changes = page.get_by_role("button", name="press r")
            await expect(changes).to_have_text("1 change, press r")
            assert await rows.first.get_attribute("data-key") == first
            await page.keyboard.press("r")
            await expect(rows).to_have_count(8)
            assert await rows.first.get_attribute("data-key") == "c_worse"
            await expect(changes).to_be_hidden()


async def test_list_goes_grey_when_nothing_comes_any_more(desk: Desk) -> None:
    server = AsyncExitStack()
    url = await server.enter_async_context(serving(desk.services))
    async with desk.opens("calls", url=url, expected_errors=("ERR_",)) as page:
        badge = page.locator("#live-badge")
        await expect(badge).to_have_attribute("data-state", "live")
        await server.aclose()
        await expect(badge).to_have_attribute("data-state", "stale", timeout=15_000)
        await expect(page.locator("#live-table")).to_have_class(re.compile("is-stale"))


async def test_columns_are_chosen_and_kept(desk: Desk) -> None:
    async with desk.opens("calls") as page:
        header = page.get_by_role("columnheader", name="Node")
        await expect(page.locator("#live-table tbody tr")).to_have_count(7)
        await expect(header).to_have_count(0)
        await page.get_by_text("Columns", exact=True).click()
        await page.get_by_label("Node", exact=True).check()
        await expect(header).to_be_visible()
        await page.reload()
        await expect(header).to_be_visible()


async def test_csv_holds_no_formula(desk: Desk) -> None:
    async with desk.with_call("c_formula", dialplan="=cmd()"), desk.opens("calls") as page:
        await expect(page.locator("#live-table tbody tr")).to_have_count(8)
        async with page.expect_download() as waited:
            await page.get_by_role("button", name="CSV").click()
        download = await waited.value
        text = await asyncio.to_thread(Path(await download.path()).read_text)
        assert '"\'=cmd()"' in text
        assert len(text.splitlines()) == 9


async def test_words_and_names_that_are_markup_stay_words(desk: Desk) -> None:
    evil = {"from": f"sip:{EVIL}@x", "handoff_summary": EVIL, "state": "transferring"}
    async with desk.with_call("c_evil", **evil), desk.opens("calls#c_live1") as page:
        said = page.locator("#drawer .turn.caller p").first
        await expect(said).to_have_text(EVIL)
        assert await page.locator("#main script, #main img").count() == 0
        await page.goto(f"{desk.url}/queue")
        await expect(page.locator("#list .summary", has_text="onerror")).to_have_text(EVIL)
        await page.goto(f"{desk.url}/history/c_over0")
        await expect(page.locator(".turn.caller p").first).to_contain_text(EVIL)
        refer = page.locator("#sip tr", has_text="REFER").first
        await expect(refer).to_contain_text(EVIL)
        assert await page.locator("#main script, #main img").count() == 0
        assert await page.locator("#sip tbody tr").count() == 6
        assert await page.locator("#sip .sent").count() == 3
        assert await page.locator("#sip .again").count() == 1


@pytest.mark.parametrize("width", [390, 1440])
async def test_how_a_call_ended_stands_above_the_conversation_or_beside_it(
    desk: Desk, tmp_path: Path, width: int
) -> None:
    async with desk.opens("history/c_over0") as page:
        await page.set_viewport_size({"width": width, "height": 900})
        await page.locator("#call .markers button").nth(3).wait_for()
        ending, said = await page.evaluate(
            """() => ["How it ended", "Conversation"].map((name) => document
                .querySelector(`#call [aria-label="${name}"]`).getBoundingClientRect().toJSON())"""
        )
        if width == 390:
            assert ending["bottom"] <= said["top"]
        else:
            assert ending["top"] == said["top"]
            assert ending["left"] >= said["right"]
        cards = page.locator("#call section[aria-label]")
        names = await cards.evaluate_all("(all) => all.map((each) => each.ariaLabel)")
        assert names.index("How it ended") < names.index("Conversation"), "read in another order"
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            await keep_screenshot(page, f"call-{scheme}-{width}", tmp_path)


async def test_who_else_watches_is_seen_by_name_while_they_do(desk: Desk) -> None:
    """In the drawer in words, in the list for those who ask the cell; and gone when they go."""
    call_id, names = "c_watched", '{"supervisor": "listens", "kim": "whispers", "sam": "listens"}'
    async with desk.with_call(call_id, held_by="sam"), desk.opens("calls", "supervisor") as page:
        cell = page.locator(f'tr[data-key="{call_id}"] td[data-column="watchers"]')
        await expect(cell).to_have_text("held by sam")
        await page.locator(f'tr[data-key="{call_id}"]').click()
        head = page.locator("#drawer header")
        await expect(head).to_contain_text("held by sam")
        desk.floor.store.update(call_id, {"watchers": 3, "watched_by": names})
        await expect(head).to_contain_text("kim whispers")
        await expect(head).to_contain_text("you listen")
        await expect(head).not_to_contain_text("sam listens")  # who has the caller is there already
        told = "kim whispers, you listen"
        await expect(cell).to_have_text(f"held by sam2 watching: {told}")
        await expect(cell.locator(".badge.info")).to_have_attribute("title", told)
        desk.floor.store.update(call_id, {"watchers": 0, "watched_by": ""})
        await expect(head).not_to_contain_text("kim")
        await expect(cell).to_have_text("held by sam")


async def test_who_watches_is_a_number_for_who_may_not(desk: Desk) -> None:
    async with desk.opens("calls", "viewer") as page:
        cell = page.locator(f'tr[data-key="{desk.floor.live[1]}"] td[data-column="watchers"]')
        await expect(cell).to_have_text("2 watching")
        await expect(cell.locator("[title]")).to_have_count(0)


async def test_viewer_sees_calls_and_neither_words_nor_actions(desk: Desk) -> None:
    async with desk.opens("calls#c_live1", "viewer") as page:
        drawer = page.locator("#drawer")
        await expect(drawer).to_contain_text("Your role does not show transcripts.")
        assert await drawer.locator("[data-action]").count() == 0
        assert await page.get_by_role("link", name="Users").count() == 0


async def test_kill_switch_asks_for_a_reason_and_works(desk: Desk) -> None:
    async with desk.opens("rollouts", "operator") as page:
        await page.get_by_role("button", name="Kill switch: ga-next off").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("it answers in the wrong language")
        await dialog.get_by_role("button", name="Switch ga-next off").click()
        await expect(page.locator(".arm.off")).to_contain_text("ga-next")
        await expect(page.locator("details")).to_contain_text("wrong language")


async def test_recording_plays_from_a_marker(desk: Desk) -> None:
    async with desk.opens("history/c_over0", "supervisor") as page:
        await page.get_by_role("button", name="interrupted").click()
        await until_true(page, "document.querySelector('audio').currentTime >= 9")
        await until_true(page, "!document.querySelector('audio').paused")


async def test_alert_is_seen_to(desk: Desk) -> None:
    async with desk.opens("alerts", "supervisor") as page:
        await page.get_by_role("button", name="I see to it").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Note").fill("called them")
        await dialog.get_by_role("button", name="I see to it").click()
        await expect(page.locator("#list")).to_contain_text("called them")


async def test_rows_stay_where_they_are_under_the_pointer(desk: Desk) -> None:
    async with desk.opens("calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        first = await rows.first.get_attribute("data-key")
        await rows.nth(2).hover()
        async with desk.with_call("c_worst", health=5, health_reasons="the AI was given up"):
            await expect(page.get_by_role("button", name="press r")).to_be_visible()
            assert await rows.first.get_attribute("data-key") == first
            await page.mouse.move(1, 1)
            desk.floor.store.update("c_worst", {"state": "tool"})
            await expect(rows).to_have_count(8)


async def test_words_that_come_while_one_reads_above_wait_for_a_press(desk: Desk) -> None:
    async with desk.with_call("c_talk"), desk.opens("calls#c_talk") as page:
        for number in range(40):
            said = {"speaker": "caller", "item_id": f"i{number}", "text": f"Sentence {number}."}
            desk.floor.store.event("c_talk", "turn", said)
        scroll = page.locator("#drawer .scroll")
        pill = page.get_by_role("button", name="New messages")
        await expect(scroll).to_contain_text("Sentence 39.")
        await until_true(page, _AT_END)  # it follows, also when there is less room
        await page.set_viewport_size({"width": 1280, "height": 640})
        await until_true(page, _AT_END)
        await page.evaluate(f"{_SCROLL}.scrollTop = 0")
        desk.floor.store.event(
            "c_talk", "turn", {"speaker": "caller", "item_id": "i40", "text": "One more."}
        )
        await expect(pill).to_be_visible()
        assert await page.evaluate(f"{_SCROLL}.scrollTop") == 0
        await pill.click()
        await expect(pill).to_be_hidden()
        await until_true(page, _AT_END)


async def test_arrows_home_and_end_move_through_the_rows(desk: Desk) -> None:
    async with desk.opens("calls") as page:
        rows = page.locator("#live-table tbody tr")
        await expect(rows).to_have_count(7)
        await page.keyboard.press("j")
        for key, nth in (("ArrowDown", 1), ("End", 6), ("ArrowUp", 5), ("Home", 0)):
            await page.keyboard.press(key)
            await expect(rows.nth(nth)).to_be_focused()


async def test_history_is_gone_through_and_opened_by_the_same_keys(desk: Desk) -> None:
    async with desk.opens("history", "supervisor") as page:
        rows = page.locator("#list tbody tr")
        await expect(rows.nth(5)).to_be_visible()
        for key, nth in (("j", 0), ("ArrowDown", 1), ("Home", 0)):
            await page.keyboard.press(key)
            await expect(rows.nth(nth)).to_be_focused()
        await page.keyboard.press("/")
        await expect(page.locator("#filters [name=text]")).to_be_focused()
        await page.keyboard.press("End")  # within the field
        await expect(page.locator("#filters [name=text]")).to_be_focused()
        await page.keyboard.press("Escape")
        await page.keyboard.press("k")
        await expect(rows.first).to_be_focused()
        call_id = await rows.first.get_attribute("data-key")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/history/{call_id}")


async def test_whole_number_is_shown_for_a_reason_that_is_put_down(desk: Desk) -> None:
    async with desk.opens("history/c_over0", "supervisor") as page:
        await page.get_by_role("button", name="Show whole numbers").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill("called us back")
        await dialog.get_by_role("button", name="Show").click()
        await expect(dialog).to_contain_text("+15550111")
        await expect(dialog).to_contain_text("vouches for: +15550222")
    async with desk.opens("audit") as page:
        entry = page.locator("#entries tr", has_text="unmask").first
        await expect(entry).to_contain_text("supervisor")
        await expect(entry).to_contain_text("called us back")
