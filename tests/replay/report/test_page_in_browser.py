"""The report in a real browser: read, heard, and used without a mouse."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from bridge.audio.wav import read_wav
from bridge.replay.report import write_report
from bridge.replay.results.history import Timing, keep, make_summary
from tests.support.browser import (
    LAPTOP,
    SCHEMES,
    WIDTHS,
    Scheme,
    accessibility_faults,
    keep_screenshot,
    open_browser,
    open_page,
    too_wide,
    until_true,
)
from tests.support.replay_results import EXAMPLE, write_example

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

_OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"
_NOTE_STARTS = """() => {
    window.starts = [];
    const begin = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () {
        starts.push([[...calls.values()].find(each => each.audio === this).key, this.currentTime]);
        return begin.call(this);
    };
}"""
"""Keeps which call was begun, and at which second."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report of a few scripts on two arms, with a history of three runs."""
    folder = tmp_path_factory.mktemp("replay")
    results = write_example(folder / "results")
    for day in (19, 20, 21):
        then = replace(results, started_at=f"2026-11-{day}T18:00:00+00:00")
        timing = Timing(640.0, 700.0 + 10 * day, 9, 180.0)
        keep(folder / "history", make_summary(then, {("order_status", "ga"): timing}))
    return write_report(folder / "results", folder / "history")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all: each page has a profile of its own."""
    async with open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, report: Path) -> AsyncIterator[Page]:
    """Return the report on a laptop's screen."""
    async with open_page(browser, report.as_uri()) as opened:
        yield opened


async def _wait_until_played(page: Page, call: str, at_s: float) -> None:
    """Wait until a call's audio has passed a second."""
    await until_true(page, f"calls.get('{call}').audio.currentTime > {at_s}")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
async def test_it_looks_right_and_is_accessible_at_every_width(
    browser: Browser, report: Path, tmp_path: Path, width: int, scheme: Scheme
) -> None:
    async with open_page(browser, report.as_uri(), width=width, scheme=scheme) as page:
        await keep_screenshot(page, f"replay-report-{width}-{scheme}", tmp_path)
        assert await too_wide(page) == 0
        await page.evaluate(_OPEN_ALL)
        assert await too_wide(page) == 0
        if width == LAPTOP:
            rules = () if scheme == "light" else ("color-contrast",)
            assert await accessibility_faults(page, rules=rules) == []
            await page.keyboard.press("?")
            assert await accessibility_faults(page, within="#help") == []


async def test_a_laptops_first_screen_says_what_broke_where_and_why(page: Page) -> None:
    await expect(page.locator("h1")).to_have_text("✕ ga breaks 2 of 5 scripts that beta passes")
    first = page.locator(".mishap").first
    box = await first.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 800
    told = " ".join((await first.inner_text()).split())
    for part in (
        *("invoice_number on ga", "newly failing", "2 of 3 runs", "8.1 s", "step 2"),
        *("Expected the number 42", "Found it said", "Fault of bridge"),
    ):
        assert part in told


async def test_hear_it_plays_from_a_second_before_the_fault(page: Page) -> None:
    await page.evaluate(_NOTE_STARTS)
    await page.locator(".mishap .play").first.click()
    playing = page.locator("[data-toggle='2-2']")
    await expect(playing).to_have_accessible_name("Pause ga")
    assert await page.evaluate("starts") == [["2-2", pytest.approx(7.1, abs=0.05)]]
    await _wait_until_played(page, "2-2", 7.3)
    await expect(page.locator("[data-head='2-2']")).to_be_visible()
    await playing.click()
    await expect(playing).to_have_accessible_name("Play ga")


async def test_a_marker_plays_from_there_and_the_other_arm_goes_on_at_that_moment(
    page: Page,
) -> None:
    await page.evaluate(_NOTE_STARTS)
    marker = page.locator("[data-lanes='2-1'] .flag").filter(has_text="⚙")
    at_s = float(await marker.get_attribute("data-at") or "") / 1000
    await marker.click()
    await _wait_until_played(page, "2-1", at_s)
    await page.keyboard.press("a")
    (first, first_s), (second, second_s) = await page.evaluate("starts")
    assert (first, second) == ("2-1", "2-2")
    assert first_s == pytest.approx(at_s, abs=0.001)
    assert second_s > at_s
    assert await page.evaluate("calls.get('2-1').audio.paused")


async def test_another_run_is_chosen_and_heard_and_the_first_is_brought_back(page: Page) -> None:
    card = page.locator("#script-2")
    choice = card.get_by_label("Runs shown")
    await expect(choice.locator("option")).to_have_count(3)
    await expect(choice.locator("option").first).to_contain_text("ga run 1: fail")
    await choice.select_option("3")
    await expect(card.get_by_text("run 3 of 3").first).to_be_visible()
    await expect(card.locator("[data-lanes='2-1']")).to_have_count(0)
    await card.get_by_role("button", name="Play ga").click()
    await _wait_until_played(page, "2-3-2", 0.1)
    await page.locator("#broken").get_by_role("button", name="Hear it").first.click()
    await expect(card.locator("[data-lanes='2-2']")).to_have_count(1)
    await expect(choice).to_have_value("1")
    await _wait_until_played(page, "2-2", 0.1)


async def test_what_is_heard_is_what_the_call_sounded_like(
    page: Page, report: Path, tmp_path: Path
) -> None:
    made = """() => {
        const wav = new Uint8Array(asWav(JSON.parse(find('#sound-2-1').textContent)).buffer);
        return btoa(Array.from(wav, (each) => String.fromCharCode(each)).join(""));
    }"""
    (tmp_path / "heard.wav").write_bytes(base64.b64decode(await page.evaluate(made)))
    heard, rate_hz = read_wav(tmp_path / "heard.wav")
    said, said_hz = read_wav(report.parent / "runs/invoice_number/beta/1/call.wav")
    assert (heard.shape, rate_hz) == (said.shape, said_hz)
    noise, loud = (np.square(each.astype(np.float64)).sum() for each in (heard - said, said))
    assert noise < 0.01 * loud  # 20 dB
    ends = "async () => { play('2-1', 1e6); return calls.get('2-1').audio.error?.message ?? ''; }"
    assert await page.evaluate(ends) == ""
    await until_true(page, f"Math.abs(calls.get('2-1').audio.duration - {len(said) / 8000}) < 0.01")


async def test_realtime_events_are_unpacked_when_they_are_opened(page: Page) -> None:
    card = page.locator("#script-2")
    await expect(card.locator("table.events")).to_have_count(0)
    events = card.get_by_role("heading", name="Realtime events")
    await events.click()
    await expect(card.get_by_role("rowheader", name="response.created").first).to_be_visible()
    event = card.locator("details.raw").first
    await event.locator("summary").click()
    await expect(event.locator("pre")).to_contain_text('"event_id"')
    await card.get_by_label("Runs shown").select_option("2")
    await expect(card.get_by_text("run 2 of 3").first).to_be_visible()
    await events.click()
    await expect(card.get_by_role("rowheader", name="response.created").first).to_be_visible()


async def test_what_has_no_room_is_said_and_leads_to_its_file(
    browser: Browser, tmp_path: Path
) -> None:
    write_example(tmp_path, EXAMPLE[:4])
    path = write_report(tmp_path, audio_bytes=300_000)
    async with open_page(browser, path.as_uri()) as page:
        await expect(page.locator("#left-out")).to_contain_text("no room for the audio of")
        card = page.locator("#script-1")
        await card.locator("summary").first.click()
        await card.get_by_label("Runs shown").select_option("3")
        await expect(card.locator(".lane path")).to_have_count(4)
        await expect(card.get_by_role("link", name="call.wav").first).to_be_visible()
        await expect(card.locator("[data-toggle]")).to_have_count(0)


async def test_one_side_is_heard_alone(page: Page) -> None:
    # The agent answers from 2.6 to 5.2 s.
    loudest = """async () => {
        play('2-1', 2700);
        const { audio, gains } = calls.get('2-1');
        const meter = new AnalyserNode(context, {fftSize: 2048});
        gains[1].connect(meter);
        const samples = new Float32Array(meter.fftSize);
        let loudest = 0;
        while (audio.currentTime < 3.7) {
            await new Promise(done => setTimeout(done, 10));
            meter.getFloatTimeDomainData(samples);
            loudest = Math.max(loudest, ...samples);
        }
        return loudest;
    }"""
    card = page.locator("#script-2")
    await card.get_by_role("radio", name="agent").check()
    assert await page.evaluate(loudest) > 0.05
    await card.get_by_role("radio", name="caller").check()
    assert await page.evaluate(loudest) == 0


async def test_scripts_are_walked_through_by_keyboard(page: Page) -> None:
    focused = "document.activeElement.closest('.card')?.id"
    for key, card in (
        *(("j", 1), ("j", 2), ("ArrowDown", 3), ("ArrowUp", 2), ("k", 1)),
        *(("n", 2), ("n", 3), ("n", 4)),
    ):
        await page.keyboard.press(key)
        assert await page.evaluate(focused) == f"script-{card}", key
    await page.keyboard.press("Enter")
    await expect(page.locator("#script-4")).to_have_attribute("open", "")
    await page.keyboard.press("p")
    await expect(page.locator("[data-toggle='4-1']")).to_have_accessible_name("Pause beta")
    await page.keyboard.press(".")
    await page.keyboard.press(".")
    await _wait_until_played(page, "4-1", 2)


async def test_space_plays_where_nothing_else_takes_it(page: Page) -> None:
    await page.locator("#script-2 .timeline").focus()
    await page.keyboard.press("Space")
    await expect(page.locator("[data-toggle='2-1']")).to_have_accessible_name("Pause beta")
    await page.keyboard.press("Space")
    await expect(page.locator("[data-toggle='2-1']")).to_have_accessible_name("Play beta")


async def test_a_call_that_is_paused_before_it_sounds_is_no_error(page: Page) -> None:
    await page.evaluate("() => { play('2-1'); calls.get('2-1').audio.pause(); }")
    await page.evaluate("() => { play('2-1'); play('2-2'); }")
    await until_true(page, "calls.get('2-2').audio.currentTime > 0.1")


async def test_shortcuts_are_told_and_can_be_turned_off(page: Page) -> None:
    await page.keyboard.press("?")
    await page.get_by_label("Shortcuts are on").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.press("j")
    assert await page.evaluate("document.activeElement.closest('.card')") is None
    await page.reload()
    await page.keyboard.press("?")
    await expect(page.locator("#help")).not_to_be_visible()


async def test_scripts_are_filtered_by_word_and_by_what_became_of_them(page: Page) -> None:
    rows = page.locator(".verdicts tbody tr:visible")
    await page.get_by_role("button", name="Changed 2").click()
    await expect(rows).to_have_count(2)
    await page.keyboard.press("/")
    await page.keyboard.type("slow")
    await expect(rows).to_have_count(1)
    await expect(page.locator(".card:visible")).to_have_count(1)
    await expect(page.locator("#found")).to_have_text("1 script shown")


async def test_a_link_opens_the_script_that_it_leads_to(page: Page) -> None:
    await page.get_by_role("link", name="order_status").last.click()
    await expect(page.locator("#script-1")).to_have_attribute("open", "")
    assert await page.evaluate("document.activeElement.closest('.card').id") == "script-1"
