"""The console's words: events as sentences, moments written one way with their zone, targets."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.console.desk import Desk
from tests.support.browser import keep_screenshot, too_wide

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_LIVE = Path(__file__).parents[2] / "bridge" / "live"
_KIND = re.compile(r'(?:record|event)\(\s*"(\w+)"')
_MOMENT = re.compile(r"2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d")
_OTHER_DATES = re.compile(
    r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\w* \d"
)

_SENTENCES: dict[str, dict[str, str]] = {
    "sam whispered to the AI: “Offer the refund.”.": {
        "kind": "supervisor_acted",
        "by": "sam",
        "action": "whisper",
        "text": "Offer the refund.",
    },
    "The tool lookup answered after 340 ms.": {
        "kind": "tool_ended",
        "tool": "lookup",
        "result": "ok",
        "took_ms": "340",
    },
    "The call went from listening to thinking: turn ended.": {
        "kind": "phase",
        "old": "listening",
        "new": "thinking",
        "cause": "turn_ended",
    },
    "The caller only agreed: the agent goes on.": {
        "kind": "interruption_judged",
        "judged_as": "backchannel",
    },
    "Brand new thing (how well).": {"kind": "brand_new_thing", "how": "well", "id": "1-0"},
}


async def test_events_are_sentences(desk: Desk) -> None:
    found = {kind for each in _LIVE.rglob("*.py") for kind in _KIND.findall(each.read_text())}
    kinds = sorted(found - {"supervisor_acted"})  # its action says what was done
    assert len(kinds) > 40
    async with desk.opens("history/c_over0", "supervisor") as page:
        events = page.locator("#events li")
        await expect(events.first).to_contain_text("The caller said: “Where is my parcel?”.")
        for text in await events.all_inner_texts():
            assert re.search(r"[.”]$", text), text
            assert not re.search(r"\w+: \w+, \w+ ?\w*: ", text), text
        told = await page.evaluate(
            """async (events) => {
                const { sentence } = await import("/static/js/sentences.js");
                return events.map(sentence);
            }""",
            [*_SENTENCES.values(), *({"kind": kind} for kind in kinds)],
        )
    assert told[: len(_SENTENCES)] == list(_SENTENCES)
    names = [f"{kind.replace('_', ' ').capitalize()}." for kind in kinds]
    untold = [
        kind
        for kind, name, text in zip(kinds, names, told[len(_SENTENCES) :], strict=True)
        if text == name
    ]
    assert untold == []


async def test_who_acted_is_told_in_sentences_and_nobody_else_is_named(desk: Desk) -> None:
    event = desk.floor.store.event
    yesterday_ms = desk.floor.now_ms - 24 * 3_600_000  # the figures of today are another test's
    async with desk.with_call("c_acted", started_at=yesterday_ms):
        event("c_acted", "supervisor_acted", {"by": "eve", "action": "take_over"})
        event("c_acted", "turn", {"speaker": "caller", "item_id": "i1", "text": "Hello?"})
        event("c_acted", "supervisor_acted", {"by": "sam", "action": "say", "text": "One moment."})
        event("c_acted", "supervisor_left", {"by": "eve"})
    async with desk.opens("history/c_acted", "supervisor") as page:
        lines = page.get_by_role("region", name="Who acted").locator("li span:last-child")
        await expect(lines).to_have_text(
            ["eve took the caller over.", "sam had the bridge say: “One moment.”.", "eve left."]
        )


async def test_every_moment_is_written_one_way_and_names_its_zone(desk: Desk) -> None:
    places = {
        "history": "#list tbody tr >> nth=5",
        "history/c_over0": "#call .card >> nth=1",
        "alerts": "#list li.card",
        "trends": "#list tbody tr >> nth=0",
        "audit": "#entries tr >> nth=0",
        "rollouts": "#list .arm",
        "replays": "#list .spark",
    }
    wrong = []
    async with desk.opens("account") as page:
        for path, shown in places.items():
            await page.goto("about:blank")
            await page.goto(f"{desk.url}/{path}")
            await page.locator(shown).first.wait_for()
            text = await page.evaluate("document.querySelector('#main').textContent")
            if not _MOMENT.search(text):
                wrong.append(f"{path}: no moment")
            if other := _OTHER_DATES.search(text):
                wrong.append(f"{path}: {other[0]}")
            if not re.search(r"UTC|GMT[+-]?\d*|\b[A-Z]{3,4}T\b", text):
                wrong.append(f"{path}: no zone")
    assert wrong == []


async def test_figures_have_a_trend_and_a_target(desk: Desk, tmp_path: Path) -> None:
    four_hours_ms = 4 * 3_600_000
    began_ms = desk.floor.now_ms - four_hours_ms
    desk.floor.begin("c_earlier", started_at=began_ms, answered_at=began_ms + 900)
    desk.floor.store.end("c_earlier", {"outcome": "completed", "fault": "none"})
    await desk.floor.settle()
    async with desk.opens("wallboard", "supervisor") as page:
        tile = page.locator("#wall-containment")
        await expect(tile.locator(".target")).to_have_text("Target: at least 60%")
        await expect(page.locator("#wall-waiting .target")).to_have_text("Target: at most 2")
        line = tile.get_by_role("img")
        await expect(line).to_have_attribute("aria-label", re.compile("^Last 8 hours.*100%.*%$"))
        ended = page.locator("#wall-ended_last_hour").get_by_role("img")
        await expect(ended).to_have_attribute(
            "aria-label", "Last 8 hours, the oldest first: 0, 0, 0, 1, 0, 0, 0, 6"
        )
        await page.get_by_role("button", name="Thresholds").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Waiting, amber above").fill("4")
        await dialog.get_by_role("button", name="Keep").click()
        await expect(page.locator("#wall-waiting .target")).to_have_text("Target: at most 4")
        for width, height in ((390, 844), (1440, 900), (3840, 2160)):
            await page.set_viewport_size({"width": width, "height": height})
            assert await too_wide(page) == 0
            await keep_screenshot(page, f"wallboard-trend-{width}", tmp_path, whole=False)
            cut = await page.evaluate(
                """[...document.querySelectorAll('#wall .tile')]
                    .filter((tile) => tile.scrollWidth > tile.clientWidth + 1
                        || tile.scrollHeight > tile.clientHeight + 1).map((tile) => tile.id)"""
            )
            assert cut == [], width
