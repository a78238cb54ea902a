"""G.722 on the wire, and beside G.711: RTP by a coder that shares no code with PJMEDIA."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.ledger import PlayedItem
from bridge.audio.supervisor_frames import encode_listen
from bridge.audio.wav import read_wav
from bridge.clock import ManualClock
from bridge.realtime.ids import ItemId
from bridge.telephony.audience import Listener
from bridge.telephony.pump import Pump
from bridge.telephony.recorder import Recorder
from tests.audio.signals import level_at_db, tone
from tests.support.raw_sip import RawSip, sdp
from tests.support.rtp import G722_TYPE
from tests.support.waiting import wait_until
from tests.telephony.fake_ports import AGENT_HZ, Ear, FakePorts
from tests.telephony.rig import Rig
from tests.telephony.wide_phone import (
    HIGH_HZ,
    LOW_HZ,
    NARROW,
    NARROW_HZ,
    WIDE,
    WIDE_HZ,
    WINDOW,
    audio,
    calling,
    stands_out,
    taken,
)

pytestmark = pytest.mark.sip


async def test_what_g711_cannot_carry_is_heard_both_ways(wide: Rig) -> None:
    async with calling(wide, WIDE, G722_TYPE, 0) as phone:
        assert phone.call.leg.codec == "G722"
        await phone.is_heard(HIGH_HZ)
        await phone.hears_agent(HIGH_HZ)
        level_db = level_at_db(await phone.hears_more(), HIGH_HZ, WIDE_HZ)
        assert level_db == pytest.approx(20 * np.log10(8_000), abs=2)
        assert {piece.size for piece in phone.call.pieces} == {AGENT_HZ // 50}


async def test_packets_are_of_payload_type_9_and_count_8_khz(wide: Rig) -> None:
    """RFC 3551 section 4.5.2: the RTP clock stays at 8 kHz, though 16 kHz are sampled."""
    async with calling(wide, WIDE, G722_TYPE) as phone:
        await wait_until(lambda: len(phone.rtp.packets) > WINDOW, "nothing was sent")
        packets = phone.rtp.packets[:WINDOW]
        assert {packet.payload_type for packet in packets} == {G722_TYPE}
        assert {len(packet.payload) for packet in packets} == {160}
        steps = {b.timestamp - a.timestamp for a, b in itertools.pairwise(packets)}
        assert {step % 2**32 for step in steps} == {160}


async def test_a_g711_call_beside_it_is_as_it_was(wide: Rig) -> None:
    async with (
        calling(wide, WIDE, G722_TYPE) as phone,
        calling(wide, NARROW, G722_TYPE, 0, 8) as plain,
    ):
        assert plain.call.leg.codec == "PCMU"
        await plain.is_heard(LOW_HZ)
        await plain.hears_agent(LOW_HZ)
        assert {packet.payload_type for packet in plain.rtp.packets} == {0}
        await phone.is_heard(HIGH_HZ)


@pytest.mark.parametrize(
    ("host", "offered", "answered"),
    [
        (WIDE, (9, 0, 8), ["9"]),
        (WIDE, (0, 9), ["0"]),  # the offer's order counts (RFC 3264 section 6.1)
        (WIDE, (8, 9), ["9"]),
        (WIDE, (9,), ["9"]),
        (WIDE, (8,), None),
        (NARROW, (9, 0, 8), ["0"]),
        (NARROW, (8, 9), ["8"]),
        (NARROW, (9,), None),
    ],
)
async def test_a_call_has_the_codecs_of_its_trunk(
    wide: Rig, host: str, offered: tuple[int, ...], answered: list[str] | None
) -> None:
    async with RawSip(wide.endpoint.port, host) as sip:
        talk = sip.talk()
        answer = await talk.invite(sdp(audio(40_000, *offered)))
        if answered is None:
            assert answer.code == 488
            assert answer.header("Warning") == '305 bridge "Incompatible media format"'
            assert not wide.calls  # nobody has begun a session for it
            return
        assert answer.code == 200, answer.start
        assert taken(answer) == answered
        talk.acknowledge()
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.parametrize(("host", "offered"), [(WIDE, ["9", "0"]), (NARROW, ["0", "8"])])
async def test_an_offer_of_ours_has_the_codecs_of_the_trunk(
    wide: Rig, host: str, offered: list[str]
) -> None:
    async with RawSip(wide.endpoint.port, host) as sip:
        wide.dial(f"sip:raw@{host}:{sip.port}")
        invite = await sip.reply(lambda message: message.start.startswith("INVITE"))
        assert invite is not None
        assert taken(invite) == offered
        rtpmaps = [line for line in invite.body.decode().splitlines() if "rtpmap" in line]
        assert any("G722/8000" in line for line in rtpmaps) == (host == WIDE)
        assert any("telephone-event/8000" in line for line in rtpmaps)


async def test_a_call_moves_to_g711_and_back(wide: Rig) -> None:
    async with calling(wide, WIDE, G722_TYPE, 0) as phone:
        await phone.is_heard(HIGH_HZ)
        for payload_type, hz in ((0, LOW_HZ), (G722_TYPE, HIGH_HZ)):
            await phone.offers(payload_type)
            assert phone.rtp.payload_type == payload_type
            await phone.is_heard(hz)
            await phone.hears_agent(hz)
        refused = await phone.talk.invite(sdp(audio(phone.rtp.port, 8)))
        assert refused.code == 488  # and the call goes on
        await phone.is_heard(HIGH_HZ)


async def test_a_wideband_caller_and_a_g711_person_hear_each_other(wide: Rig) -> None:
    async with (
        calling(wide, WIDE, G722_TYPE) as caller,
        calling(wide, NARROW, 0) as person,
    ):
        wide.endpoint.ports.join(caller.call.row, person.call.row)
        for speaker, hearer, hz in ((caller, person, LOW_HZ), (person, caller, 700.0)):
            speaker.hum(hz)
            await hearer.hears(hz)
            speaker.rtp.silence()
        # What the person's codec can't carry must not fold into what it can: 5 kHz into 3.
        caller.hum(HIGH_HZ)
        await wait_until(lambda: caller.comes_up(HIGH_HZ), "5 kHz does not come up")
        assert level_at_db(await person.hears_more(), 3_000.0, NARROW_HZ) < 20 * np.log10(80)
        wide.endpoint.ports.part(caller.call.row)


async def test_a_recording_plays_as_the_call_sounded(tmp_path: Path) -> None:
    clock = ManualClock()
    ports = FakePorts(clock, rate_hz=WIDE_HZ)
    pump, ear = Pump(ports, clock, append_ms=20, ahead_ms=200), Ear()
    row = ports.open_row()
    recorder = Recorder(tmp_path / "call.wav", rate_hz=pump.rate_hz)
    pump.add(row, ear, recorder)
    listener = Listener(0, rate_hz=pump.rate_hz)
    pump.admit(row, listener.take)
    ports.say(row, tone(HIGH_HZ, WIDE_HZ, WIDE_HZ, amplitude=8_000))
    agent = tone(3_000.0, AGENT_HZ, AGENT_HZ, amplitude=8_000).astype("<i2").tobytes()
    pump.downlink.play(row, ItemId("item"), 0, agent)
    ports.step(50, then=pump.tick)
    assert pump.recorded_ms(row, clock.now_ns()) == 1_000
    assert pump.downlink.flush(row) == (PlayedItem(ItemId("item"), 0, 980, 1_000),)
    pump.remove(row)
    recorder.close()
    sides, rate_hz = read_wav(recorder.path)
    assert (rate_hz, len(sides)) == (WIDE_HZ, WIDE_HZ)
    frame = await listener.get()
    assert frame is not None
    assert len(encode_listen(frame)) == 8 + 4 * WIDE_HZ // 50  # 20 ms of both sides
    for side, hz in ((sides[:, 0], HIGH_HZ), (sides[:, 1], 3_000.0)):
        assert stands_out(side[WIDE_HZ // 10 :], hz, WIDE_HZ)
    assert stands_out(ear.sound[AGENT_HZ // 10 :], HIGH_HZ, AGENT_HZ)


async def test_keys_come_beside_g722(wide: Rig) -> None:
    async with calling(wide, WIDE, G722_TYPE) as phone:
        phone.rtp.press("42#")
        await phone.call.until(lambda: phone.call.digits == "42#", "the keys")
