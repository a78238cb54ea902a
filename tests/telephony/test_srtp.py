"""SRTP by SDES: what each trunk's choice takes and refuses, and that nothing is ever plain."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import numpy as np
import pytest
import structlog

from bridge.config.sip import SipSettings
from bridge.telephony import pj_settings
from bridge.telephony.leg import LegState
from bridge.telephony.secure_media import with_usable_keys
from tests.support.sip import SipPeer
from tests.support.srtp import (
    GCM_SUITES,
    SUITES,
    SrtpContext,
    SrtpPeer,
    context,
    line,
    lines_in,
    new_key,
)
from tests.support.tls_sip import sdp
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig, running

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

STRONG, SHORT = SUITES
LOUD = 3000


def started(srtp: str, **more: object) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint whose trunk's SRTP is as said, with more settings of the test's."""
    trunk = {"addresses": "127.0.0.1", "srtp": srtp}
    return running(**{"trunks": {"carrier": trunk}, **more})


def media_port(description: str) -> int:
    found = re.search(r"^m=audio (\d+)", description, re.MULTILINE)
    assert found is not None
    return int(found[1])


def profile(description: str) -> str:
    found = re.search(r"^m=audio \d+ (\S+)", description, re.MULTILINE)
    assert found is not None
    return found[1]


async def is_loud(call: Call) -> bool:
    """Whether the caller's tone comes through within a second."""
    for _ in range(10):
        if np.abs(await call.hear(100)).max() > LOUD:
            return True
    return False


@pytest.mark.capacity
@pytest.mark.parametrize("srtp", ["optional", "required"])
@pytest.mark.parametrize("suite", [*SUITES, *GCM_SUITES])
async def test_a_secure_offer_is_answered_securely_and_both_are_heard(
    srtp: str, suite: str
) -> None:
    key = new_key(suite)
    async with started(srtp) as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        dialog = sip.call("support", sdp(media.port, "RTP/SAVP", line(7, suite, key)))
        answer = (await dialog.final()).body
        ((tag, chosen, theirs),) = lines_in(answer)
        media.speaks, media.hears = context(suite, key), context(suite, theirs)
        media.speak(media_port(answer))
        call = await rig.call_in()
        assert await is_loud(call)
        call.play_tone(700, 400)
        await wait_until(
            lambda: sum(len(set(each)) > 5 for each in media.heard) > 5,
            "the agent was not heard",
        )
        assert (await dialog.bye()).status == 200

    assert (profile(answer), tag, chosen) == ("RTP/SAVP", 7, suite)
    assert theirs != key
    assert media.unread == 0


@pytest.mark.capacity
async def test_the_far_ends_first_suite_is_taken() -> None:
    keys = {suite: new_key(suite) for suite in (*GCM_SUITES, *SUITES)}
    lines = [line(tag, *each) for tag, each in enumerate(keys.items(), 1)]
    async with started("required") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        for offered in (lines, lines[::-1]):
            dialog = sip.call("support", sdp(media.port, "RTP/SAVP", *offered))
            ((tag, suite, _),) = lines_in((await dialog.final()).body)
            assert offered[0].startswith(f"crypto:{tag} {suite} ")
            await dialog.bye()


REFUSED = {
    "plain where it is required": ("required", "RTP/AVP", []),
    "plain with a key where it is required": ("required", "RTP/AVP", [line(1, STRONG, new_key())]),
    "without a key": ("required", "RTP/SAVP", []),
    "without a key where it is optional": ("optional", "RTP/SAVP", []),
    "secure where it is off": ("off", "RTP/SAVP", [line(1, STRONG, new_key())]),
    "short key": ("required", "RTP/SAVP", [line(1, STRONG, new_key()[:-8])]),
    "short key of GCM": ("required", "RTP/SAVP", [line(1, "AEAD_AES_256_GCM", new_key())]),
    "short tag of GCM": ("required", "RTP/SAVP", [line(1, "AEAD_AES_128_GCM_8", new_key())]),
    "no base64": ("required", "RTP/SAVP", [line(1, STRONG, "?" * 40)]),
    "unknown suite": ("required", "RTP/SAVP", [line(1, "F8_128_HMAC_SHA1_80", new_key())]),
    "identified key": ("required", "RTP/SAVP", [line(1, STRONG, new_key(), "|2^20|1:4")]),
    "left plain": ("required", "RTP/SAVP", [line(1, STRONG, new_key(), " UNENCRYPTED_SRTP")]),
    "tag with a zero": ("required", "RTP/SAVP", [line(1, STRONG, new_key()).replace(":1", ":01")]),
    "no tag": ("required", "RTP/SAVP", ["crypto:"]),
    "DTLS": ("optional", "UDP/TLS/RTP/SAVP", ["setup:actpass", "fingerprint:sha-1 AA"]),
    "DTLS where it is required": ("required", "UDP/TLS/RTP/SAVP", ["setup:actpass"]),
    "DTLS beside plain": ("optional", "UDP/TLS/RTP/SAVPF", ["x\r\nm=audio 40002 RTP/AVP 0"]),
    "text by DTLS": ("optional", "RTP/AVP", ["x\r\nm=text 40002 UDP/TLS/RTP/SAVP 98"]),
    "DTLS behind a lone return": ("optional", "RTP/AVP", ["x\rm=audio 9 UDP/TLS/RTP/SAVP 0"]),
}


@pytest.mark.capacity
@pytest.mark.parametrize("srtp", ["off", "optional", "required"])
async def test_what_a_trunk_may_not_offer_gets_488(srtp: str) -> None:
    async with started(srtp) as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        for why, (of, offered, attributes) in REFUSED.items():
            if of == srtp:
                dialog = sip.call("support", sdp(media.port, offered, *attributes))
                assert (await dialog.final()).status == 488, why
        assert media.heard == []
        if srtp != "required":
            after = sip.call("support", sdp(media.port))
            assert (await after.final()).status == 200
            assert profile((await after.final()).body) == "RTP/AVP"
            await after.bye()


PASSED_OVER = {
    "bad key": line(1, STRONG, "AAAA"),
    "identified key": line(1, STRONG, new_key(), "|2^20|1:4"),
    "left plain": line(1, STRONG, new_key(), " UNENCRYPTED_SRTP"),
    "unknown suite": line(1, "AEAD_ARIA_128_GCM", new_key()),
    "nothing": "crypto:",
    "the same tag, in the end": "crypto:2",
    "another spelling": line(1, STRONG, new_key()).replace("crypto", "CRYPTO"),
}


@pytest.mark.capacity
async def test_crypto_lines_that_cannot_be_served_are_passed_over() -> None:
    async with started("required") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        for number, (why, passed_over) in enumerate(PASSED_OVER.items()):
            key = new_key()
            lines = (passed_over, line(2, SHORT, key, "|2^31 WSH=64"))
            dialog = sip.call("support", sdp(media.port, "RTP/SAVP", *lines))
            ((tag, suite, _),) = lines_in((await dialog.final()).body)
            assert (tag, suite) == (2, SHORT), why
            media.speaks = SrtpContext(SHORT, key)
            media.speak(media_port((await dialog.final()).body))
            assert await is_loud(await rig.call_in(number)), why
            await dialog.bye()


@pytest.mark.capacity
@pytest.mark.parametrize("name", ["crypto", "CRYPTO", "Crypto"])
async def test_more_crypto_lines_than_pjsip_holds_harm_nobody(name: str) -> None:
    many = [line(each, STRONG, new_key()).replace("crypto", name) for each in range(1, 101)]
    async with started("optional") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        dialog = sip.call("support", sdp(media.port, "RTP/SAVP", *many))
        assert (await dialog.final()).status in {200, 488, 513}
        after = sip.call("support", sdp(media.port))
        assert (await after.final()).status == 200


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (f"a={line(1, STRONG, 'A' * 40)}", True),
        (f"a={line(1, STRONG, 'A' * 40, '|2^31')}", True),
        (f"a={line(1, STRONG, 'A' * 40, ' -SOMETHING WSH=9')}", True),
        (f"a={line(1, STRONG, 'A' * 40, ' KDR=3')}", False),
        (f"a={line(1, STRONG, 'A' * 40, ';inline:' + 'B' * 40)}", False),
        (f"a= {line(1, STRONG, 'A' * 40)}", False),
        (f"b=1\ra={line(1, STRONG, 'A' * 40)}", False),
    ],
)
def test_crypto_lines_keep_their_length_whether_they_are_kept(written: str, kept: bool) -> None:
    message = f"INVITE\r\n\r\nv=0\r\n{written}\r\na=sendrecv\r\n".encode()
    left = with_usable_keys(message)
    assert len(left) == len(message)
    assert (left == message) is kept
    assert (b"=crypto:" in left) is kept


@pytest.mark.capacity
@pytest.mark.parametrize("forged", ["plain", "wrong key"])
async def test_rtp_without_the_key_is_not_heard(forged: str) -> None:
    key = new_key()
    async with started("required") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        dialog = sip.call("support", sdp(media.port, "RTP/SAVP", line(1, STRONG, key)))
        answer = (await dialog.final()).body
        media.speaks = SrtpContext(STRONG, new_key()) if forged == "wrong key" else None
        media.speak(media_port(answer))
        call = await rig.call_in()
        assert not await is_loud(call)
        media.speaks = SrtpContext(STRONG, key)
        assert await is_loud(call)
        await dialog.bye()


@pytest.mark.capacity
@pytest.mark.parametrize("changed", [False, True])
async def test_after_hold_the_caller_is_heard_whether_its_key_changed_or_not(changed: bool) -> None:
    key = new_key()
    async with started("required") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        dialog = sip.call("support", sdp(media.port, "RTP/SAVP", line(1, STRONG, key)))
        answer = (await dialog.final()).body
        media.speaks = SrtpContext(STRONG, key)
        media.speak(media_port(answer))
        call = await rig.call_in()
        assert await is_loud(call)
        held = sdp(media.port, "RTP/SAVP", line(1, STRONG, key), "sendonly")
        assert profile((await dialog.reinvite(held)).body) == "RTP/SAVP"
        key = new_key() if changed else key
        back = await dialog.reinvite(sdp(media.port, "RTP/SAVP", line(1, STRONG, key)))
        ((_, _, theirs),) = lines_in(back.body)
        media.speaks, media.hears = SrtpContext(STRONG, key), SrtpContext(STRONG, theirs)
        media.heard.clear()
        media.speak(media_port(back.body))
        assert await is_loud(call)
        call.play_tone(700, 400)
        await wait_until(
            lambda: sum(len(set(each)) > 5 for each in media.heard) > 5,
            "the agent was not heard",
        )
        await dialog.bye()


@pytest.mark.capacity
async def test_a_secure_call_does_not_become_plain() -> None:
    key = new_key()
    async with started("required") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        dialog = sip.call("support", sdp(media.port, "RTP/SAVP", line(1, STRONG, key)))
        answer = (await dialog.final()).body
        ((_, _, theirs),) = lines_in(answer)
        media.speaks, media.hears = SrtpContext(STRONG, key), SrtpContext(STRONG, theirs)
        assert (await dialog.reinvite(sdp(media.port))).status == 488
        media.speak(media_port(answer))
        call = await rig.call_in()
        assert await is_loud(call)
        await dialog.bye()

    assert media.unread == 0


ANSWERS: dict[str, Callable[[int, str], str]] = {
    "good": lambda port, key: sdp(port, "RTP/SAVP", line(1, STRONG, key)),
    "plain": lambda port, key: sdp(port),
    "without a key": lambda port, key: sdp(port, "RTP/SAVP"),
    "tag that was not offered": lambda port, key: sdp(port, "RTP/SAVP", line(9, STRONG, key)),
    "suite of another tag": lambda port, key: sdp(port, "RTP/SAVP", line(2, STRONG, key)),
    "two keys": lambda port, key: sdp(port, "RTP/SAVP", line(1, STRONG, key), line(2, SHORT, key)),
}


@pytest.mark.capacity
@pytest.mark.parametrize("why", ANSWERS)
async def test_a_trunk_that_we_call_must_answer_securely(why: str) -> None:
    key = new_key()
    async with started("required") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        media.hears = SrtpContext(STRONG, new_key())
        answer = ANSWERS[why](media.port, key)
        sip.on_call = lambda invite: (200, answer)
        call = rig.dial(f"sip:agent@127.0.0.1:{sip.port}")
        await wait_until(lambda: sip.calls_in, "no INVITE")
        offered = sip.calls_in[0].offered
        assert offered is not None
        offer = offered.body
        assert profile(offer) == "RTP/SAVP"
        assert [suite for _, suite, _ in lines_in(offer)] == [STRONG, SHORT]
        if why != "good":
            await call.until(lambda: call.ended, "the end")
            await asyncio.sleep(0)
            assert (media.heard, media.unread) == ([], 0)
            return
        media.hears = SrtpContext(STRONG, lines_in(offer)[0][2])
        media.speaks = SrtpContext(STRONG, key)
        await call.until(lambda: LegState.CONFIRMED in call.states, "the answer")
        media.speak(media_port(offer))
        assert await is_loud(call)
        call.leg.hangup()
        await call.until(lambda: call.ended, "the end")


@pytest.mark.capacity
async def test_no_key_is_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pj_settings, "_MOST_CHARS", 100_000)  # whole messages
    key = new_key()
    with structlog.testing.capture_logs() as logged:
        async with (
            started("required", log_level=6) as rig,
            SipPeer(rig.endpoint.port) as sip,
            SrtpPeer() as media,
        ):
            dialog = sip.call("support", sdp(media.port, "RTP/SAVP", line(1, STRONG, key)))
            ((_, _, theirs),) = lines_in((await dialog.final()).body)
            await rig.call_in()
            await dialog.bye()

    text = repr(logged)
    assert "RTP/SAVP" in text
    assert key not in text
    assert theirs not in text
    assert not re.search(r"inline:\s*[A-Za-z0-9]|key=[^*]", text)


@pytest.mark.capacity
async def test_a_call_keeps_its_srtp_when_its_trunk_is_gone_or_another() -> None:
    key = new_key()
    async with started("required") as rig, SipPeer(rig.endpoint.port) as sip, SrtpPeer() as media:
        dialog = sip.call("support", sdp(media.port, "RTP/SAVP", line(1, STRONG, key)))
        assert profile((await dialog.final()).body) == "RTP/SAVP"
        await rig.call_in()
        other = {"addresses": "127.0.0.1", "srtp": "off"}
        for trunks in ({"carrier": other}, {"other": {"addresses": "192.0.2.1"}}):
            made = SipSettings.model_validate({"host": "127.0.0.1", "port": 0, "trunks": trunks})
            rig.endpoint.change_trunks(rig.endpoint.prepare_trunks(made, {}))
            again = await dialog.reinvite(sdp(media.port, "RTP/SAVP", line(1, STRONG, key)))
            assert (again.status, profile(again.body)) == (200, "RTP/SAVP")
            plain = await dialog.reinvite(sdp(media.port, "RTP/AVP"))
            assert plain.status == 488
        assert (await dialog.bye()).status == 200
