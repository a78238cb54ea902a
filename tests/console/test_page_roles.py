"""What each role sees of the pages: the screens that are for it, no button that the API refuses.

The tables are written down by hand from what the roles are for (`NEEDS.md` section 1 "Roles").
"""

import pytest
from playwright.async_api import Page, expect

from bridge.console.access.roles import ALLOWED, UserRole
from bridge.routing.supervisor_verbs import VERBS
from tests.console.desk import Desk

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

_SEEN_BY_ALL = ["calls", "queue", "wallboard", "trends"]
_FLOOR = [*_SEEN_BY_ALL, "alerts"]
_LED = [*_SEEN_BY_ALL, "people", "alerts"]
_ALL = [*_LED, "history", "refusals", "rollouts", "replays", "routes", "users", "audit"]
_MENU = {
    UserRole.VIEWER: [*_FLOOR, "rollouts", "routes"],
    UserRole.AGENT: ["queue"],
    UserRole.SUPERVISOR: [*_LED, "history", "refusals", "rollouts", "replays", "routes"],
    UserRole.QA: ["history", "rollouts", "replays"],
    UserRole.OPERATOR: [*_FLOOR, "refusals", "rollouts", "replays", "routes"],
    UserRole.ADMIN: _ALL,
    UserRole.AUDITOR: ["audit"],
}
_PLACES = {
    "calls#c_live1": "#drawer .actions",
    "queue": "#list .summary",
    "alerts": "#list li.card",
    "rollouts": "#list .arm",
    "history/c_over0": "#call .card",
    "users": "#users tr",
    "audit": "#entries",
}
"""Where something can be done -> what is seen once it is all there."""

_LIVE = {
    *("listen", "phone", "call_in", "whisper", "show", "take_over", "join", "pause", "transfer"),
    *("pause_recording", "sensitive", "flag", "end"),
}
_ACCEPT, _SEEN = {"Accept", "Accept by phone"}, {"I see to it"}
_ROLL = {"Step to 25%", "Set share…", "Pause", "Roll back", "AI off"}
_KILL = {"Kill switch: ga off", "Kill switch: ga-next off"}
_USERS = {"Invite somebody", "Change", "New link", "Disable"}
_AUDIT = {"Verify the chain"}
_MAY: dict[UserRole, set[str]] = {
    UserRole.VIEWER: set(),
    UserRole.AGENT: _ACCEPT,
    UserRole.SUPERVISOR: _LIVE
    | {"Say exactly", "Whisper", "Make a script", "Show whole numbers"}
    | _ACCEPT
    | _SEEN,
    UserRole.QA: {"Make a script"},
    UserRole.OPERATOR: _SEEN | _ROLL | _KILL,
    UserRole.ADMIN: _LIVE
    | {"listen_private"}
    | {"Say exactly", "Whisper", "Make a script", "Show whole numbers"}
    | _ACCEPT
    | _SEEN
    | _ROLL
    | _KILL
    | _USERS
    | _AUDIT,
    UserRole.AUDITOR: _AUDIT,
}
_HARMLESS = {
    *("Pause updates", "Thresholds", "Columns", "CSV", "Saved filters", "Close Esc", "Unwell only"),
    *(
        "More",
        "Transcript",
        "Latency",
        "SIP",
        "Details",
        "New messages",
        "Search",
        "Older entries",
        "JSON lines",
    ),
}
"""Buttons that only show what is there already."""


async def _buttons(page: Page) -> set[str]:
    """Return what can be done on a page, by the buttons' words or the actions' names."""
    if await (more := page.get_by_role("button", name="More", exact=True)).count():
        await more.click()
    found: list[str] = await page.evaluate(
        r"""[...document.querySelectorAll('#main button:not(.tile, .markers button, thead button)')]
            .filter((each) => each.checkVisibility() && each.id !== 'changes')
            .map((each) => each.dataset.action ?? each.innerText.trim().replace(/\s+/g, " "))"""
    )
    return {each for each in found if each} - _HARMLESS


@pytest.mark.parametrize("role", list(UserRole))
async def test_role_sees_what_it_may_do_and_nothing_that_is_refused(
    desk: Desk, role: UserRole
) -> None:
    refused: list[str] = []
    async with desk.opens("account", role) as page:
        page.on(
            "response",
            lambda each: refused.append(each.url) if each.status in (401, 403) else None,
        )
        links = await page.locator("#menu a").evaluate_all("(all) => all.map((a) => a.pathname)")
        assert links == [f"/{each}" for each in _MENU[role]]
        by_phone = {"phone", "Accept by phone"} & _MAY[role]
        assert await page.locator("#phone").count() == bool(by_phone)
        seen = set()
        for place, shown in _PLACES.items():
            if place.split("/")[0].split("#")[0] in _MENU[role]:
                await page.goto("about:blank")
                await page.goto(f"{desk.url}/{place}")
                await page.locator(shown).first.wait_for(state="attached")
                if place.startswith("history/"):
                    await expect(page.locator("#call")).to_contain_text("How it ended")
                seen |= await _buttons(page)
        assert seen == _MAY[role]
        assert refused == []
    for action in seen & _LIVE:
        verb = VERBS["listen" if action in ("phone", "call_in") else action]
        assert verb.permission in ALLOWED[role]


async def test_screen_of_others_says_that_it_is(desk: Desk) -> None:
    role = UserRole.AGENT
    async with desk.opens("account", role, expected_errors=("status of 403",)) as page:
        for screen in ("calls", "users"):
            answer = await page.goto(f"{desk.url}/{screen}")
            assert answer is not None
            assert answer.status == 403
            await expect(page.locator("h1")).to_have_text("Not for your role")
            await expect(page.locator("#menu a")).to_have_count(len(_MENU[role]))


async def test_operator_hears_and_reads_nothing(desk: Desk) -> None:
    async with desk.opens("calls#c_live1", UserRole.OPERATOR) as page:
        drawer = page.locator("#drawer")
        await expect(drawer).to_contain_text("Your role does not show transcripts.")
        for key in ("m", "w", "f", "Shift+T", "Shift+E"):
            await page.keyboard.press(key)
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(drawer.locator(".listening")).to_be_hidden()


async def test_sign_out_ends_the_sign_in(desk: Desk) -> None:
    async with desk.opens("calls", "supervisor", name="leaving") as page:
        [cookie] = await page.context.cookies()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await page.context.cookies() == []
        # Nor is the token good for anything that somebody has kept.
        await page.context.add_cookies(
            [{"name": cookie["name"], "value": cookie["value"], "url": desk.url}]
        )
        await page.goto(f"{desk.url}/calls")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
