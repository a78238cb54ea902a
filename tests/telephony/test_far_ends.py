"""A far end that has vanished ends its call; one that is silent for a reason does not."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.clock import ManualClock
from bridge.telephony.far_ends import FarEnds
from bridge.telephony.leg import LegState, Lost
from tests.support.raw_phone import RawCall, RawPhone, sdp
from tests.telephony.rig import Call, Rig, running

pytestmark = pytest.mark.sip

SILENT_S = 1.0
RTP = struct.pack("!BBHII", 0x80, 0, 1, 160, 7) + bytes(160)
RECEIVER_REPORT = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 7, 8, 0, 1, 0, 0, 0)


@asynccontextmanager
async def up() -> AsyncIterator[tuple[RawPhone, RawCall, Call]]:
    """Have a call that is up, and whose phone sends no RTP by itself."""
    async with (
        running(far_end_silent_s=SILENT_S) as rig,
        RawPhone(rig.endpoint.port) as phone,
    ):
        caller = await phone.invite().answered()
        call = await rig.call_in()
        await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the ACK")
        yield phone, caller, call


async def hold(call: RawCall, phone: RawPhone) -> None:
    call.invite(sdp(phone.rtp_port, direction="inactive", version=2))
    await call.until(lambda: len(call.finals("INVITE")) == 2)


@pytest.mark.usefixtures("garbage_in_this_thread")
class TestFarEnds:
    async def test_one_without_rtp_and_rtcp_is_lost(self) -> None:
        async with up() as (_, caller, call):
            await call.until(lambda: call.ended, "the end")
            assert call.leg.lost is Lost.NO_MEDIA
            assert call.leg.ended_by_far_end
            await caller.until(lambda: caller.requests("BYE"))

    @pytest.mark.parametrize(("packet", "rtcp"), [(RTP, False), (RECEIVER_REPORT, True)])
    async def test_either_keeps_the_call(self, packet: bytes, rtcp: bool) -> None:
        async with up() as (phone, caller, call):
            for number in range(15):
                numbered = packet[:2] + struct.pack("!H", number) + packet[4:]
                phone.send_media(
                    caller.finals("INVITE")[0], packet if rtcp else numbered, rtcp=rtcp
                )
                await call.hear(200)
            assert not call.ended
            await call.until(lambda: call.ended, "the end")

    async def test_on_hold_it_is_asked_and_stays_while_it_answers(self) -> None:
        async with up() as (phone, caller, call):
            await hold(caller, phone)
            await caller.until(lambda: len(caller.requests("OPTIONS")) == 2)
            assert not call.ended
            caller.invite(sdp(phone.rtp_port, version=3))
            await call.until(lambda: call.media[-1], "the end of the hold")
            assert not call.ended  # and has all of the time again
            await call.until(lambda: call.ended, "the end")
            assert call.leg.lost is Lost.NO_MEDIA

    async def test_on_hold_it_is_lost_when_it_knows_the_call_no_more(self) -> None:
        async with up() as (phone, caller, call):
            caller.answers["OPTIONS"] = 481
            await hold(caller, phone)
            await call.until(lambda: call.ended, "the end")
            assert call.leg.lost is Lost.NO_ANSWER

    async def test_one_that_hangs_up_is_not_lost(self) -> None:
        async with up() as (_, caller, call):
            assert await caller.bye() == 200
            await call.until(lambda: call.ended, "the end")
            assert call.leg.lost is None

    async def test_hanging_up_here_loses_nobody(self) -> None:
        async with up() as (_, caller, call):
            caller.answers["BYE"] = 481
            call.leg.hangup()
            await call.until(lambda: call.ended, "the end")
            assert call.leg.lost is None


async def test_no_limit_waits_for_ever(garbage_in_this_thread: None) -> None:
    async with (
        running(far_end_silent_s=None) as rig,
        RawPhone(rig.endpoint.port) as phone,
    ):
        caller = await phone.invite().answered()
        call = await rig.call_in()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.until(lambda: caller.requests("BYE")), 3)
        assert not call.ended


INVITE = """\
INVITE sip:support@127.0.0.1 SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK-gone;rport
From: <sip:gone@127.0.0.1>;tag=gone
To: <sip:support@127.0.0.1>
Contact: <sip:gone@127.0.0.1:9;transport=tcp>
Call-ID: gone@127.0.0.1
CSeq: 1 INVITE
Max-Forwards: 70
Content-Length: 0

"""


async def test_one_whose_connection_is_gone_before_the_answer_is_lost(rig: Rig) -> None:
    rig.take = lambda call: None
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.endpoint.port)
    writer.write(INVITE.replace("\n", "\r\n").encode())
    call = await rig.call_in()
    writer.close()
    await reader.read()  # the end: the gateway closes the connection, too
    call.leg.answer()

    clock = ManualClock()
    far_ends = FarEnds(None, clock)
    far_ends.look(rig.endpoint.legs)
    clock.advance_ms(34_000)
    far_ends.look(rig.endpoint.legs)
    assert not call.ended
    clock.advance_ms(1_000)
    far_ends.look(rig.endpoint.legs)
    assert call.ended
    assert call.leg.lost is Lost.NO_ANSWER
    assert not rig.endpoint.legs
