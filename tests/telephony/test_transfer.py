"""Blind transfer over real SIP: REFER, and what is told after it (RFC 3515)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bridge.softphone.sip_message import audio_sdp
from bridge.telephony.leg import LegState, TransferProgress
from tests.support.rtp_caller import RtpCaller, header
from tests.support.sip import SipPeer
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

QUEUE = "sip:queue@127.0.0.1:5070;transport=tcp"
TAKEN = TransferProgress(100, over=False)


@asynccontextmanager
async def transferred(
    rig: Rig, on_refer: Callable[[RtpCaller, str], None]
) -> AsyncIterator[tuple[RtpCaller, Call]]:
    """Place a call and have the rig transfer it."""
    async with RtpCaller(rig.endpoint.port) as caller:
        caller.on_refer = lambda refer: on_refer(caller, refer)
        assert await caller.call() == 200
        call = await rig.call_in()
        await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the ACK")
        call.leg.transfer(QUEUE)
        await caller.until(lambda: bool(caller.refers))
        yield caller, call


def accept(caller: RtpCaller, refer: str) -> None:
    caller.respond(refer, "202 Accepted")


def decline(caller: RtpCaller, refer: str) -> None:
    caller.respond(refer, "603 Decline")


async def test_the_far_end_is_told_where_to_go_and_tells_how_it_went(rig: Rig) -> None:
    async with transferred(rig, accept) as (caller, call):
        assert header(caller.refers[0], "Refer-To") == f"<{QUEUE}>"
        await call.until(lambda: call.transfers == [TAKEN], "the 202")
        caller.notify("180 Ringing", over=False)
        await call.until(lambda: len(call.transfers) > 1, "the progress")
        caller.notify("200 OK", over=True)
        await call.until(lambda: call.transfers[-1].over, "the end")
        assert call.transfers == [
            TAKEN,
            TransferProgress(180, over=False),
            TransferProgress(200, over=True),
        ]
        assert call.transfers[-1].completed
        call.leg.hangup()
        await caller.until(caller.ended.is_set)


async def test_a_success_ends_it_although_the_subscription_goes_on(rig: Rig) -> None:
    async with transferred(rig, accept) as (caller, call):
        caller.notify("200 OK", over=False)
        await call.until(lambda: call.transfers[-1:] == [TransferProgress(200, True)], "the end")
        count = len(call.transfers)
        caller.notify("200 OK", over=True)
        await call.hear(200)
        assert len(call.transfers) == count


async def test_a_refused_refer_ends_it_and_the_call_goes_on(rig: Rig) -> None:
    async with transferred(rig, decline) as (caller, call):
        await call.until(lambda: call.transfers == [TransferProgress(603, True)], "the refusal")
        assert not call.transfers[0].completed
        assert call.leg.state is LegState.CONFIRMED
        heard = len(caller.heard)
        await caller.until(lambda: len(caller.heard) > heard + 10)
        call.leg.transfer(QUEUE)  # and may be tried again
        await caller.until(lambda: len(caller.refers) == 2)


async def test_a_target_that_is_busy_ends_it(rig: Rig) -> None:
    async with transferred(rig, accept) as (caller, call):
        caller.notify("486 Busy Here", over=True)
        await call.until(lambda: call.transfers[-1:] == [TransferProgress(486, True)], "the end")


async def test_what_is_told_after_our_bye_reaches_nobody(rig: Rig) -> None:
    async with transferred(rig, accept) as (caller, call):
        await call.until(lambda: call.transfers == [TAKEN], "the 202")
        call.leg.hangup()
        await caller.until(caller.ended.is_set)
        caller.notify("200 OK", over=True)
        await call.until(lambda: call.ended, "the end")
        assert await rig.endpoint.idle(5.0)
        assert call.transfers == [TAKEN]


async def test_we_are_not_to_be_transferred_and_the_call_goes_on(rig: Rig) -> None:
    async with SipPeer(rig.endpoint.port) as peer:
        dialog = peer.call("bridge", audio_sdp(40_000))
        call = await rig.call_in()
        assert (await dialog.final()).status == 200
        assert (await dialog.refer("sip:premium@127.0.0.1:5070")).status == 603
        assert call.leg.state is LegState.CONFIRMED
        assert (await dialog.bye()).status == 200
