"""The drawer's actions: three at hand, the rest under More, End apart."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Locator, Page, Route, WebSocketRoute, expect

from tests.console.desk import Desk
from tests.support.browser import SCHEMES, accessibility_faults, keep_screenshot
from tests.support.pictures import as_json, chunk, png

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_PHONE, _LAPTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
_SMALLEST_PX = 24
"""Of a target (WCAG 2.2, 2.5.8)."""


async def _ids(within: Locator) -> list[str]:
    shown: list[str] = await within.locator("[data-action]").evaluate_all(
        "(all) => all.filter((each) => each.checkVisibility()).map((each) => each.dataset.action)"
    )
    return shown


async def _out_of_reach(page: Page) -> list[str]:
    """Return the actions whose buttons are not wholly in the window, too small, or under others."""
    wrong: list[str] = await page.evaluate(
        """(least) => [...document.querySelectorAll('#drawer [data-action]')].filter((button) => {
            const { left, right, top, bottom, width, height } = button.getBoundingClientRect();
            const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            return left < 0 || top < 0 || right > innerWidth || bottom > innerHeight
                || Math.min(width, height) < least || !button.contains(there);
        }).map((button) => button.dataset.action)""",
        _SMALLEST_PX,
    )
    return wrong


@pytest.mark.parametrize("window", [_PHONE, _LAPTOP], ids=["phone", "laptop"])
async def test_three_actions_are_at_hand_and_all_within_reach(
    desk: Desk, tmp_path: Path, window: dict[str, int]
) -> None:
    async with desk.opens("calls#c_live1", "supervisor") as page:
        await page.set_viewport_size({"width": window["width"], "height": window["height"]})
        bar = page.locator("#drawer .actions")
        await expect(bar).to_be_visible()
        assert await _ids(bar) == ["listen", "whisper", "take_over", "end"]
        assert await _ids(bar.locator(".apart")) == ["end"]
        await bar.get_by_role("button", name="More").click()
        await expect(bar.locator("[data-action=phone]")).to_be_focused()
        assert len(await _ids(bar.locator(".more"))) == 9
        assert await _out_of_reach(page) == []
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await accessibility_faults(page, within="#drawer") == []
            shot = f"drawer-more-{scheme}-{window['width']}"
            await keep_screenshot(page, shot, tmp_path, whole=False)


async def test_another_call_in_the_same_state_has_its_actions(desk: Desk) -> None:
    """Held calls change no state for minutes: what is not drawn when one is opened stays away."""
    held = {"state": "human", "held_by": "kim", "hold": "talking"}
    async with (
        desk.with_call("c_first", **held),
        desk.with_call("c_second", **held),
        desk.opens("calls", "supervisor") as page,
    ):
        bar = page.locator("#drawer .actions")
        for call_id in ("c_first", "c_second"):
            await page.locator(f'tr[data-key="{call_id}"]').click()
            await expect(bar.locator("[data-action=whisper]")).to_be_visible(timeout=10_000)
            await expect(bar.locator("[data-action=end]")).to_be_visible()


async def test_more_is_closed_by_escape_and_by_leaving_it(desk: Desk) -> None:
    async with desk.opens("calls#c_live1", "supervisor") as page:
        more = page.locator("#drawer").get_by_role("button", name="More")
        menu = page.locator("#drawer .more")
        await more.click()
        await page.keyboard.press("Escape")
        await expect(menu).to_be_hidden()
        await expect(more).to_be_focused()
        await expect(page.locator("#drawer")).to_be_visible()
        await more.click()
        await page.locator("#drawer textarea").focus()
        await expect(menu).to_be_hidden()
        await expect(more).to_have_attribute("aria-expanded", "false")


async def test_who_has_the_caller_has_other_actions_at_hand(desk: Desk) -> None:
    async with desk.opens("calls#c_live3", "supervisor", name="sam") as page:
        bar = page.locator("#drawer .actions")
        await expect(bar.locator("[data-action=hand_back]")).to_be_visible()
        assert await _ids(bar) == ["mute", "hand_back", "transfer", "end"]
        await bar.get_by_role("button", name="More").click()
        assert "take_over" not in await _ids(bar)


async def test_words_that_the_caller_heard_are_told_as_such(desk: Desk) -> None:
    names = '{"sam": "whispers", "supervisor": "says", "kim": "says"}'
    async with (
        desk.with_call("c_said", watchers=3, watched_by=names),
        desk.opens("calls#c_said", "supervisor") as page,
    ):
        head = page.locator("#drawer header")
        await expect(head).to_contain_text("kim speaks through the AI")
        await expect(head).to_contain_text("you speak through the AI")
        await expect(head).to_contain_text("sam whispers")


_FRAME = bytes(8 + 2 * 2 * 160)
"""Of what is heard: sequence, time, 20 ms of both sides at 8 kHz."""


@pytest.mark.parametrize("code", [1001, 1012, 4502])
async def test_audio_that_was_lost_is_connected_again(desk: Desk, code: int) -> None:
    """RFC 6455 section 7.4.1 and IANA: going away, service restart; 4502: node unreachable."""
    opened: list[WebSocketRoute] = []

    def answer(socket: WebSocketRoute) -> None:
        opened.append(socket)
        socket.send(_FRAME)

    async with desk.opens("calls#c_live1", "supervisor") as page:
        await page.route_web_socket(re.compile("/audio[?]"), answer)
        await page.locator("#drawer [data-action=listen]").click()
        heard = page.locator("#drawer .listening")
        await expect(heard).to_have_attribute("data-frames", "1")
        await opened[0].close(code=code)
        await expect(heard.locator("b")).to_have_text("The connection was lost. Connecting again…")
        await expect(heard).to_have_attribute("data-frames", "2")
        await expect(heard.locator("b")).to_have_text(
            "You are listening. Nobody on the call knows."
        )
        assert len(opened) == 2


@pytest.mark.parametrize("code", [1000, 4403])
async def test_audio_that_was_ended_or_refused_is_not_asked_for_again(
    desk: Desk, code: int
) -> None:
    opened: list[WebSocketRoute] = []
    async with desk.opens("calls#c_live1", "supervisor") as page:
        # A method of a list is nothing that Playwright can take.
        await page.route_web_socket(re.compile("/audio[?]"), lambda each: opened.append(each))
        await page.locator("#drawer [data-action=listen]").click()
        heard = page.locator("#drawer .listening")
        await expect(heard.locator("b")).to_have_text(
            "You are listening. Nobody on the call knows."
        )
        await opened[0].close(code=code)
        await expect(page.get_by_text("The audio has ended.")).to_be_visible()
        await expect(heard).to_be_hidden()
        assert len(opened) == 1


async def test_sip_messages_of_a_call_that_goes_on_are_behind_a_tab(desk: Desk) -> None:
    ends = {"local": "10.0.0.1:5060", "far_end": "192.0.2.7:5060", "transport": "UDP"}
    words = {"what": "INVITE", "cseq": 1, "media": "", "reason": "", "party": "caller"}
    flags = {"sent": False, "repeats": False, "left_out": 0}
    rung = {"at": "2026-11-23T10:00:00.000Z", "after_ms": 0.0, **ends, **words, **flags}
    told = [{"messages": [], "missing": "node node-a gave no answer"}, {"messages": [rung]}]
    async with desk.opens("calls#c_live1", "supervisor") as page:
        await page.route("**/calls/c_live1/sip", lambda route: route.fulfill(json=told.pop(0)))
        panel, tab = page.locator("#drawer-panel .scroll"), page.get_by_role("tab", name="SIP")
        await tab.click()
        await expect(panel).to_have_text("node node-a gave no answer")
        await tab.click()
        await expect(panel.locator("tbody tr")).to_contain_text("INVITE")
        assert await accessibility_faults(page, within="#drawer") == []


def _file(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}


async def _choosing(page: Page) -> Locator:
    """Open the dialog in which a picture is chosen."""
    bar = page.locator("#drawer .actions")
    await bar.get_by_role("button", name="More").click()
    await bar.locator("[data-action=show]").click()
    return page.get_by_role("dialog")


@pytest.mark.parametrize("window", [_PHONE, _LAPTOP], ids=["phone", "laptop"])
async def test_picture_is_chosen_seen_and_sent(
    desk: Desk, tmp_path: Path, window: dict[str, int]
) -> None:
    sent: list[Any] = []  # Any: JSON

    async def answer(route: Route) -> None:
        sent.append(route.request.post_data_json)
        await route.fulfill(json={"accepted": True, "reason": None, "result": {}})

    async with desk.opens("calls#c_live1", "supervisor") as page:
        await page.set_viewport_size({"width": window["width"], "height": window["height"]})
        await page.route("**/picture", answer)
        dialog = await _choosing(page)
        await dialog.locator("input[type=file]").set_input_files(_file("a.png", png(320, 200)))
        preview = dialog.locator("img.preview")
        await expect(preview).to_be_visible()
        assert await preview.evaluate("(image) => image.naturalWidth") == 320
        await dialog.locator("textarea").fill("The roof")
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await accessibility_faults(page, within="dialog") == []
            shot = f"show-picture-{scheme}-{window['width']}"
            await keep_screenshot(page, shot, tmp_path, whole=False)
        await dialog.get_by_role("button", name="Show it").click()
        await expect(page.locator(".toast.good")).to_contain_text("Show a picture: done")
    assert sent == [{"image": as_json(png(320, 200)), "note": "The roof", "when": "now"}]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GIF89a", "That is no picture."),
        (png(9, 9)[:30], "That is no picture."),
        (png(1, 1, more=chunk(b"tEXt", bytes(800_000))), "too large"),
    ],
)
async def test_what_can_not_be_shown_is_said_and_not_sent(
    desk: Desk, data: bytes, said: str
) -> None:
    async with desk.opens("calls#c_live1", "supervisor") as page:
        await page.route("**/picture", lambda route: pytest.fail("it was sent"))
        dialog = await _choosing(page)
        await dialog.locator("input[type=file]").set_input_files(_file("x.png", data))
        await expect(dialog).to_contain_text(said)
        await dialog.get_by_role("button", name="Show it").click()
        await expect(dialog).to_be_visible()
        # Another choice is as good as if it were the first.
        await dialog.locator("input[type=file]").set_input_files(_file("a.png", png(3, 2)))
        await expect(dialog.locator("img.preview")).to_be_visible()
        assert await dialog.locator("input[type=file]").evaluate("(input) => input.validity.valid")
