"""A supervisor at the console: a real browser with a microphone, real calls over SIP and RTP.

What the browser hears is taken off its WebSocket, what the caller hears off the wire; tones tell
who is who.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from playwright.async_api import Page, expect

from bridge.audio.resample import PHONE_HZ, downsample_whole
from bridge.audio.wav import write_wav
from bridge.replay.script.document import load_script
from bridge.softphone.sip_message import audio_sdp
from bridge.speech.synthesis import Synthesizer
from bridge.store.local import LocalRedis
from bridge.telephony.taps import AGENT, CALLER
from tests.audio.signals import level_at_db, loudest_other_db, tone
from tests.support.browser import open_browser, open_page, until_true
from tests.support.console_user import sign_in
from tests.support.gateways import PLAIN_AGENT, CallsInRedis, Gateway, serving, write_dialplan
from tests.support.person import Phone, a_person, hears
from tests.support.ports import free_port
from tests.support.processes import simulating, write_yaml
from tests.support.rtp import G722_TYPE, RtpPeer
from tests.support.rtp_caller import RtpCaller, header
from tests.support.sip import SipPeer
from tests.support.supervisor import RATE_HZ, VOICE_HZ, heard_by
from tests.support.supervisor_frames import decode_listen
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.sip,
    pytest.mark.redis,
    pytest.mark.speech,
    pytest.mark.slow,
]

CALLER_HZ = 440.0
WIDE_HZ = 16_000
WIDE_CALLER_HZ, WIDE_VOICE_HZ = 5_000.0, 6_100.0
"""Tones that G.722 carries, and G.711 doesn't."""
PERSON_HZ = 1000.0
GREETING = "Hello, this is a machine that speaks for quite a while before it is done with that."
WANTS = "My order has the wrong size."
SUMMARY = "Order 4711, the size is wrong."
SCENARIO = {
    "name": "supervised",
    "words_per_minute": 180,
    "greeting": GREETING,
    "fallback": "I am back.",
    "rules": [
        {"hears": ["where is my parcel"], "say": "It comes tomorrow."},
        {
            "hears": [WANTS],
            "say": "One moment.",
            "tool": {"name": "transfer_to_human", "arguments": {"summary": SUMMARY}},
            "then": "Nobody is free.",
        },
    ],
}
_INSERTED = """
    window.seen = {};
    new MutationObserver((all) => all.forEach(({addedNodes}) => addedNodes.forEach((node) => {
        const key = node.dataset?.key;
        if (key && !(key in window.seen)) window.seen[key] = Date.now();
    }))).observe(document, {childList: true, subtree: true});
"""
"""Notes when each call's row came into the page."""


@dataclass
class Office:
    """A gateway, and the phones that it may call."""

    gateway: Gateway
    redis_url: str
    ann_port: int
    eves_port: int

    @property
    def eves_phone(self) -> str:
        return f"sip:eve@127.0.0.1:{self.eves_port}"


@pytest.fixture(scope="module")
def office(redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One gateway for all tests; each of them leaves no call behind."""
    with an_office(redis, tmp_path_factory.mktemp("gateway")) as opened:
        yield opened


@contextmanager
def an_office(redis: LocalRedis, directory: Path, **sip: object) -> Iterator[Office]:
    """Run a gateway, with more settings of SIP."""
    ann_port, eves_port = free_port(), free_port()
    agent = {**PLAIN_AGENT, "greeting": GREETING}
    dialplans = write_dialplan(directory / "dialplans", agent, called="support")
    write_dialplan(
        dialplans,
        {**agent, "tools": [{"name": "transfer_to_human"}]},
        name="desk",
        called="desk",
        consent={"disclosure": "This call is recorded.", "consent": "notice"},
        recording={"keep_days": {"audio": 30}},
        handoff={
            "targets": {
                "ann": {"to": f"sip:ann@127.0.0.1:{ann_port}", "mode": "warm", "ring_s": 60}
            },
            "announce": "A call.",
            "ask": "Press one.",
            "accept": {"by": "key"},
        },
    )
    scenario = write_yaml(directory / "supervised.yaml", SCENARIO)
    with (
        simulating(directory, scenario) as url,
        serving(
            *(directory, url, dialplans),
            redis_url=redis.url,
            console={"enabled": True, "scripts_dir": str(directory / "scripts")},
            sip={"supervisor_phones": ["sip:eve@*"], **sip},
        ) as gateway,
    ):
        yield Office(gateway, redis.url, ann_port, eves_port)


@asynccontextmanager
async def console_page(
    office: Office,
    folder: Path,
    path: str = "calls",
    role: str = "supervisor",
    *,
    voice_hz: float = VOICE_HZ,
) -> AsyncIterator[Page]:
    """Open a page in a browser whose microphone hums."""
    hum = tone(voice_hz, 48_000, 48_000, amplitude=8_000)
    write_wav(folder / "microphone.wav", hum, 48_000)
    token, _ = await sign_in(office.redis_url, "eve", role)
    async with (
        open_browser(folder / "microphone.wav") as browser,
        open_page(
            browser, f"{office.gateway.http}/{path}", cookies={"bridge_session": token}
        ) as page,
    ):
        await page.evaluate(_INSERTED)
        await expect(page.locator("#live-badge")).to_have_attribute("data-state", "live")
        yield page


def frames_of(page: Page) -> list[bytes]:
    """Return the audio that a page gets from now on, in a list that grows."""
    frames: list[bytes] = []

    def keep(frame: bytes | str) -> None:
        if isinstance(frame, bytes):
            frames.append(frame)

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    return frames


def lanes_of(frames: list[bytes]) -> dict[str, npt.NDArray[np.int16]]:
    """Return what both sides said in a page's audio."""
    stereo = np.concatenate([decode_listen(each).stereo for each in frames])
    return {"caller": stereo[:, CALLER], "agent": stereo[:, AGENT]}


async def test_call_is_seen_heard_whispered_to_taken_over_and_ended(
    office: Office, tmp_path: Path
) -> None:
    gateway = office.gateway
    async with (
        CallsInRedis(office.redis_url) as calls,
        console_page(office, tmp_path) as page,
        RtpCaller(gateway.sip_port) as caller,
    ):
        assert await caller.call() == 200
        call_id = await calls.until_active(gateway.node)
        row = page.locator(f'tr[data-key="{call_id}"]')
        await expect(row).to_be_visible()

        # Opened by keys, its words stream.
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        drawer = page.locator("#drawer")
        await expect(drawer.get_by_role("log")).to_contain_text("machine that speaks")

        # Listened to: the caller's tone and the agent's voice, each in its lane.
        frames = frames_of(page)
        pressed_s = time.monotonic()
        await page.keyboard.press("m")
        await expect(drawer).to_contain_text("You are listening.")
        await until_true(page, "document.querySelector('.listening').dataset.frames > 5")
        print(f"listening after {time.monotonic() - pressed_s:.2f} s")
        caller.speak(tone(CALLER_HZ, RATE_HZ, RATE_HZ, amplitude=8_000))
        await until_true(page, "document.querySelector('.listening').dataset.frames > 120")
        await expect(row).to_contain_text("1 watching")
        lanes = lanes_of(frames)
        assert np.abs(lanes["agent"]).max() > 1_000
        assert level_at_db(lanes["caller"], CALLER_HZ, PHONE_HZ) > 50
        assert loudest_other_db(lanes["caller"], CALLER_HZ, PHONE_HZ) < level_at_db(
            lanes["caller"], CALLER_HZ, PHONE_HZ
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
        await expect(drawer).to_contain_text("The caller hears you. The AI is silent.")
        taken = len(caller.heard)
        await caller.until(lambda: len(caller.heard) > taken + 125)
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
        await caller.until(caller.ended.is_set)

        # And looked at afterwards.
        await gateway.record_of(call_id)
        await drawer.get_by_role("link", name="Open its history").click()
        await expect(page.locator("#call")).to_contain_text("ended by supervisor")
        await expect(page.locator("#call")).to_contain_text("Who acted")
        await until_true(page, "document.querySelector('audio').duration > 1")
    record = await gateway.record_of(call_id)
    acted = [each["action"] for each in record["supervised"]]
    assert acted == ["whisper", "take_over", "hand_back", "end"]


async def test_wideband_call_is_heard_and_taken_over_at_16_khz(
    redis: LocalRedis, tmp_path: Path
) -> None:
    wide = {"addresses": "127.0.0.2", "codecs": ["G722", "PCMU"]}
    with an_office(redis, tmp_path, trunks={"wide": wide, "narrow": "127.0.0.1"}) as office:
        async with (
            CallsInRedis(office.redis_url) as calls,
            console_page(office, tmp_path, voice_hz=WIDE_VOICE_HZ) as page,
            SipPeer(office.gateway.sip_port, host="127.0.0.2") as sip,
            RtpPeer(G722_TYPE) as rtp,
        ):
            caller = Phone(rtp, sip.call("support", audio_sdp(rtp.port, (G722_TYPE,))))
            assert caller.dialog is not None
            rtp.stream((await caller.dialog.final()).media_port)
            call_id = await calls.until_active(office.gateway.node)
            await expect(page.locator(f'tr[data-key="{call_id}"]')).to_be_visible()
            frames, drawer = frames_of(page), page.locator("#drawer")
            for key in ("j", "Enter", "m"):
                await page.keyboard.press(key)
            await expect(drawer).to_contain_text("You are listening.")
            caller.hum(WIDE_CALLER_HZ)
            await wait_until(
                lambda: (
                    len(frames) > 25
                    and hears(lanes_of(frames[-25:])["caller"], WIDE_CALLER_HZ, WIDE_HZ)
                ),
                "the page does not hear the caller",
            )
            assert {len(frame) for frame in frames} == {8 + 4 * WIDE_HZ // 50}
            await page.keyboard.press("Shift+T")
            dialog = page.get_by_role("dialog")
            await until_true(page, "document.querySelector('dialog meter').value > 0.1")
            await dialog.get_by_role("button", name="Take over").click()
            await expect(drawer).to_contain_text("The caller hears you. The AI is silent.")
            await caller.hears(WIDE_VOICE_HZ)
            assert (await caller.dialog.bye()).status == 200
            await expect(drawer).to_contain_text("This call is over.")


async def test_call_is_listened_to_by_phone_and_transferred(office: Office, tmp_path: Path) -> None:
    async with (
        CallsInRedis(office.redis_url) as calls,
        console_page(office, tmp_path, role="admin") as page,
        RtpCaller(office.gateway.sip_port) as caller,
        a_person(office.gateway.sip_port, office.eves_port) as eve,
        a_person(office.gateway.sip_port, office.ann_port) as ann,
    ):
        assert await caller.call("desk") == 200
        call_id = await calls.until_active(office.gateway.node)
        await page.locator(f'tr[data-key="{call_id}"]').click()
        drawer, dialog = page.locator("#drawer"), page.get_by_role("dialog")

        # Heard by nobody whom another supervisor would see.
        await drawer.get_by_role("button", name="More", exact=True).click()
        await drawer.get_by_role("button", name="Listen privately").click()
        await expect(drawer.locator(".listening")).to_contain_text("and no other supervisor")
        await until_true(page, "document.querySelector('.listening').dataset.frames > 30")
        assert (await calls.reader.call(call_id) or {}).get("watchers", "0") == "0"
        await drawer.get_by_role("button", name="Stop listening").click()
        await expect(drawer.locator(".listening")).to_be_hidden()

        # Heard on a phone of one's own: the bridge calls it.
        await drawer.get_by_role("button", name="More", exact=True).click()
        await drawer.locator("[data-action=phone]").click()
        await dialog.get_by_label("Your phone").fill(office.eves_phone)
        await dialog.get_by_role("button", name="Call my phone").click()
        await eve.called()
        caller.speak(tone(CALLER_HZ, RATE_HZ, 60 * RATE_HZ, amplitude=8_000))
        await eve.hears_speech()
        await expect(drawer.locator("header")).to_contain_text("you listen")
        await eve.call.bye()
        eve.call.ended.set()
        await expect(drawer.locator("header")).not_to_contain_text("you listen")

        # Handed to a person, who is asked first: the caller hears meanwhile that they wait.
        await drawer.get_by_role("button", name="More", exact=True).click()
        await drawer.locator("[data-action=transfer]").click()
        await expect(dialog.locator("datalist option")).to_have_attribute("value", "ann")
        await dialog.get_by_label("To:").fill("ann")
        await dialog.locator("[name=kind]").select_option("warm")
        await dialog.get_by_role("button", name="Transfer").click()
        await expect(drawer.get_by_role("log")).to_contain_text("Transfer to ann begins")
        await ann.called()
        await ann.hears_speech()
        waiting = len(caller.heard)
        await caller.until(lambda: any(each.loud for each in caller.heard[waiting:]))
        assert not hears(ann.heard, CALLER_HZ)  # nobody is put through unasked
        ann.rtp.press("1")
        ann.hum(PERSON_HZ)
        await ann.hears(CALLER_HZ)
        await caller.until(lambda: hears(heard_by(caller.heard[-25:]), PERSON_HZ))
        await expect(drawer.get_by_role("log")).to_contain_text("A person has taken the call")
        await expect(drawer.locator("header")).to_contain_text("with a person")
        await caller.hang_up()
        await expect(drawer).to_contain_text("This call is over.")
    record = await office.gateway.record_of(call_id)
    assert [(each["target"], each["result"]) for each in record["handoffs"]] == [
        ("ann", "completed")
    ]
    assert [each["action"] for each in record["supervised"]] == ["transfer"]


async def transfer_cold(page: Page, call_id: str) -> None:
    """Open a live call and send its caller to `ann`."""
    await page.locator(f'tr[data-key="{call_id}"]').click()
    drawer, dialog = page.locator("#drawer"), page.get_by_role("dialog")
    await expect(drawer.get_by_role("log")).to_contain_text("machine that speaks")
    await drawer.get_by_role("button", name="More", exact=True).click()
    await drawer.locator("[data-action=transfer]").click()
    await dialog.get_by_label("To:").fill("ann")
    await dialog.locator("[name=kind]").select_option("blind")
    await dialog.get_by_role("button", name="Transfer").click()
    await expect(drawer.get_by_role("log")).to_contain_text("Transfer to ann begins")


async def test_call_is_transferred_cold_by_its_carrier_or_else_by_the_bridge(
    office: Office, tmp_path: Path
) -> None:
    gateway, moved = office.gateway, []
    async with (
        CallsInRedis(office.redis_url) as calls,
        console_page(office, tmp_path, role="admin") as page,
    ):
        drawer = page.locator("#drawer")
        log = drawer.get_by_role("log")

        # The carrier takes the REFER: the caller leaves the bridge for the target.
        async with RtpCaller(gateway.sip_port) as caller:
            caller.on_refer = lambda refer: caller.respond(refer, "202 Accepted")
            assert await caller.call("desk") == 200
            moved.append(await calls.until_active(gateway.node))
            await transfer_cold(page, moved[-1])
            await caller.until(lambda: bool(caller.refers))
            refer_to = header(caller.refers[0], "Refer-To")
            assert refer_to.startswith(f"<sip:ann@127.0.0.1:{office.ann_port}")
            caller.notify("200 OK", over=True)
            await expect(log).to_contain_text("Transfer completed")
            await expect(drawer).to_contain_text("This call is over.")
            await caller.until(caller.ended.is_set)

        # It declines: the bridge calls the target's phone, which is asked nothing.
        async with (
            RtpCaller(gateway.sip_port) as caller,
            a_person(gateway.sip_port, office.ann_port) as ann,
        ):
            await calls.until_idle(gateway.node)
            assert await caller.call("desk") == 200
            moved.append(await calls.until_active(gateway.node))
            await transfer_cold(page, moved[-1])
            await ann.called()
            caller.speak(tone(CALLER_HZ, RATE_HZ, 60 * RATE_HZ, amplitude=8_000))
            ann.hum(PERSON_HZ)
            await ann.hears(CALLER_HZ)
            await caller.until(lambda: hears(heard_by(caller.heard[-25:]), PERSON_HZ))
            await expect(drawer.locator("header")).to_contain_text("with a person")
            await caller.hang_up()
            await expect(drawer).to_contain_text("This call is over.")
    for call_id, way in zip(moved, ("blind", "bridged"), strict=True):
        record = await gateway.record_of(call_id)
        assert record["outcome"] == "transferred"
        assert [(each["action"], each["by"]) for each in record["supervised"]] == [
            ("transfer", "eve")
        ]
        (handoff,) = record["handoffs"]
        assert (handoff["target"], handoff["way"], handoff["result"]) == ("ann", way, "completed")


async def test_waiting_caller_is_accepted_and_their_call_becomes_a_script(
    office: Office, tmp_path: Path
) -> None:
    async with (
        CallsInRedis(office.redis_url) as calls,
        console_page(office, tmp_path, "queue") as page,
        RtpCaller(office.gateway.sip_port) as caller,
        a_person(office.gateway.sip_port, office.ann_port, 180) as ann,
    ):
        assert await caller.call("desk") == 200
        call_id = await calls.until_active(office.gateway.node)
        await calls.until_told(call_id, "disclosure_spoken")
        caller.speak(downsample_whole(Synthesizer("en-us", 150).say(WANTS)))
        await ann.called()  # whose phone rings

        # The summary is read first, the microphone is heard first.
        await expect(page.locator("#list .summary")).to_have_text(SUMMARY)
        await page.get_by_role("button", name="Accept", exact=True).click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text(SUMMARY)
        await until_true(page, "document.querySelector('dialog meter').value > 0.1")
        caller.speak(tone(CALLER_HZ, RATE_HZ, 60 * RATE_HZ, amplitude=8_000))
        await dialog.get_by_role("button", name="Accept and talk").click()
        drawer = page.locator("#drawer")
        await expect(drawer).to_contain_text("The caller hears you.")
        await expect(drawer.locator(".summary")).to_have_text(SUMMARY)
        await until_true(page, "document.querySelector('.listening').dataset.frames > 5")
        await expect(page.locator("#list")).to_contain_text("Nobody waits")
        taken = len(caller.heard)
        await caller.until(lambda: len(caller.heard) > taken + 125)
        talk = heard_by(caller.heard[taken + 50 :])
        level = level_at_db(talk, VOICE_HZ, RATE_HZ)
        assert level > 40  # the browser takes a steady hum for noise, and damps it
        assert loudest_other_db(talk, VOICE_HZ, RATE_HZ) < level - 10

        await drawer.get_by_role("button", name="Hand back").click()
        await dialog.get_by_label("What did you agree on?").fill("They get another size.")
        await dialog.get_by_role("button", name="Hand back").click()
        await expect(drawer.get_by_role("log")).to_contain_text("The agent goes on")
        await caller.hang_up()
        await office.gateway.record_of(call_id)

        await page.goto(f"{office.gateway.http}/history/{call_id}")
        await page.get_by_role("button", name="Make a script").click()
        said = page.locator("#said")
        await expect(said).to_contain_text("Script written: ")
        path = (await said.inner_text()).partition("Script written: ")[2]
    script = load_script(Path(path))
    assert (script.source.kind, script.target.route) == ("recorded", "desk")
    record = await office.gateway.record_of(call_id)
    assert [each["action"] for each in record["supervised"]] == ["accept", "hand_back"]


async def test_agent_accepts_and_gives_back_and_may_do_nothing_else(
    office: Office, tmp_path: Path
) -> None:
    async with (
        CallsInRedis(office.redis_url) as calls,
        console_page(office, tmp_path, "", "agent") as page,
        RtpCaller(office.gateway.sip_port) as caller,
        a_person(office.gateway.sip_port, office.ann_port, 180),
    ):
        assert await caller.call("desk") == 200
        call_id = await calls.until_active(office.gateway.node)
        await calls.until_told(call_id, "disclosure_spoken")
        caller.speak(downsample_whole(Synthesizer("en-us", 150).say(WANTS)))
        await page.get_by_role("button", name="Accept", exact=True).click()
        dialog, drawer = page.get_by_role("dialog"), page.locator("#drawer")
        await dialog.get_by_role("button", name="Accept and talk").click()
        await expect(drawer).to_contain_text("The caller hears you.")
        await until_true(page, "document.querySelector('.listening').dataset.frames > 5")
        ids = await drawer.locator("[data-action]").evaluate_all(
            "(all) => all.map((each) => each.dataset.action)"
        )
        assert set(ids) == {"mute", "hold", "hand_back", "transfer", "wrap_up", "end"}
        await dialog.or_(drawer).get_by_role("button", name="Hand back").first.click()
        await dialog.get_by_role("button", name="Hand back").click()
        await expect(drawer.locator(".listening")).to_be_hidden()
        # What came of it can be said still.
        await expect(drawer.locator("[data-action]")).to_have_count(1)
        await expect(drawer.locator("[data-action=wrap_up]")).to_be_visible()
        await caller.hang_up()
        await office.gateway.record_of(call_id)
