"""Two calls that hear each other: joined, held, parted, ended; and what is recorded of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bridge.audio.wav import read_wav
from bridge.softphone.sip_message import Direction, audio_sdp
from bridge.telephony.leg import LegState
from bridge.telephony.recorder import Recorder
from tests.audio.signals import level_at_db, tone
from tests.support.rtp import RtpPeer
from tests.support.sip import Dialog, SipPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

CALLER_HZ, PERSON_HZ, BRIDGE_HZ = 440.0, 1000.0, 1600.0
LOUD_DB, QUIET_DB = 60.0, 40.0
"""A tone of amplitude 8000 is 78 dB; what is not there is below 20 dB after G.711."""
HALF_A_SECOND = 25


@dataclass
class Side:
    """One of the two: its phone, and the rig's end of its call."""

    rtp: RtpPeer
    dialog: Dialog
    call: Call
    hz: float
    offers: int = 1

    def talk(self, ms: int = 30_000) -> None:
        self.rtp.say(tone(self.hz, 8000, 8 * ms, amplitude=8000))

    async def levels(self) -> dict[float, float]:
        """Wait for half a second of audio; return how loud each one's tone is in it, dB."""
        since = len(self.rtp.packets)
        count = since + HALF_A_SECOND
        await wait_until(lambda: len(self.rtp.packets) >= count, "no RTP")
        heard = self.rtp.heard(0, since)
        return {hz: level_at_db(heard, hz, 8000) for hz in (CALLER_HZ, PERSON_HZ, BRIDGE_HZ)}

    async def hears(self, hz: float | None) -> None:
        """Wait until exactly this tone is heard, or none."""

        async def so() -> bool:
            levels = await self.levels()
            return all(
                level > LOUD_DB if each == hz else level < QUIET_DB
                for each, level in levels.items()
            )

        await wait_until(so, f"{self.hz} did not come to hear {hz}")

    async def offer(self, direction: Direction) -> None:
        self.offers += 1
        sdp = audio_sdp(self.rtp.port, direction=direction, version=self.offers)
        answer = await self.dialog.reinvite(sdp)
        assert answer.status == 200
        self.rtp.stream(answer.media_port)


@pytest.fixture
async def sides(rig: Rig) -> AsyncIterator[tuple[Side, Side]]:
    """Give a caller and a person, who talk to the rig and don't hear each other yet."""
    async with (
        SipPeer(rig.endpoint.port) as caller_sip,
        SipPeer(rig.endpoint.port) as person_sip,
        RtpPeer() as caller_rtp,
        RtpPeer() as person_rtp,
    ):
        made: list[Side] = []
        for sip, rtp, hz in (
            (caller_sip, caller_rtp, CALLER_HZ),
            (person_sip, person_rtp, PERSON_HZ),
        ):
            dialog = sip.call("support", audio_sdp(rtp.port))
            rtp.stream((await dialog.final()).media_port)
            call = await rig.call_in(len(made))
            await call.until(lambda call=call: call.leg.state is LegState.CONFIRMED, "the ACK")  # type: ignore[misc]  # default binds the loop's value
            made.append(Side(rtp, dialog, call, hz))
        yield made[0], made[1]


def join(rig: Rig, caller: Side, person: Side) -> None:
    rig.endpoint.ports.join(caller.call.row, person.call.row)


async def test_joined_calls_hear_each_other_until_they_are_parted(
    rig: Rig, sides: tuple[Side, Side]
) -> None:
    caller, person = sides
    caller.talk()
    person.talk()
    await caller.hears(None)
    join(rig, caller, person)
    await caller.hears(PERSON_HZ)
    await person.hears(CALLER_HZ)
    rig.endpoint.ports.part(caller.call.row)
    await caller.hears(None)
    await person.hears(None)
    caller.call.play_tone(BRIDGE_HZ, 3_000)
    await caller.hears(BRIDGE_HZ)
    rig.endpoint.ports.part(caller.call.row)  # twice is no error


@pytest.mark.parametrize("who", [0, 1], ids=["caller", "person"])
@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
async def test_hold_of_either_side_leaves_them_joined(
    rig: Rig, sides: tuple[Side, Side], who: int, direction: Direction
) -> None:
    holder, other = sides[who], sides[1 - who]
    join(rig, *sides)
    for side in sides:
        side.talk(60_000)
    await other.hears(holder.hz)
    await holder.offer(direction)
    await other.hears(None)
    other.call.play_tone(BRIDGE_HZ, 3_000)  # the other one is told to wait
    await other.hears(BRIDGE_HZ)
    await holder.offer("sendrecv")
    await other.hears(holder.hz)
    await holder.hears(other.hz)


@pytest.mark.parametrize("who", [0, 1], ids=["caller", "person"])
async def test_end_of_one_leaves_the_other_to_us(
    rig: Rig, sides: tuple[Side, Side], who: int
) -> None:
    leaves, stays = sides[who], sides[1 - who]
    join(rig, *sides)
    leaves.talk()
    stays.talk()
    await stays.hears(leaves.hz)
    await leaves.dialog.bye()
    await stays.hears(None)
    stays.call.play_tone(BRIDGE_HZ, 3_000)
    await stays.hears(BRIDGE_HZ)
    heard = await stays.call.hear(500)
    assert level_at_db(heard, stays.hz, 24_000) > LOUD_DB


async def test_a_row_that_is_joined_takes_no_third(rig: Rig, sides: tuple[Side, Side]) -> None:
    join(rig, *sides)
    with pytest.raises(ValueError, match="joined"):
        join(rig, *sides)


async def test_the_recording_has_both_sides_as_they_were_heard(
    rig: Rig, sides: tuple[Side, Side], tmp_path: Path
) -> None:
    caller, person = sides
    recorder = Recorder(tmp_path / "call.wav")
    row = caller.call.row
    rig.pump.remove(row)
    rig.pump.add(row, caller.call, recorder)
    caller.talk()
    person.talk()
    await caller.levels()
    begun = recorder.samples
    join(rig, caller, person)
    await caller.hears(PERSON_HZ)
    await caller.levels()
    await caller.dialog.bye()
    await caller.call.until(lambda: caller.call.ended, "the end")
    recorder.close()
    sound, _ = read_wav(tmp_path / "call.wav")
    left, right = sound[:, 0].astype(np.int16), sound[:, 1].astype(np.int16)
    assert level_at_db(left[-4000:], CALLER_HZ, 8000) > LOUD_DB
    assert level_at_db(right[-4000:], PERSON_HZ, 8000) > LOUD_DB
    assert np.abs(right[:begun]).max() == 0  # the person, before they heard each other
    assert level_at_db(left[-4000:], PERSON_HZ, 8000) < QUIET_DB
