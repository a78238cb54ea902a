"""PRACK (RFC 3262 section 3): 200 where a response of ours waits for it, 481 everywhere else."""

import pytest

from bridge.telephony.leg import LegState
from bridge.telephony.reliable_rings import ReliableRings
from tests.support.raw_phone import RawCall, RawPhone
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

RELIABLY = ("Require: 100rel",)


async def ringing(rig: Rig, phone: RawPhone, *more: str) -> tuple[RawCall, Call]:
    rig.take = lambda call: call.leg.ring()
    call = phone.invite(more=more)
    await call.until(lambda: call.far_tag)
    return call, await rig.call_in()


def ring_of(call: RawCall) -> int:
    """Return the RSeq of the one ring, however often it came."""
    (rseq,) = {each.header("RSeq") for each in call.messages if each.header("RSeq")}
    return int(rseq)


async def prack(call: RawCall, rack: str) -> int:
    """Send a PRACK; return what it is answered with."""
    before = len(call.finals("PRACK"))
    call.send("PRACK", more=[f"RAck: {rack}"] if rack else [])
    await call.until(lambda: len(call.finals("PRACK")) > before)
    return call.finals("PRACK")[-1].status


async def test_a_ring_is_acknowledged_once(rig: Rig) -> None:
    async with RawPhone(rig.endpoint.port) as phone:
        call, there = await ringing(rig, phone, *RELIABLY)
        rack = f"{ring_of(call)} 1 INVITE"
        assert [await prack(call, rack) for _ in range(2)] == [200, 481]
        there.leg.answer()
        assert await call.final() == 200
        assert await prack(call, rack) == 481
        assert await call.bye() == 200


async def test_a_copy_of_a_prack_gets_the_answer_again(rig: Rig) -> None:
    """By UDP its 200 may be lost (RFC 3261 section 17.2.2)."""
    async with RawPhone(rig.endpoint.port) as phone:
        call, there = await ringing(rig, phone, *RELIABLY)
        sent = call.send("PRACK", more=[f"RAck: {ring_of(call)} 1 INVITE"])
        await call.until(lambda: call.finals("PRACK"))
        phone.transmit(sent)
        await call.until(lambda: len(call.finals("PRACK")) == 2)
        assert [each.status for each in call.finals("PRACK")] == [200, 200]
        there.leg.answer()
        assert await call.final() == 200
        assert await call.bye() == 200


@pytest.mark.parametrize("change", ["{other} 1 INVITE", "{rseq} 2 INVITE", "{rseq} 1 UPDATE", "x"])
async def test_what_fits_no_ring_acknowledges_none(rig: Rig, change: str) -> None:
    async with RawPhone(rig.endpoint.port) as phone:
        call, there = await ringing(rig, phone, *RELIABLY)
        rseq = ring_of(call)
        assert await prack(call, change.format(rseq=rseq, other=rseq + 1)) == 481
        assert await prack(call, f"{rseq} 1 INVITE") == 200
        there.leg.answer()
        assert await call.final() == 200
        assert await call.bye() == 200


async def test_a_ring_may_be_acknowledged_after_the_answer(rig: Rig) -> None:
    """RFC 3262 section 3: "it MUST be prepared to process PRACK requests" for it."""
    async with RawPhone(rig.endpoint.port) as phone:
        call, there = await ringing(rig, phone, *RELIABLY)
        there.leg.answer()
        await there.until(lambda: there.leg.state is LegState.CONFIRMED, "the ACK")
        assert await prack(call, f"{ring_of(call)} 1 INVITE") == 200
        assert await call.bye() == 200


async def test_who_rings_unreliably_wants_no_prack(rig: Rig) -> None:
    async with RawPhone(rig.endpoint.port) as phone:
        call, there = await ringing(rig, phone)
        assert await prack(call, "1 1 INVITE") == 481
        there.leg.answer()
        assert await call.final() == 200
        assert await call.bye() == 200


@pytest.mark.parametrize("rack", ["", "1", "1 2", "-1 1 INVITE", "9" * 5000 + " 1 INVITE"])
def test_a_malformed_header_fits_no_ring(rack: str) -> None:
    rings = ReliableRings()
    rings.sent({"rseq": ("1",), "cseq": ("1 INVITE",)})
    assert not rings.acknowledge(rack)
    assert rings.acknowledge("1 1 INVITE")
