"""A supervisor at the console: a real browser with a microphone, a real call over SIP and RTP.

What the browser hears is taken off its WebSocket, what the caller hears off the wire; tones tell
who is who.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, WebSocket, expect

from bridge.audio.supervisor_frames import LISTEN_HZ
from bridge.audio.wav import write_wav
from bridge.store.local import LocalRedis
from bridge.telephony.taps import AGENT, CALLER
from tests.audio.signals import level_at_db, loudest_other_db, tone
from tests.support.browser import open_browser, open_page, until_true
from tests.support.console_user import sign_in
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.processes import simulating, write_yaml
from tests.support.rtp_caller import RtpCaller
from tests.support.supervisor import RATE_HZ, VOICE_HZ, heard_by
from tests.support.supervisor_frames import decode_listen

pytestmark = [
    pytest.mark.browser,
    pytest.mark.sip,
    pytest.mark.redis,
    pytest.mark.speech,
    pytest.mark.slow,
]

CALLER_HZ = 440.0
GREETING = "Hello, this is a machine that speaks for quite a while before it is done with that."
SCENARIO = {
    "name": "supervised",
    "words_per_minute": 180,
    "greeting": GREETING,
    "fallback": "I am back.",
    "rules": [{"hears": ["where is my parcel"], "say": "It comes tomorrow."}],
}
_INSERTED = """
    window.seen = {};
    new MutationObserver((all) => all.forEach(({addedNodes}) => addedNodes.forEach((node) => {
        const key = node.dataset?.key;
        if (key && !(key in window.seen)) window.seen[key] = Date.now();
    }))).observe(document, {childList: true, subtree: true});
"""
"""Notes when each call's row came into the page."""


@pytest.fixture
def gateway(redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("gateway")
    dialplans = write_dialplan(directory / "dialplans", {**PLAIN_AGENT, "greeting": GREETING})
    scenario = write_yaml(directory / "supervised.yaml", SCENARIO)
    with (
        simulating(directory, scenario) as url,
        serving(
            *(directory, url, dialplans), redis_url=redis.url, console={"enabled": True}
        ) as made,
    ):
        yield made


@asynccontextmanager
async def console_page(gateway: Gateway, redis_url: str, folder: Path) -> AsyncIterator[Page]:
    """Open the live list in a browser whose microphone hums."""
    hum = tone(VOICE_HZ, 48_000, 48_000, amplitude=8_000)
    write_wav(folder / "microphone.wav", hum, 48_000)
    token, _ = await sign_in(redis_url, "eve", "supervisor")
    async with (
        open_browser(folder / "microphone.wav") as browser,
        open_page(browser, f"{gateway.http}/calls", cookies={"bridge_session": token}) as page,
    ):
        await page.evaluate(_INSERTED)
        await expect(page.locator("#live-badge")).to_have_attribute("data-state", "live")
        yield page


async def test_call_is_seen_heard_whispered_to_taken_over_and_ended(
    gateway: Gateway, redis: LocalRedis, tmp_path: Path
) -> None:
    async with (
        CallsInRedis(redis.url) as calls,
        console_page(gateway, redis.url, tmp_path) as page,
        RtpCaller(gateway.sip_port) as caller,
    ):
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        row = page.locator(f'tr[data-key="{call_id}"]')
        await expect(row).to_be_visible()
        began_ms = int((await calls.reader.call(call_id) or {})["started_at"])
        seen_ms = await page.evaluate("([id]) => window.seen[id]", [call_id]) - began_ms
        print(f"the call was seen {seen_ms:.0f} ms after its INVITE")
        assert seen_ms < 1_500  # 1 s on a machine that has nothing else to do

        # Opened by keys, its words stream.
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        drawer = page.locator("#drawer")
        await expect(drawer.get_by_role("log")).to_contain_text("machine that speaks")

        # Listened to: the caller's tone and the agent's voice, each in its lane.
        frames: list[bytes] = []

        def tap(socket: WebSocket) -> None:
            socket.on("framereceived", keep)

        def keep(frame: bytes | str) -> None:
            if isinstance(frame, bytes):
                frames.append(frame)

        page.on("websocket", tap)
        pressed_s = time.monotonic()
        await page.keyboard.press("m")
        await expect(drawer).to_contain_text("You are listening.")
        await until_true(page, "document.querySelector('.listening').dataset.frames > 5")
        print(f"listening after {time.monotonic() - pressed_s:.2f} s")
        caller.speak(tone(CALLER_HZ, RATE_HZ, RATE_HZ, amplitude=8_000))
        await until_true(page, "document.querySelector('.listening').dataset.frames > 120")
        await expect(row).to_contain_text("1 listening")
        stereo = np.concatenate([decode_listen(each).stereo for each in frames])
        lanes = {"caller": stereo[:, CALLER], "agent": stereo[:, AGENT]}
        assert np.abs(lanes["agent"]).max() > 1_000
        assert level_at_db(lanes["caller"], CALLER_HZ, LISTEN_HZ) > 50
        assert loudest_other_db(lanes["caller"], CALLER_HZ, LISTEN_HZ) < level_at_db(
            lanes["caller"], CALLER_HZ, LISTEN_HZ
        )

        # Whispered to: a note in the transcript, and the agent speaks again.
        await page.keyboard.press("w")
        await page.keyboard.type("Offer 10 %.")
        await drawer.get_by_label("Apply now").check()
        await drawer.get_by_role("button", name="Whisper", exact=True).click()
        note = drawer.locator(".turn.supervisor")
        await expect(note).to_contain_text("eve")
        await expect(note).to_contain_text("Offer 10 %.")
        await expect(drawer.locator(".turn.agent").nth(1)).to_be_visible(timeout=20_000)

        # Taken over: the dialog has heard the microphone before; the caller hears it then.
        await drawer.locator("h2").focus()
        await page.keyboard.press("Shift+T")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("The AI stops at once")
        await until_true(page, "document.querySelector('dialog meter').value > 0.1")
        await dialog.get_by_role("button", name="Take over").click()
        await expect(drawer).to_contain_text("you have the caller")
        taken = len(caller.heard)
        await caller.until(lambda: len(caller.heard) > taken + 125, 10.0)
        talk = heard_by(caller.heard[taken + 50 :])
        level = level_at_db(talk, VOICE_HZ, RATE_HZ)
        others = loudest_other_db(talk, VOICE_HZ, RATE_HZ)
        print(f"microphone at {level:.1f} dB, others at {others:.1f} dB")
        assert level > 40  # the browser takes a steady hum for noise, and damps it
        assert others < level - 10

        # Handed back with a summary, then ended for a reason.
        await drawer.get_by_role("button", name="Hand back").click()
        await dialog.get_by_label("What did you agree on?").fill("They get a refund.")
        await dialog.get_by_role("button", name="Hand back").click()
        await expect(drawer.get_by_role("log")).to_contain_text("The agent goes on")
        await page.keyboard.press("Shift+E")
        await dialog.get_by_label("How").select_option("now")
        await dialog.get_by_label("Reason").fill("done")
        await dialog.get_by_role("button", name="End the call").click()
        await expect(drawer).to_contain_text("This call is over.")
        await caller.until(caller.ended.is_set, 10.0)

        # And looked at afterwards.
        await gateway.record_of(call_id)
        await drawer.get_by_role("link", name="Open its history").click()
        await expect(page.locator("#call")).to_contain_text("ended by supervisor")
        await expect(page.locator("#call")).to_contain_text("Who acted")
        await until_true(page, "document.querySelector('audio').duration > 1")
    record = await gateway.record_of(call_id)
    acted = [each["action"] for each in record["supervised"]]
    assert acted == ["whisper", "take_over", "hand_back", "end"]
