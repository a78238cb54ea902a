"""G.722 on the wire, both ways and beside G.711: RTP by a coder that shares no code with PJMEDIA.

The trunk at 127.0.0.1 has G.722 and PCMU, the one at 127.0.0.2 what there is without a word of it.
"""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.ledger import PlayedItem
from bridge.audio.supervisor_frames import encode_listen
from bridge.audio.wav import read_wav
from bridge.clock import ManualClock
from bridge.realtime.ids import ItemId
from bridge.telephony.audience import Listener
from bridge.telephony.endpoint import MediaPortsKind
from bridge.telephony.pump import Pump
from bridge.telephony.recorder import Recorder
from tests.audio.signals import level_at_db, tone
from tests.support.raw_sip import RawSip, RawTalk, Reply, sdp
from tests.support.rtp import G722_TYPE, RtpPeer
from tests.support.waiting import wait_until
from tests.telephony.fake_ports import AGENT_HZ, Ear, FakePorts, Sound
from tests.telephony.rig import Call, Rig, running

pytestmark = pytest.mark.sip

WIDE_HZ, NARROW_HZ = 16_000, 8_000
HIGH_HZ, LOW_HZ = 5_000.0, 1_000.0
"""A tone that G.711 can't carry, and one that both can."""
WIDE, NARROW = "127.0.0.1", "127.0.0.2"
_WINDOW = 20
"""Packets that are listened to: 400 ms."""
_KEYS = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"


@pytest.fixture
async def wide(garbage_in_this_thread: None, media_ports: MediaPortsKind) -> AsyncIterator[Rig]:
    trunks = {"wide": {"addresses": WIDE, "codecs": ["G722", "PCMU"]}, "narrow": NARROW}
    async with running(media_ports, trunks=trunks) as rig:
        yield rig


def audio(rtp: RtpPeer | int, *payload_types: int) -> str:
    port = rtp if isinstance(rtp, int) else rtp.port
    listed = " ".join(map(str, payload_types))
    return f"m=audio {port} RTP/AVP {listed} 101\r\na=rtpmap:9 G722/8000\r\n{_KEYS}"


def rate_of(rtp: RtpPeer) -> int:
    return WIDE_HZ if rtp.payload_type == G722_TYPE else NARROW_HZ


def taken(answer: Reply) -> list[str]:
    """Return the payload types of an answer's audio, keys left out."""
    return [each for each in answer.media[0].split()[3:] if int(each) < 96]


async def talks(rig: Rig, talk: RawTalk, rtp: RtpPeer, *payload_types: int) -> Call:
    """Place a call by an offer, and send its RTP in what was agreed on."""
    number = len(rig.calls)
    answer = await talk.call(sdp(audio(rtp, *payload_types)))
    rtp.payload_type = int(taken(answer)[0])
    rtp.stream(int(answer.media[0].split()[1]))
    call = await rig.call_in(number)
    await call.until(lambda: call.media, "media")
    return call


def stands_out(sound: Sound, hz: float, rate_hz: int) -> bool:
    """Return whether a tone is far above all that is not near it."""
    if not sound.size:
        return False
    levels = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    at_hz = np.fft.rfftfreq(sound.size, 1 / rate_hz)
    near = np.abs(at_hz - hz) < 40
    return bool(levels[near].max() > 10 * levels[~near & (at_hz > 60)].max())


async def is_heard_by_us(call: Call, rtp: RtpPeer, hz: float) -> None:
    """Have the phone hum, and wait until its tone is what the service would get."""
    rtp.say(tone(hz, rate_of(rtp), 20 * rate_of(rtp), amplitude=8_000))
    await wait_until(
        lambda: stands_out(call.heard_since(max(len(call.pieces) - _WINDOW, 0)), hz, AGENT_HZ),
        f"{hz} Hz did not come up",
    )
    rtp.silence()


async def is_heard_by_phone(call: Call, rtp: RtpPeer, hz: float) -> Sound:
    """Have the agent hum, and wait until its tone is what the phone hears; return that."""
    call.play_tone(hz, 2_000, f"item-{hz}-{len(rtp.packets)}")
    return await hears(rtp, hz)


async def hears(rtp: RtpPeer, hz: float) -> Sound:
    """Wait until a phone hears a tone; return the latest of what it hears."""
    rate_hz = rate_of(rtp)

    def heard() -> Sound:
        return rtp.heard(rtp.payload_type, max(len(rtp.packets) - _WINDOW, 0))

    await wait_until(lambda: stands_out(heard(), hz, rate_hz), f"{hz} Hz did not come down")
    return heard()


async def until_more(changes: list[bool], than: int) -> None:
    await wait_until(lambda: len(changes) > than, "no new media")


async def test_what_g711_cannot_carry_is_heard_both_ways(wide: Rig) -> None:
    async with RawSip(wide.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        call = await talks(wide, talk, rtp, G722_TYPE, 0)
        assert call.leg.codec == "G722"
        await is_heard_by_us(call, rtp, HIGH_HZ)
        await is_heard_by_phone(call, rtp, HIGH_HZ)
        since = len(rtp.packets)
        await wait_until(lambda: len(rtp.packets) > since + _WINDOW, "nothing is sent")
        level_db = level_at_db(rtp.heard(G722_TYPE, since), HIGH_HZ, WIDE_HZ)
        assert level_db == pytest.approx(20 * np.log10(8_000), abs=2)
        assert {piece.size for piece in call.pieces} == {AGENT_HZ // 50}
        assert (await talk.ask("BYE")).code == 200


async def test_packets_are_of_payload_type_9_and_count_8_khz(wide: Rig) -> None:
    """RFC 3551 section 4.5.2: the RTP clock stays at 8 kHz, though 16 kHz are sampled."""
    async with RawSip(wide.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        await talks(wide, talk, rtp, G722_TYPE)
        await wait_until(lambda: len(rtp.packets) > _WINDOW, "nothing was sent")
        packets = rtp.packets[:_WINDOW]
        assert {packet.payload_type for packet in packets} == {G722_TYPE}
        assert {len(packet.payload) for packet in packets} == {160}
        steps = {b.timestamp - a.timestamp for a, b in itertools.pairwise(packets)}
        assert {step % 2**32 for step in steps} == {160}
        assert (await talk.ask("BYE")).code == 200


async def test_a_g711_call_beside_it_is_as_it_was(wide: Rig) -> None:
    async with (
        RawSip(wide.endpoint.port) as sip,
        RawSip(wide.endpoint.port, NARROW) as other,
        RtpPeer() as rtp,
        RtpPeer() as narrow,
    ):
        talk, beside = sip.talk(), other.talk()
        call = await talks(wide, talk, rtp, G722_TYPE)
        plain = await talks(wide, beside, narrow, G722_TYPE, 0, 8)
        assert plain.leg.codec == "PCMU"
        await is_heard_by_us(plain, narrow, LOW_HZ)
        await is_heard_by_phone(plain, narrow, LOW_HZ)
        assert {packet.payload_type for packet in narrow.packets} == {0}
        await is_heard_by_us(call, rtp, HIGH_HZ)
        assert (await talk.ask("BYE")).code == (await beside.ask("BYE")).code == 200


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
    async with RawSip(wide.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        call = await talks(wide, talk, rtp, G722_TYPE, 0)
        await is_heard_by_us(call, rtp, HIGH_HZ)
        for payload_type, hz in ((0, LOW_HZ), (G722_TYPE, HIGH_HZ)):
            changes = len(call.media)
            answer = await talk.call(sdp(audio(rtp, payload_type)))
            assert taken(answer) == [str(payload_type)]
            await until_more(call.media, changes)
            rtp.payload_type = payload_type
            rtp.silence()
            rtp.packets.clear()
            await is_heard_by_us(call, rtp, hz)
            await is_heard_by_phone(call, rtp, hz)
        refused = await talk.invite(sdp(audio(rtp, 8)))
        assert refused.code == 488  # and the call goes on
        await is_heard_by_us(call, rtp, HIGH_HZ)
        assert (await talk.ask("BYE")).code == 200


async def test_a_wideband_caller_and_a_g711_person_hear_each_other(wide: Rig) -> None:
    async with (
        RawSip(wide.endpoint.port) as sip,
        RawSip(wide.endpoint.port, NARROW) as other,
        RtpPeer() as rtp,
        RtpPeer() as narrow,
    ):
        talk, person = sip.talk(), other.talk()
        caller = await talks(wide, talk, rtp, G722_TYPE)
        called = await talks(wide, person, narrow, 0)
        wide.endpoint.ports.join(caller.row, called.row)
        for speaker, hearer, hz in ((rtp, narrow, LOW_HZ), (narrow, rtp, 700.0)):
            speaker.say(tone(hz, rate_of(speaker), 200_000, amplitude=8_000))
            await hears(hearer, hz)
            speaker.silence()
        # What the person's codec can't carry must not fold into what it can: 5 kHz into 3.
        rtp.say(tone(HIGH_HZ, WIDE_HZ, 200_000, amplitude=8_000))
        await wait_until(
            lambda: stands_out(caller.heard_since(len(caller.pieces) - _WINDOW), HIGH_HZ, AGENT_HZ),
            "5 kHz does not come up",
        )
        since = len(narrow.packets)
        await wait_until(lambda: len(narrow.packets) > since + _WINDOW, "nothing is sent")
        assert level_at_db(narrow.heard(0, since), 3_000.0, NARROW_HZ) < 20 * np.log10(80)
        wide.endpoint.ports.part(caller.row)
        assert (await talk.ask("BYE")).code == (await person.ask("BYE")).code == 200


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
    async with RawSip(wide.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        call = await talks(wide, talk, rtp, G722_TYPE)
        rtp.press("42#")
        await call.until(lambda: call.digits == "42#", "the keys")
        assert (await talk.ask("BYE")).code == 200
