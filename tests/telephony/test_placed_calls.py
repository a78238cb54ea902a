"""Calls that the bridge places: their Max-Forwards in the bytes that leave, and trunks' limits."""

from contextlib import AbstractAsyncContextManager

import pytest

from bridge.errors import CallNotPlacedError, NotPlaced
from tests.support.raw_sip import RawSip, Reply
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, running
from tests.telephony.trunk_far_end import TrunkFarEnd, challenge, judge

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, OTHER = "127.0.0.2", "127.0.0.3"
CREDENTIALS = {"username": "acme", "secret_env": "UNUSED"}


def started(**trunk: object) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with a trunk, and another without limits."""
    return running(trunks={"carrier": {"addresses": [TRUNK], **trunk}, "other": [OTHER]})


def place(rig: Rig, far: TrunkFarEnd, hops: int = 70) -> None:
    rig.endpoint.dial(f"sip:+15550100@{far.host}:{far.port}", hops=hops)


def why(rig: Rig, far: TrunkFarEnd, hops: int = 70) -> NotPlaced:
    with pytest.raises(CallNotPlacedError) as refused:
        place(rig, far, hops)
    return refused.value.reason


def hops_of(request: Reply) -> str:
    """Return its Max-Forwards, of which there is one."""
    [value] = request.headers("Max-Forwards")
    return value


@pytest.mark.parametrize("hops", [0, 41, 254])
async def test_an_invite_has_its_hops_once_and_so_has_the_answer_to_its_challenge(
    hops: int,
) -> None:
    async with (
        started(credentials=CREDENTIALS) as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
    ):
        place(rig, far, hops)
        bare = await far.request("INVITE")
        far.answer(bare, "407 Prove It", (f"Proxy-Authenticate: {challenge()}",))
        signed = await far.request("INVITE", 1)
        assert judge(signed, 407) == "SHA-256"
        assert [hops_of(each) for each in (bare, signed)] == [str(hops)] * 2
        far.answer(signed, "486 Busy Here")


async def test_other_requests_have_the_usual_hops() -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        place(rig, far, 3)
        invite = await far.request("INVITE")
        far.take(invite)
        await wait_until(lambda: rig.endpoint.legs, "no leg")
        rig.endpoint.ask_options(f"sip:{TRUNK}:{far.port}")
        assert hops_of(await far.request("OPTIONS")) == "70"
        place(rig, far)
        assert hops_of(await far.request("INVITE", 1)) == "70"
        far.answer(far.requests("INVITE")[1], "486 Busy Here")


async def test_a_call_without_a_hop_left_is_not_placed() -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        assert why(rig, far, -1) is NotPlaced.TOO_MANY_HOPS
        assert not rig.endpoint.legs
        place(rig, far, 0)
        await far.request("INVITE")
        assert len(far.requests("INVITE")) == 1
        far.answer(far.requests("INVITE")[0], "486 Busy Here")


async def test_calls_both_ways_take_a_trunks_places() -> None:
    async with (
        started(limits={"max_calls": 2}) as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
        TrunkFarEnd(rig.endpoint.port, OTHER) as other,
        RawSip(rig.endpoint.port, TRUNK) as caller,
    ):
        assert (await caller.talk().ask("INVITE")).code == 200
        place(rig, far)
        assert why(rig, far) is NotPlaced.TRUNK_FULL
        assert (await caller.talk().ask("INVITE")).start.endswith("Too Many Calls From There")
        place(rig, other)  # which has places
        far.answer(await far.request("INVITE"), "486 Busy Here")
        await wait_until(lambda: len(rig.endpoint.legs) == 2, "the refused call stayed")
        place(rig, far)
        far.answer(await far.request("INVITE", 1), "486 Busy Here")
        other.answer(await other.request("INVITE"), "486 Busy Here")
        assert len(far.requests("INVITE")) == 2


async def test_calls_a_second_are_counted_each_way_by_itself() -> None:
    async with (
        started(limits={"calls_per_s": 0.1}) as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
        RawSip(rig.endpoint.port, TRUNK) as caller,
    ):
        place(rig, far)
        far.answer(await far.request("INVITE"), "486 Busy Here")
        assert why(rig, far) is NotPlaced.TRUNK_TOO_FAST
        assert (await caller.talk().ask("INVITE")).code == 200
        assert (await caller.talk().ask("INVITE")).code == 503
        assert len(far.requests("INVITE")) == 1
