"""A second INVITE takes a call's place (RFC 3891): over the wire, by phones that share no code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import pytest

from bridge.telephony.leg import LegState
from tests.audio.signals import tone
from tests.support.raw_phone import RawCall, RawPhone, new_branch, sdp
from tests.support.rtp import RtpPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip


@asynccontextmanager
async def up(
    rig: Rig, *, replaceable: bool = True
) -> AsyncIterator[tuple[RawPhone, RawCall, Call]]:
    """Have a call that is up, in the bridge's eyes, too."""

    def take(call: Call) -> None:
        call.leg.replaceable = replaceable
        call.leg.answer()

    rig.take = take
    async with RawPhone(rig.endpoint.port) as phone:
        first = await phone.invite().answered()
        call = await rig.call_in()
        await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the ACK")
        yield phone, first, call
        for each in phone.calls.values():
            if each.far_tag and not each.requests("BYE") and not each.finals("BYE"):
                await each.bye()
        await wait_until(lambda: not rig.endpoint.legs, "a leg stayed")


async def test_the_new_call_takes_the_place_of_the_old_one(rig: Rig) -> None:
    async with up(rig) as (_, first, call):
        row = call.leg.row
        async with RawPhone(rig.endpoint.port, user="other") as other:
            second = await other.invite(
                more=[f"Replaces: {first.replaces}", "Require: replaces"]
            ).answered()
            await first.until(lambda: first.requests("BYE"))
            await call.until(lambda: call.replaced == 1, "the change")
            assert [call.leg] == list(rig.endpoint.legs)
            assert (call.leg.state, call.leg.row) == (LegState.CONFIRMED, row)
            assert call.leg.sip_call_id == second.call_id
            assert "other@" in call.leg.from_uri
            assert call.media[-1]
            await call.hear(100)
            assert await second.bye() == 200
        await call.until(lambda: call.ended, "the end")
        assert len(rig.calls) == 1


async def test_a_third_call_takes_the_place_of_the_second(rig: Rig) -> None:
    async with up(rig) as (phone, first, call):
        last = first
        for _ in range(3):
            before, last = last, await phone.invite(more=[f"Replaces: {last.replaces}"]).answered()
            await before.until(partial(before.requests, "BYE"))
        assert (call.leg.sip_call_id, call.replaced) == (last.call_id, 3)


async def test_old_call_may_hang_up_before_the_new_one_is_confirmed(rig: Rig) -> None:
    async with up(rig) as (phone, first, call):
        phone.acknowledges = False
        second = await phone.invite(more=[f"Replaces: {first.replaces}"]).answered()
        assert call.replaced == 0
        assert await first.bye() == 200
        await call.until(lambda: call.replaced == 1, "the change")
        second.acknowledge(second.finals("INVITE")[0])
        await call.hear(100)
        assert not call.ended
        assert await second.bye() == 200


async def test_hanging_up_here_ends_both(rig: Rig) -> None:
    async with up(rig) as (phone, first, call):
        phone.acknowledges = False
        second = await phone.invite(more=[f"Replaces: {first.replaces}"]).answered()
        call.leg.hangup()
        second.acknowledge(second.finals("INVITE")[0])
        await first.until(lambda: first.requests("BYE"))
        await second.until(lambda: second.requests("BYE"))
        await call.until(lambda: call.ended, "the end")
        assert call.replaced == 0


async def test_late_offer_takes_the_place_with_its_ack(rig: Rig) -> None:
    async with up(rig) as (phone, first, call):
        phone.acknowledges = False
        second = phone.call()
        second.last_invite = second.send("INVITE", "", [f"Replaces: {first.replaces}"])
        await second.answered()
        second.acknowledge(second.finals("INVITE")[0], sdp(phone.rtp_port))
        await call.until(lambda: call.replaced == 1, "the change")
        await call.until(lambda: call.media[-1], "media")
        await call.hear(100)


async def begun_late(phone: RawPhone, first: RawCall, call: Call) -> RawCall:
    """Replace a call by an INVITE without SDP, and end that one before the offer has its answer.

    The 200 comes again each while: the phone must acknowledge none, or there would be no answer.
    """
    phone.acknowledges = False
    second = phone.call()
    second.last_invite = second.send("INVITE", "", [f"Replaces: {first.replaces}"])
    await second.answered()
    assert await first.bye() == 200
    await call.until(lambda: call.replaced == 1, "the change")
    return second


async def test_old_call_may_hang_up_before_a_late_offer_is_answered(rig: Rig) -> None:
    """The next caller's audio gets the old call's port of the conference."""
    async with up(rig) as (phone, first, call):
        second = await begun_late(phone, first, call)
        assert call.media[-1] is False
        async with RtpPeer() as talker, RawPhone(rig.endpoint.port, user="stranger") as next_one:
            stranger = await next_one.invite(sdp(talker.port)).answered()
            talker.say(tone(500, 8000, 8000 * 3, amplitude=8000))
            talker.stream(
                int(stranger.finals("INVITE")[0].text.partition("m=audio ")[2].split()[0])
            )
            other = await rig.call_in(1)
            await wait_until(lambda: other.pieces and np.abs(other.pieces[-1]).max() > 1000)
            assert np.abs(await call.hear(200)).max() < 100
            assert await stranger.bye() == 200
        second.acknowledge(second.finals("INVITE")[0], sdp(phone.rtp_port))
        await call.until(lambda: call.media[-1], "media")
        assert not call.ended


async def test_late_offer_without_an_answer_ends_the_call_whose_old_one_has_hung_up(
    rig: Rig,
) -> None:
    async with up(rig) as (phone, first, call):
        second = await begun_late(phone, first, call)
        second.acknowledge(second.finals("INVITE")[0])
        await second.until(lambda: second.requests("BYE"))
        await call.until(lambda: call.ended, "the end")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (["Replaces: nobody@nowhere;to-tag=a;from-tag=b"], 481),
        (["Replaces: {id};to-tag={far};from-tag=other"], 481),
        (["Replaces: {id};to-tag={own};from-tag={far}"], 481),
        (["Replaces: {good};early-only"], 486),
        (["Replaces: {good}", "Replaces: {good}"], 400),
        (["Replaces: {id};to-tag={far}"], 400),
        (["Replaces: {good};to-tag=x"], 400),
        (["Replaces: {id}"], 400),
    ],
)
async def test_what_may_not_replace_is_refused_and_changes_nothing(
    rig: Rig, more: list[str], status: int
) -> None:
    async with up(rig) as (phone, first, call):
        names = {
            "id": first.call_id,
            "far": first.far_tag,
            "own": first.own_tag,
            "good": first.replaces,
        }
        second = phone.invite(more=[line.format(**names) for line in more])
        assert await second.final() == status
        await call.hear(100)
        assert (call.replaced, len(rig.calls), call.ended) == (0, 1, False)


async def test_a_call_that_is_over_is_declined(rig: Rig) -> None:
    async with up(rig) as (phone, first, call):
        assert await first.bye() == 200
        await call.until(lambda: call.ended, "the end")
        assert await phone.invite(more=[f"Replaces: {first.replaces}"]).final() == 603
        assert len(rig.calls) == 1


async def test_only_where_the_first_came_from_may_replace(rig: Rig) -> None:
    async with up(rig) as (_, first, call), RawPhone(rig.endpoint.port, "127.0.0.2") as stranger:
        assert await stranger.invite(more=[f"Replaces: {first.replaces}"]).final() == 403
        assert call.replaced == 0


async def test_a_call_that_may_not_be_replaced_is_not(rig: Rig) -> None:
    async with up(rig, replaceable=False) as (phone, first, call):
        assert await phone.invite(more=[f"Replaces: {first.replaces}"]).final() == 403
        assert call.replaced == 0


async def test_an_offer_that_cannot_be_taken_changes_nothing(rig: Rig) -> None:
    async with up(rig) as (phone, first, call):
        bad = sdp(phone.rtp_port).replace("RTP/AVP 0 101", "RTP/AVP 97").replace(":0 PCMU", ":97 X")
        assert await phone.invite(bad, [f"Replaces: {first.replaces}"]).final() == 488
        # An ordinary call after it is one of its own.
        await phone.invite().answered()
        await rig.call_in(1)
        await call.hear(100)
        assert (call.replaced, call.ended) == (0, False)


async def test_a_call_that_rings_there_is_picked_up_by_another_phone(rig: Rig) -> None:
    async with RawPhone(rig.endpoint.port) as phone:
        phone.on_invite = lambda invite: phone.answer(invite, 180, tag="rings")
        call = rig.dial(f"sip:desk@127.0.0.1:{phone.port}")
        call.leg.replaceable = True
        await call.until(lambda: call.leg.state is LegState.EARLY, "ringing")
        ringing = phone.strays[0]
        own_tag = ringing.header("From").partition(";tag=")[2]
        replaces = f"{ringing.header('Call-ID')};to-tag={own_tag};from-tag=rings;early-only"
        second = await phone.invite(more=[f"Replaces: {replaces}"]).answered()
        await phone.until(lambda: any(each.method == "CANCEL" for each in phone.strays))
        phone.answer(ringing, 487, tag="rings")
        await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the pick-up")
        assert call.states.count(LegState.CONFIRMED) == 1
        await call.hear(100)
        assert await second.bye() == 200
        await call.until(lambda: call.ended, "the end")


async def test_an_invite_that_comes_on_two_ways_is_one_call(rig: Rig) -> None:
    async with up(rig) as (phone, first, _):
        branch = first.last_invite.partition("branch=")[2].partition(";")[0]
        phone.transmit(first.last_invite.replace(branch, new_branch()))
        await first.until(lambda: [each.status for each in first.finals("INVITE")] == [200, 482])
        assert len(rig.calls) == 1
