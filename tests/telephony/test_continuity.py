"""What goes through the rings, sample by sample, on both kinds of media ports.

Also when it is cut short and when the loop stands still.
"""

import time

import numpy as np
import pytest

from bridge.audio import g711
from bridge.audio.rings import FRAME_SAMPLES, gather, write
from tests.support.machine import Timing
from tests.support.rtp import RtpPeer
from tests.support.sip import SipPeer
from tests.telephony.fake_ports import RATE_HZ, Sound
from tests.telephony.rig import AHEAD_MS, Rig
from tests.telephony.test_media import CODECS, answered, hear_agent

pytestmark = pytest.mark.sip

_ATTEMPTS = 5
"""Of what a late packet of the test's own can spoil."""


def speech(law: g711.Law, ms: int, seed: int) -> Sound:
    """Return noise that the codec leaves as it is; no frame of it comes twice."""
    codes = np.random.default_rng(seed).integers(0, 256, RATE_HZ * ms // 1000)
    return g711.decode(law, codes.astype(np.uint8).tobytes())


def holds(sound: Sound, part: Sound) -> bool:
    """Tell whether ``part`` lies in ``sound`` without a gap and without a changed sample."""
    return sound.tobytes().find(part.tobytes()) >= 0


def loud_span(sound: Sound) -> Sound:
    loud = np.flatnonzero(np.abs(sound) > 500)
    return sound[loud[0] : loud[-1] + 1] if loud.size else sound[:0]


@pytest.mark.parametrize(("payload_type", "codec"), CODECS)
async def test_what_lies_in_the_ring_is_sent_as_it_is(
    rig: Rig, peer: SipPeer, payload_type: int, codec: str
) -> None:
    said = speech(g711.Law(codec), 900, seed=1)
    ports = rig.endpoint.ports
    async with RtpPeer(payload_type) as rtp:
        dialog, call = await answered(rig, peer, rtp)
        first = len(rtp.packets)
        ports.refresh()
        start = int(ports.tx_positions[call.row]) + 4 * FRAME_SAMPLES
        write(ports.arena.tx, call.row, start, said)
        await call.until(
            lambda: holds(rtp.heard(payload_type, first), said),
            "the very samples at the caller",
        )
        rows, starts = np.array([call.row]), np.array([start + len(said) - 4800])
        assert np.array_equal(ports.heard(rows, starts, 4800)[0], said[-4800:])
        assert not holds(ports.arena.rx[call.row], said[:FRAME_SAMPLES])  # it is no echo
        await dialog.bye()


@pytest.mark.parametrize(("payload_type", "codec"), CODECS)
async def test_what_the_caller_says_is_in_the_ring_as_it_was(
    rig: Rig, peer: SipPeer, payload_type: int, codec: str
) -> None:
    ports = rig.endpoint.ports
    async with RtpPeer(payload_type) as rtp:
        dialog, call = await answered(rig, peer, rtp)
        for attempt in range(_ATTEMPTS):
            said = speech(g711.Law(codec), 500, seed=attempt)
            rtp.say(said)
            await call.hear(900)
            ports.refresh()
            rows, end = np.array([call.row]), int(ports.rx_positions[call.row])
            heard = gather(ports.arena.rx, rows, np.array([end - 9600]), 9600)[0]
            if holds(heard, said):
                break
        else:
            pytest.fail("the caller's samples don't come through unchanged")
        await dialog.bye()


async def test_an_interruption_is_silence_within_a_frame(rig: Rig, peer: SipPeer) -> None:
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        first = len(rtp.packets)
        call.play_tone(1300.0, 4000)
        await call.until(lambda: len(loud_span(rtp.heard(0, first))) > 2000, "the tone")
        (cut,) = rig.pump.downlink.flush(call.row)
        sent_when_cut = len(rtp.packets)
        await call.hear(400)
        span = len(loud_span(rtp.heard(0, first)))
        assert 0 < cut.played_ms < 1500
        # What PJSIP took is what the caller hears, to a frame.
        assert abs(span - cut.played_ms * RATE_HZ // 1000) <= FRAME_SAMPLES
        # Packets that were under way to us when it was cut may still have been in the socket.
        assert not rtp.heard(0, sent_when_cut + 4).any()
        await dialog.bye()


@pytest.mark.parametrize("stalled_s", [1.0, 3.0])
async def test_a_loop_that_stands_still_ends_in_silence(
    rig: Rig, peer: SipPeer, stalled_s: float, timing: Timing
) -> None:
    """For less and for more than the rings' length; PJSIP goes round them and replays nothing."""
    async with RtpPeer() as rtp:
        dialog, call = await answered(rig, peer, rtp)
        await hear_agent(call, rtp)
        ports, first = rig.endpoint.ports, len(rtp.packets)
        ports.refresh()
        before = int(ports.tx_positions[call.row])
        stalled_ns = time.monotonic_ns()
        call.play_tone(900.0, 1000)
        rig.pump.tick()
        time.sleep(stalled_s)  # noqa: ASYNC251  the loop is to stand still
        ports.refresh()
        stalled = RATE_HZ * (time.monotonic_ns() - stalled_ns) // 1_000_000_000
        stepped = int(ports.tx_positions[call.row]) - before
        timing.check("steps", abs(stepped - stalled) * 1000 / RATE_HZ, most_ms=200)
        assert abs(int(ports.rx_positions[call.row]) - before - stepped) <= FRAME_SAMPLES
        rig.pump.downlink.flush(call.row)
        await call.until(lambda: len(rtp.heard(0, first)) >= stepped, "all that was sent meanwhile")
        sound = rtp.heard(0, first)
        span = len(loud_span(sound))
        span_ms = span * 1000 / RATE_HZ
        timing.check("sound", span_ms, least_ms=AHEAD_MS - 80, most_ms=AHEAD_MS + 40)
        assert rig.pump.stats.overruns == (1 if stalled_s > 2 else 0)
        await hear_agent(call, rtp)
        await dialog.bye()
