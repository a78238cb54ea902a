"""Far ends that have G.722 wrong: its clock rate, its number, its packets, and when it changes.

RFC 3551 section 4.5.2 has G.722 sampled at 16 kHz and counted at 8 kHz, by an error of RFC 1890
that had to stay: many count, or write, what they sample.
"""

import itertools

import numpy as np
import pytest

from bridge.telephony.leg import LegState
from tests.support.raw_sip import RawSip, sdp
from tests.support.rtp import G722_TYPE, RtpPeer
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig
from tests.telephony.wide_phone import (
    HIGH_HZ,
    LOW_HZ,
    NARROW,
    WIDE,
    WIDE_HZ,
    WidePhone,
    audio,
    calling,
)

pytestmark = pytest.mark.sip

_SIXTEEN = "a=rtpmap:9 G722/16000\r\n"


async def talks(phone: WidePhone) -> None:
    """Have both sides heard, as high as the call's codec carries."""
    hz = HIGH_HZ if phone.rtp.rate_hz == WIDE_HZ else LOW_HZ
    await phone.is_heard(hz)
    await phone.hears_agent(hz)


@pytest.mark.parametrize(
    ("offered", "more", "answered"),
    [
        ((9,), "", 9),  # a static number needs no rtpmap
        ((9,), "a=rtpmap:9 g722/8000\r\n", 9),
        ((9,), "a=rtpmap:9 G722/8000/1\r\n", 9),
        ((9,), _SIXTEEN, 9),
        ((9, 0), _SIXTEEN, 9),
        ((0, 9), _SIXTEEN, 0),
        ((9,), "a=rtpmap:9 L16/16000\r\n", 9),  # the number is G.722's, whatever it is said to be
        ((96, 0), "a=rtpmap:96 G722/8000\r\n", 0),
        ((96, 9, 0), "a=rtpmap:96 G722/8000\r\n", 0),
        ((96, 9), "a=rtpmap:96 G722/8000\r\n", None),
        ((96,), "a=rtpmap:96 G722/8000\r\n", None),
        ((96,), "a=rtpmap:96 G722/16000\r\n", None),
        ((96, 0), "a=rtpmap:96 G722/16000\r\n", 0),
        ((97,), "", None),
    ],
)
async def test_an_offer_that_has_g722_wrong_is_talked_to_or_refused(
    wide: Rig, offered: tuple[int, ...], more: str, answered: int | None
) -> None:
    if answered is None:
        async with RawSip(wide.endpoint.port, WIDE) as sip:
            answer = await sip.talk().invite(sdp(audio(40_000, *offered, more=more)))
            assert answer.code == 488
            assert not wide.calls
        return
    async with calling(wide, WIDE, *offered, more=more) as phone:
        await talks(phone)
        assert phone.rtp.payload_type == answered
        assert ("a=rtpmap:9 G722/8000" in phone.sdp) == (answered == G722_TYPE)
        assert "16000" not in phone.sdp


@pytest.mark.parametrize("clock_hz", [8_000, 16_000])
@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
async def test_packets_of_any_length_and_either_clock_are_heard(
    wide: Rig, ptime_ms: int, clock_hz: int
) -> None:
    async with calling(wide, WIDE, G722_TYPE, ptime_ms=ptime_ms, clock_hz=clock_hz) as phone:
        await talks(phone)


@pytest.mark.parametrize(
    ("lines", "sent_ms"),
    [("a=ptime:10", 10), ("a=ptime:40", 40), ("a=ptime:180", 180), ("a=maxptime:10", 10)],
)
async def test_g722_is_sent_in_packets_as_long_as_are_wanted(
    wide: Rig, lines: str, sent_ms: int
) -> None:
    async with calling(wide, WIDE, G722_TYPE, more=f"{lines}\r\n") as phone:
        await wait_until(lambda: len(phone.rtp.packets) > 5, "nothing was sent")
        packets = phone.rtp.packets[1:]
        steps = {b.timestamp - a.timestamp for a, b in itertools.pairwise(packets)}
        assert {len(packet.payload) for packet in packets} == {8 * sent_ms}
        assert {step % 2**32 for step in steps} == {8 * sent_ms}


async def test_payloads_of_odd_sizes_are_no_harm(wide: Rig) -> None:
    async with calling(wide, WIDE, G722_TYPE) as phone:
        await talks(phone)
        noise = np.random.default_rng(7).bytes(2_000)
        sizes = (0, 1, 79, 80, 81, 159, 161, 239, 240, 241, 319, 321, 640, 1_440, 2_000)
        for size in sizes:
            phone.rtp.say_payloads(noise[:size], noise[:size])
        await wait_until(lambda: not phone.rtp.queued, "the odd ones were not sent")
        await talks(phone)


async def test_packets_of_a_codec_that_was_not_agreed_on_are_no_harm(wide: Rig) -> None:
    async with calling(wide, WIDE, G722_TYPE) as phone:
        await phone.is_heard(HIGH_HZ)
        phone.rtp.payload_type = 0
        phone.hum(LOW_HZ)
        heard = len(phone.call.pieces)
        await wait_until(lambda: len(phone.call.pieces) > heard + 50, "the call stands still")
        assert not phone.comes_up(LOW_HZ)
        phone.rtp.silence()
        phone.rtp.payload_type = G722_TYPE
        await talks(phone)


async def test_a_call_that_moves_between_codecs_all_the_time_leaves_nothing(wide: Rig) -> None:
    async with calling(wide, WIDE, G722_TYPE, 0) as phone:
        await talks(phone)
        before = wide.endpoint.conference_ports
        for turn in range(20):
            await phone.offers(0 if turn % 2 == 0 else G722_TYPE)
            phone.hum(LOW_HZ)
        phone.rtp.silence()
        await talks(phone)
        assert wide.endpoint.conference_ports == before
        assert phone.call.leg.codec == "G722"


@pytest.mark.parametrize(
    ("formats", "more", "codec"),
    [
        ("9", _SIXTEEN, "G722"),
        ("9 0", "a=rtpmap:9 G722/8000\r\n", "G722"),
        ("0", "", "PCMU"),
        ("8", "", None),
        ("96", "a=rtpmap:96 G722/8000\r\n", None),
    ],
)
async def test_an_answer_that_has_g722_wrong_is_talked_to_or_ends_the_call(
    wide: Rig, formats: str, more: str, codec: str | None
) -> None:
    async with SipPeer(wide.endpoint.port, host=WIDE) as sip, RtpPeer() as rtp:
        section = f"m=audio {rtp.port} RTP/AVP {formats}\r\n{more}"
        sip.on_call = lambda invite: (200, sdp(section).decode())
        call = wide.dial(f"sip:raw@{sip.place}")
        if codec is None:
            await call.until(lambda: call.ended, "the end")
            return
        await call.until(lambda: LegState.CONFIRMED in call.states and call.media, "the call")
        assert call.leg.codec == codec
        (dialog,) = sip.calls_in
        assert dialog.offered is not None
        rtp.payload_type = int(formats.split(maxsplit=1)[0])
        rtp.stream(dialog.offered.media_port)
        await talks(WidePhone(rtp, call))
        assert (await dialog.bye()).status == 200


@pytest.mark.parametrize(("host", "payload_type"), [(WIDE, G722_TYPE), (NARROW, 0)])
async def test_keys_of_ours_are_as_long_by_their_8_khz_beside_either_codec(
    wide: Rig, host: str, payload_type: int
) -> None:
    """RFC 4733 section 2.2: an event's clock is that of its rtpmap, telephone-event/8000."""
    async with calling(wide, host, payload_type) as phone:
        await phone.is_heard(LOW_HZ)
        phone.call.leg.send_digits("5")
        await wait_until(lambda: phone.ended_events(), "no key")
        (duration,) = phone.ended_events()
        assert 800 <= duration <= 1_760  # 100 to 220 ms
