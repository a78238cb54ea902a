"""Audio, digits, hold and codec changes over real SIP and RTP.

Tones tell who hears whom: the caller's in what the listener is handed, the agent's in what came to
the caller's RTP port.
"""

import itertools
from statistics import median

import numpy as np
import pytest

from bridge.softphone.sip_message import audio_sdp
from tests.audio.signals import level_at_db, loudest_other_db, tone
from tests.support.machine import Timing
from tests.support.rtp import RtpPeer
from tests.support.sip import Dialog, SipPeer
from tests.support.waiting import wait_until
from tests.telephony.fake_ports import AGENT_HZ, RATE_HZ, Sound
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

CALLER_HZ, AGENT_TONE_HZ = 700.0, 1300.0
CLEAR_DB = 25.0
"""G.711's noise is some 35 dB under a tone (ITU-T G.712); a wrong tone would be 0 dB under."""

CODECS = [(0, "PCMU"), (8, "PCMA")]


def assert_is_tone(sound: Sound, hz: float, rate_hz: int) -> None:
    """Assert that most tenths of a second hold one tone: a slow machine may leave a gap in it."""
    level = level_at_db(sound, hz, rate_hz)
    assert level > 60, f"no {hz:g} Hz in {len(sound)} samples ({level:.0f} dB)"
    tenth = rate_hz // 10
    clear = median(
        level_at_db(piece, hz, rate_hz) - loudest_other_db(piece, hz, rate_hz)
        for piece in np.split(sound, range(tenth, len(sound), tenth))
        if len(piece) == tenth
    )
    assert clear > CLEAR_DB, f"{hz:g} Hz is only {clear:.0f} dB over the rest"


def say_tone(rtp: RtpPeer, ms: int, hz: float = CALLER_HZ) -> None:
    rtp.say(tone(hz, RATE_HZ, RATE_HZ * ms // 1000, amplitude=8000))


async def answered(rig: Rig, peer: SipPeer, rtp: RtpPeer) -> tuple[Dialog, Call]:
    """Place a call in the RTP peer's codec; media flows both ways when this returns."""
    dialog = peer.call("support", audio_sdp(rtp.port, (rtp.payload_type,)))
    rtp.stream((await dialog.final()).media_port)
    call = await rig.call_in()
    await call.until(lambda: bool(call.pieces) and bool(rtp.packets), "media")
    return dialog, call


async def hear_caller(call: Call, rtp: RtpPeer, hz: float = CALLER_HZ) -> None:
    """Let the caller speak a tone and assert that it is heard."""
    say_tone(rtp, 600, hz)
    sound = await call.hear(500)
    loud = np.flatnonzero(np.abs(sound) > 1000)
    assert loud.size, "the caller is not heard"
    assert_is_tone(sound[loud[0] : loud[-1]][AGENT_HZ // 50 :], hz, AGENT_HZ)


async def hear_agent(call: Call, rtp: RtpPeer, hz: float = AGENT_TONE_HZ) -> None:
    """Let the agent speak a tone and assert that it comes to the caller's port."""
    first, kind = len(rtp.packets), rtp.payload_type
    call.play_tone(hz, 400)

    def loud() -> Sound:
        sound = rtp.heard(kind, first)
        found = np.flatnonzero(np.abs(sound) > 1000)
        return sound[found[0] : found[-1]] if found.size else sound[:0]

    await call.until(lambda: len(loud()) > RATE_HZ * 0.3, "the agent's tone at the caller")
    assert_is_tone(loud(), hz, RATE_HZ)


@pytest.mark.parametrize(("payload_type", "codec"), CODECS)
async def test_audio_both_ways(rig: Rig, peer: SipPeer, payload_type: int, codec: str) -> None:
    async with RtpPeer(payload_type) as rtp:
        dialog, call = await answered(rig, peer, rtp)
        assert call.leg.codec == codec
        assert dialog.answer is not None
        assert dialog.answer.codec == payload_type
        await hear_caller(call, rtp)
        await hear_agent(call, rtp)
        await dialog.bye()


async def test_outbound_rtp_never_stops(rig: Rig, peer: SipPeer, timing: Timing) -> None:
    """Silence is sent, not held back: firewalls and far ends time calls out by it."""
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        first = len(rtp.packets)
        await call.hear(500)
        packets = rtp.packets[first:]
        timing.check("sent in 500 ms", len(packets) * 20, least_ms=460)
        steps = {b.sequence - a.sequence & 0xFFFF for a, b in itertools.pairwise(packets)}
        assert steps == {1}
        await dialog.bye()


async def test_digits(rig: Rig, peer: SipPeer) -> None:
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        rtp.press("19*#0D55")
        await call.until(lambda: len(call.digits) >= 8, "the digits")
        await call.hear(100)  # no key is told twice for its three end packets
        assert call.digits == "19*#0D55"
        await dialog.bye()


async def test_digits_out(rig: Rig, peer: SipPeer) -> None:
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        call.leg.send_digits("7#")

        def keys() -> list[int]:
            return [p.payload[0] for p in rtp.packets if p.payload_type == 101 and p.marker]

        await call.until(lambda: len(keys()) >= 2, "the digits")
        assert keys() == [7, 11]
        await dialog.bye()


HOLDS = {
    "sendonly": lambda port, version: audio_sdp(port, (0,), direction="sendonly", version=version),
    "inactive": lambda port, version: audio_sdp(port, (0,), direction="inactive", version=version),
    "0.0.0.0": lambda port, version: audio_sdp(port, (0,), address="0.0.0.0", version=version),
}


@pytest.mark.parametrize("style", HOLDS)
async def test_hold_and_resume(rig: Rig, peer: SipPeer, style: str) -> None:
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        row = call.row
        await hear_caller(call, rtp)

        assert (await dialog.reinvite(HOLDS[style](rtp.port, 2))).status == 200
        await call.until(lambda: call.media == [True, False], "the hold")
        assert call.leg.held
        assert call.row == row
        positions = rig.endpoint.ports.rx_positions[row], rig.endpoint.ports.tx_positions[row]
        say_tone(rtp, 400)  # music on hold: not for the agent's ears
        held = await call.hear(300)  # the row keeps stepping
        assert np.abs(held[AGENT_HZ // 10 :]).max() < 100
        for before, after in zip(
            positions,
            (rig.endpoint.ports.rx_positions[row], rig.endpoint.ports.tx_positions[row]),
            strict=True,
        ):
            assert after - before >= RATE_HZ * 0.28

        first = len(rtp.packets)
        assert (await dialog.reinvite(audio_sdp(rtp.port, (0,), version=3))).status == 200
        await call.until(lambda: call.media == [True, False, True], "the resumption")
        assert not call.leg.held
        await wait_until(lambda: len(rtp.packets) > first, "RTP to the caller did not return")
        await hear_caller(call, rtp)
        await hear_agent(call, rtp)
        assert call.row == row
        await dialog.bye()


async def test_what_the_agent_says_waits_for_the_end_of_a_hold(rig: Rig, peer: SipPeer) -> None:
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        await dialog.reinvite(audio_sdp(rtp.port, (0,), direction="inactive", version=2))
        await call.until(lambda: call.media[-1] is False, "the hold")
        first = len(rtp.packets)
        call.play_tone(AGENT_TONE_HZ, 400)
        await call.hear(300)
        assert call.playout == []
        await dialog.reinvite(audio_sdp(rtp.port, (0,), version=3))
        await call.until(lambda: len(call.playout) == 2, "the playout")
        await call.hear(100)
        heard = rtp.heard(0, first)
        assert np.count_nonzero(np.abs(heard) > 1000) > RATE_HZ * 0.25
        await dialog.bye()


async def test_a_reinvite_that_changes_nothing_changes_nothing(rig: Rig, peer: SipPeer) -> None:
    """Session timers (RFC 4028) refresh calls so, every few minutes."""
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        row = call.row
        for _ in range(3):
            await dialog.reinvite(audio_sdp(rtp.port, (0,)))
        assert call.row == row
        assert False not in call.media
        await hear_caller(call, rtp)
        await hear_agent(call, rtp)
        await dialog.bye()


async def test_the_codec_changes_by_reinvite(rig: Rig, peer: SipPeer) -> None:
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        assert call.leg.codec == "PCMU"
        rtp.payload_type = 8
        answer = await dialog.reinvite(audio_sdp(rtp.port, (8,), version=2))
        assert answer.codec == 8
        rtp.stream(answer.media_port)
        await call.until(lambda: call.leg.codec == "PCMA", "the change")
        await hear_caller(call, rtp)
        await hear_agent(call, rtp)
        await dialog.bye()


async def test_calls_hear_and_are_heard_each_for_itself(rig: Rig, peer: SipPeer) -> None:
    tones = {0: (500.0, 1100.0), 1: (800.0, 1700.0)}
    async with RtpPeer() as first, RtpPeer() as second:
        rtps = (first, second)
        dialogs = []
        for number, rtp in enumerate(rtps):
            dialog = peer.call("support", audio_sdp(rtp.port, (0,)))
            rtp.stream((await dialog.final()).media_port)
            await rig.call_in(number)
            dialogs.append(dialog)
        for number, rtp in enumerate(rtps):
            say_tone(rtp, 2500, tones[number][0])
            rig.calls[number].play_tone(tones[number][1], 2500)
        await rig.calls[0].hear(600)  # through the jitter buffer, on all ways
        pieces = [len(call.pieces) for call in rig.calls]
        packets = [len(rtp.packets) for rtp in rtps]
        for call in rig.calls:
            await call.hear(600)
        for number, (call, rtp) in enumerate(zip(rig.calls, rtps, strict=True)):
            heard, sent_back = call.heard_since(pieces[number]), rtp.heard(0, packets[number])
            assert_is_tone(heard[: AGENT_HZ // 2], tones[number][0], AGENT_HZ)
            assert_is_tone(sent_back[: RATE_HZ // 2], tones[number][1], RATE_HZ)
        for dialog in dialogs:
            await dialog.bye()
