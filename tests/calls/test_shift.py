"""A supervisor's shift at the console, over live calls in both dialects, in a real browser.

Each step's effect is looked for where it counts: at the caller's ear, on the page, on a second
supervisor's page, and in the audit. One round does every step once; rounds take turns at the
dialects and at the calls' nodes, while the pages stay with one node. The nightly shift repeats
rounds for ``SHIFT_MINUTES`` (30).
"""

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser, Locator, Page, expect
from playwright.async_api import Error as PlaywrightError

from bridge.audio.wav import write_wav
from bridge.store.local import LocalRedis
from tests.audio.signals import tone
from tests.calls.shift import DIALECTS, Office, Wire, console_page, heap_bytes, shift_office
from tests.calls.shift_diary import Diary, Step
from tests.calls.shift_ear import (
    ANSWERS,
    ASKS,
    BRIEFING,
    EXACTLY,
    GOES_ON,
    GREETING,
    NOTE,
    PERSON_HZ,
    Ear,
    has_words,
    is_busy,
    spoken,
)
from tests.support.browser import keep_screenshot, open_browser, until_true
from tests.support.gateways import CallsInRedis, Gateway
from tests.support.person import Person, a_person
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import RATE_HZ, VOICE_HZ
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.browser,
    pytest.mark.sip,
    pytest.mark.redis,
    pytest.mark.speech,
    pytest.mark.slow,
]

CALLER_HZ = 700.0
SUMMARY = "They get a second parcel."
MOST_GROWTH_BYTES = 8_000_000
DISTURBED = 2
"""Rounds in which the page is loaded anew, and a node dies: one of each dialect."""
DONE = re.compile(r"done|over, [1-9]\d* frames")
"""The result of an action that was carried out, or of audio that flowed."""


@pytest.fixture(scope="module")
def office(redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with shift_office(redis.url, tmp_path_factory.mktemp("office")) as office:
        yield office


class Shift:
    """Eve at her desk, Bob at his, and whoever calls.

    Args:
        office: with its gateways.
        page: Eve's; bobs: the second supervisor's.
        wire: between Eve's browser and the console.
    """

    def __init__(self, office: Office, page: Page, bobs: Page, wire: Wire, diary: Diary) -> None:
        self.office, self.page, self.bobs, self.wire, self.diary = office, page, bobs, wire, diary
        self.drawer = page.locator("#drawer")
        self.dialog = page.get_by_role("dialog")
        self.listening = self.drawer.locator(".listening b")

    def ear(self, caller: RtpCaller) -> Ear:
        return Ear(caller, self.diary.found, self.office.directory)

    async def button(self, action: str) -> Locator:
        """Return an action's button, wherever it stands."""
        button = self.drawer.locator(f"[data-action={action}]")
        await expect(button).to_be_attached()
        if not await button.is_visible():
            await self.drawer.get_by_role("button", name="More", exact=True).click()
        return button

    async def presses(self, action: str) -> None:
        await (await self.button(action)).click()

    async def says(self, text: str) -> None:
        """Wait until the page says how Eve is heard."""
        await self.diary.reacts(f"it says: {text}", expect(self.listening).to_have_text(text))

    async def shows(self, text: str) -> None:
        """Wait until the drawer's head says so."""
        await self.diary.reacts(
            f"the head shows: {text}", expect(self.drawer.locator("header")).to_contain_text(text)
        )

    async def bob_sees(self, call_id: str, text: str) -> None:
        """Wait until the second page's list, at which nobody points, says so of a call."""
        await self.bobs.mouse.move(2, 2)
        row = self.bobs.locator(f'tr[data-key="{call_id}"]')
        await self.diary.reacts(f"Bob sees: {text}", expect(row).to_contain_text(text))

    async def agrees(self, button: str) -> None:
        """Press a dialog's button."""
        await self.dialog.get_by_role("button", name=button, exact=True).click()
        await expect(self.dialog).to_have_count(0)

    # What is done to one call

    async def opens(self, call_id: str) -> None:
        row = self.page.locator(f'tr[data-key="{call_id}"]')
        await self.diary.reacts("the call is in the list", expect(row).to_be_visible())
        await row.click()
        await self.page.mouse.move(2, 2)
        await self.diary.reacts(
            "its words stream",
            expect(self.drawer.get_by_role("log")).to_contain_text("Thank you for calling"),
        )

    async def listens(self, call_id: str, caller: RtpCaller, ear: Ear) -> None:
        await self.presses("listen")
        await self.says("You are listening. Nobody on the call knows.")
        await self.bob_sees(call_id, "1 watching")
        await ear.hears_words(GREETING)
        ear.from_now()
        caller.speak(spoken(ASKS))
        await self.is_played("Caller")
        await self.is_played("AI")
        await ear.hears_words(ANSWERS, lambda: caller.speak(spoken(ASKS)))
        await expect(self.drawer.locator(".turn.agent").nth(1)).to_be_visible()

    async def is_played(self, of: str) -> None:
        """Wait until the page plays a voice to Eve."""
        meter = f"document.querySelector('meter[aria-label=\"Level of the {of}\"]')"
        await self.diary.reacts(f"Eve hears: {of}", until_true(self.page, f"{meter}.value > 0.01"))

    async def coaches(self, ear: Ear) -> None:
        ear.from_now()
        await self.drawer.locator("textarea").fill(NOTE)
        await self.drawer.get_by_label("Apply now").check()
        await self.drawer.get_by_role("button", name="Whisper", exact=True).click()
        note = self.drawer.locator(".turn.supervisor").last
        await self.diary.reacts("the note is shown", expect(note).to_contain_text(NOTE))
        await ear.hears_words(GOES_ON)
        await ear.heard_no_words(NOTE)
        ear.from_now()
        await self.drawer.locator("textarea").fill(EXACTLY)
        await self.drawer.get_by_role("button", name="Say exactly").click()
        await self.agrees("Say it")
        await ear.hears_words(EXACTLY)

    async def takes_over(self, call_id: str, ear: Ear) -> None:
        await self.presses("take_over")
        await self.agrees("Take over")
        await self.shows("you have the caller")
        await self.says("The caller hears you. The AI is silent.")
        await ear.hears_supervisor_again()
        await self.bob_sees(call_id, "held by eve")
        await self.bobs.locator(f'tr[data-key="{call_id}"]').click()
        await self.bobs.mouse.move(2, 2)
        await self.bobs.locator("#drawer [data-action=whisper]").wait_for()
        await self.bobs.locator("#drawer [data-action=end]").wait_for()

    async def mutes(self, call_id: str, ear: Ear) -> None:
        await self.presses("mute")
        await self.says("You are muted: nobody hears you.")
        ear.from_now()
        await ear.hears_no_supervisor()
        await expect(self.bobs.locator("#drawer header")).to_contain_text("held by eve, muted")
        await self.presses("mute")
        await self.says("The caller hears you. The AI is silent.")
        await ear.hears_supervisor_again()

    async def holds(self, ear: Ear) -> None:
        await self.presses("hold")
        await self.says("The caller is on hold: they hear tones, not you.")
        ear.from_now()
        await ear.hears_hold()
        await expect(self.bobs.locator("#drawer header")).to_contain_text("held by eve, on hold")
        await self.presses("hold")
        await self.says("The caller hears you. The AI is silent.")
        await ear.hears_supervisor_again()

    async def joins(self, caller: RtpCaller, ear: Ear) -> None:
        """Three-way: muted, the caller is answered by the agent; heard, both are there at once."""
        await self.presses("join")
        await self.says("The caller and the AI hear you.")
        await self.shows("you are in the call")
        ear.from_now()
        await ear.hears_both()
        await self.presses("mute")
        await self.says("You are muted: nobody hears you.")
        ear.from_now()
        await ear.hears_no_supervisor(600)
        await self.until_quiet(ear)
        ear.from_now()
        caller.speak(spoken(ASKS))
        await ear.hears_words(ANSWERS, lambda: caller.speak(spoken(ASKS)))
        await self.presses("mute")
        await self.says("The caller and the AI hear you.")
        await ear.hears_supervisor_again()

    async def until_quiet(self, ear: Ear) -> None:
        """Wait until a second of what the caller hears is silence."""

        def found(sound: np.ndarray[tuple[int], np.dtype[np.int16]]) -> bool:
            return len(sound) > RATE_HZ and bool(np.abs(sound[-RATE_HZ:]).max() < 500)

        await ear.hears("silence", found)

    async def loses_connection(self, ear: Ear) -> None:
        """The wire is cut until the caller waits; nobody does anything about it."""
        self.wire.cut()
        try:
            await self.says("Your microphone is not connected: nobody hears you.")
            ear.from_now()
            await ear.hears_hold()
        finally:
            self.wire.mend()
        await self.says("The caller hears you. The AI is silent.")
        await ear.hears_supervisor_again()

    async def reloads(self, ear: Ear) -> None:
        """The page is loaded anew while it has the caller."""
        await self.page.reload()
        await self.shows("you have the caller")
        ear.from_now()
        await ear.hears_hold()
        await self.presses("talk")
        await self.agrees("Connect")
        await self.says("The caller hears you. The AI is silent.")
        await ear.hears_supervisor_again()

    async def hands_back(self, ear: Ear) -> None:
        await self.presses("hand_back")
        await self.dialog.get_by_label("What did you agree on?").fill(SUMMARY)
        ear.from_now()
        await self.agrees("Hand back")
        await ear.hears_words(GOES_ON)
        ear.from_now()
        await ear.hears_no_supervisor()
        await expect(self.drawer.get_by_role("log")).to_contain_text("The agent goes on")
        await self.says("You are listening. Nobody on the call knows.")

    async def transfers(self, caller: RtpCaller, ear: Ear, ann: Person) -> None:
        """Warm, with a briefing: the person hears it, the caller waits, then both talk."""
        await self.presses("transfer")
        await self.dialog.get_by_label("To:").fill("ann")
        await self.dialog.locator("[name=kind]").select_option("warm")
        await self.dialog.get_by_label("Briefing").fill(BRIEFING)
        ear.from_now()
        await self.agrees("Transfer")
        await ann.called()
        await ear.hears_hold()

        await ann.hears_speech()
        await self.is_briefed(ann)
        await ear.heard_no_words(BRIEFING)
        ann.rtp.press("1")
        ann.hum(PERSON_HZ)
        caller.speak(tone(CALLER_HZ, RATE_HZ, 30 * RATE_HZ, amplitude=8_000))
        await ear.hears_person()
        await ann.hears(CALLER_HZ)
        await self.shows("with a person")

    async def is_briefed(self, ann: Person) -> None:
        """The person is told the briefing; where the machine chops it, that something is said."""

        def briefed() -> bool:
            return has_words(ann.rtp.heard(0), BRIEFING)

        until_s = time.monotonic() + 20
        while not await asyncio.to_thread(briefed):
            if time.monotonic() > until_s:
                write_wav(self.office.directory / "briefing.wav", ann.rtp.heard(0), RATE_HZ)
                assert is_busy(), "the person did not hear the briefing"
                self.diary.found("the person hears a voice, chopped: the briefing")
                return
            await asyncio.sleep(0.5)
        self.diary.found("the person hears the briefing")

    async def wraps_up(self, call_id: str, node: Gateway) -> None:
        """After the call's end."""
        await self.diary.reacts(
            "the call is over", expect(self.drawer).to_contain_text("This call is over.")
        )
        await self.presses("wrap_up")
        await self.dialog.get_by_label("What came of it").select_option("second_parcel")
        await self.dialog.get_by_label("Note").fill("Second parcel sent.")
        await self.agrees("Save")
        await expect(self.page.locator("#said")).to_contain_text("Wrap-up saved")
        record = await node.record_of(call_id)

        async def written() -> bool:
            again = await node.record_of(call_id)
            return bool((again.get("wrap_up") or {}).get("code") == "second_parcel")

        await wait_until(written, f"no wrap-up in the record: {record.get('wrap_up')}")
        self.diary.found("the record has the wrap-up")

    async def is_audited(self, call_id: str, wanted: list[str]) -> None:
        """Wait until the audit has each action twice: asked for, then done, or heard and over."""
        entries: list[tuple[str, str, str]] = []

        def missing() -> Counter[str]:
            asked = Counter(act for who, act, how in entries if (who, how) == ("eve", "asked"))
            done = Counter(act for who, act, how in entries if who == "eve" and DONE.fullmatch(how))
            return Counter(wanted) - (asked & done)

        async def complete() -> bool:
            entries[:] = await self.office.audited(call_id)
            return not missing()

        try:
            await wait_until(complete)
        except AssertionError:
            raise AssertionError(f"{missing()} not audited: {entries}") from None
        for action, times in Counter(wanted).items():
            self.diary.found(f"audited, {times} times asked and done: {action}")

    async def settles(self) -> None:
        """Leave no dialog open, and the caller neither muted nor on hold, for the steps to come."""
        while await self.dialog.count():
            await self.dialog.get_by_role("button", name="Cancel").click()
        head = await self.drawer.locator("header").inner_text()
        for word, action in (("muted", "mute"), ("on hold", "hold")):
            if word in head:
                await self.presses(action)


async def a_round(shift: Shift, number: int, *, disturbed: bool) -> None:
    """Work one call from its ring to its wrap-up, while others go on."""
    office, diary = shift.office, shift.diary
    # GA at the pages' node, beta at the other one; then the other way round.
    node = office.nodes[(number + number // 2) % 2]
    dialect, other = DIALECTS[number % 2], DIALECTS[1 - number % 2]
    step = partial(diary.step, f"{dialect} at {node.node}")
    async with AsyncExitStack() as people:
        calls = await people.enter_async_context(CallsInRedis(office.redis_url))
        caller = await people.enter_async_context(RtpCaller(node.sip_port))
        ann = await people.enter_async_context(a_person(node.sip_port, office.ann_port))
        others = [
            await people.enter_async_context(RtpCaller(each.sip_port)) for each in office.nodes
        ]
        known: list[str] = []
        async with step("two others call") as begun:
            await others_call(calls, others, other, known)
        if begun.failure:
            return
        async with step("watch"):
            assert await caller.call(dialect) == 200
            call_id = await calls.until_another(known)
            await shift.opens(call_id)
        ear = shift.ear(caller)
        async with step("listen"):
            await shift.listens(call_id, caller, ear)
        async with step("whisper, say"):
            await shift.coaches(ear)
        async with step("take over"):
            await shift.takes_over(call_id, ear)
        async with step("mute"):
            await shift.mutes(call_id, ear)
        async with step("hold"):
            await shift.holds(ear)
        async with step("lost connection"):
            await shift.loses_connection(ear)
        if disturbed:
            async with step("reload"):
                await shift.reloads(ear)
        async with step("three-way"):
            await shift.joins(caller, ear)
        async with step("from three-way to alone, hand back"):
            await shift.presses("take_over")
            await shift.says("The caller hears you. The AI is silent.")
            await ear.hears_supervisor_again()
            await shift.hands_back(ear)
        async with step("warm transfer"):
            await shift.transfers(caller, ear, ann)
        async with step("wrap up after the end"):
            await caller.hang_up()
            await shift.wraps_up(call_id, node)
        async with step("audit"):
            acts = ["listen", "whisper", "say", "take_over", "talk", "mute", "mute", "hold", "hold"]
            acts += ["join", "mute", "mute", "take_over", "hand_back", "transfer", "wrap_up"]
            await shift.is_audited(call_id, acts)
        step = partial(diary.step, f"{other} at {office.nodes[0].node}")
        async with step("a caller hangs up while the supervisor talks"):
            await ends_by_itself(shift, known[0], others[0])
        if disturbed:
            step = partial(diary.step, f"{other} at {office.nodes[1].node}")
            async with step("a node dies under a call that is listened to, and starts anew"):
                await node_dies(shift, known[1])


async def others_call(
    calls: CallsInRedis, others: list[RtpCaller], dialect: str, known: list[str]
) -> None:
    """Have one more caller at each node, once the calls of the round before are over."""

    async def idle() -> bool:
        return not await calls.reader.active()

    await wait_until(idle, "a call of the round before goes on")
    for each in others:
        assert await each.call(dialect) == 200
        known.append(await calls.until_another(known))


async def ends_by_itself(shift: Shift, call_id: str, caller: RtpCaller) -> None:
    """The call of somebody who hangs up while the supervisor has them."""
    await shift.opens(call_id)
    await shift.takes_over(call_id, shift.ear(caller))
    await caller.hang_up()
    await shift.diary.reacts(
        "the call is over", expect(shift.drawer).to_contain_text("This call is over.")
    )
    await expect(shift.drawer.locator(".listening")).to_be_hidden()
    await shift.is_audited(call_id, ["take_over"])


async def node_dies(shift: Shift, call_id: str) -> None:
    """Eve hears a call of the other node, which is killed; the page says so, and goes on."""
    await shift.opens(call_id)
    await shift.presses("listen")
    await shift.says("You are listening. Nobody on the call knows.")
    await asyncio.to_thread(shift.office.restart)
    await shift.diary.reacts(
        "the dead node's call is over", expect(shift.drawer).to_contain_text("This call is over.")
    )
    await expect(shift.page.locator("#live-badge")).to_have_attribute("data-state", "live")


async def a_shift(
    office: Office, browser: Browser, folder: Path, *, minutes: float = 0, rounds: int = 2
) -> Diary:
    """Work until the time is over, but so many rounds at least; return what was done."""
    diary, began_s = Diary(), time.monotonic()
    wire = Wire(int(office.nodes[0].http.rsplit(":", 1)[1]))
    heaps: list[int] = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(await wire.open())
        page = await stack.enter_async_context(console_page(browser, office, wire.url, "eve"))
        bobs = await stack.enter_async_context(
            console_page(browser, office, office.nodes[0].http, "bob")
        )
        shift = Shift(office, page, bobs, wire, diary)

        async def recover(step: Step) -> None:
            with suppress(PlaywrightError, AssertionError):
                name = f"shift-{len(diary.steps)}-{step.call}-{step.name}"
                await keep_screenshot(page, name, folder, whole=False)
                await shift.settles()

        diary.recover = recover
        for number in count():
            disturbed = number < DISTURBED
            async with diary.step("all calls", "a round from begin to end"):
                await a_round(shift, number, disturbed=disturbed)
            heaps.append(await heap_bytes(page))
            longest_ms = float(await page.evaluate("window.longest_ms"))
            print(
                diary.told(heaps=heaps, longest_task_ms=longest_ms, rounds=number + 1), flush=True
            )
            if number + 1 >= rounds and time.monotonic() - began_s > minutes * 60:
                break
    settled = heaps[DISTURBED - 1 :]  # the page was loaded anew in those before
    assert settled[-1] - settled[0] < MOST_GROWTH_BYTES, heaps
    return diary


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    """A browser whose microphone hums, with pauses: a steady hum is damped as noise."""
    hum = tone(VOICE_HZ, 48_000, 38_400, amplitude=8_000)
    write_wav(tmp_path / "microphone.wav", np.pad(hum, (0, 19_200)), 48_000)
    async with open_browser(tmp_path / "microphone.wav") as browser:
        yield browser


@pytest.mark.timeout(1_800)
async def test_each_step_of_a_shift_is_heard_by_the_caller_and_audited(
    office: Office, browser: Browser, tmp_path: Path
) -> None:
    diary = await a_shift(office, browser, tmp_path)
    assert diary.failures == []


@pytest.mark.timeout(7_200)
async def test_a_shift_of_half_an_hour(office: Office, browser: Browser, tmp_path: Path) -> None:
    minutes = float(os.environ.get("SHIFT_MINUTES", "30"))
    diary = await a_shift(office, browser, tmp_path, minutes=minutes)
    assert diary.failures == []
