"""Numbers at the edge: what a trunk's INVITE makes of a leg, and what leaves towards a trunk."""

from contextlib import AbstractAsyncContextManager

import pytest

from tests.support.raw_sip import RawSip, sdp
from tests.telephony.rig import Rig, running
from tests.telephony.trunk_far_end import TrunkFarEnd

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, OTHER = "127.0.0.2", "127.0.0.3"
GERMAN = {
    "country_code": "49",
    "national_prefix": "0",
    "international_prefix": "00",
    "out": "national",
}


def started() -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with a trunk that writes numbers as Germans do, and another."""
    return running(trunks={"german": {"addresses": [TRUNK], "numbers": GERMAN}, "other": [OTHER]})


@pytest.mark.parametrize(
    ("host", "target", "sender", "called", "caller"),
    [
        (TRUNK, b"sip:03012345678@", b"sip:00441632960000@", "+493012345678", "+441632960000"),
        (TRUNK, b"sip:112@", b"sip:anonymous@", "112", "anonymous"),
        (TRUNK, b"sip:03012345678;phone-context=+1@", b"sip:1001@", "03012345678", "1001"),
        (OTHER, b"sip:03012345678@", b"sip:00441632960000@", "03012345678", "00441632960000"),
    ],
)
async def test_dialplans_and_records_see_one_form(
    host: str, target: bytes, sender: bytes, called: str, caller: str
) -> None:
    async with started() as rig, RawSip(rig.endpoint.port, host) as sip:
        request = sip.talk("dialled").request("INVITE", sdp(), ("Content-Type: application/sdp",))
        line, _, rest = request.partition(b"\r\n")
        head = line.replace(b"sip:dialled@", target) + b"\r\n"
        sip.send(head + rest.replace(b"From: <sip:raw@", b'From: "0301 Eve" <' + sender))
        leg = (await rig.call_in()).leg
        assert leg.called == called
        assert leg.from_uri == f'"0301 Eve" <sip:{caller}@127.0.0.1:{sip.port}>'
        leg.hangup()


@pytest.mark.parametrize(
    ("user", "written"),
    [
        ("+493012345678", "03012345678"),
        ("+441632960000", "00441632960000"),
        ("112", "112"),
        ("+49112", "+49112"),
        ("queue", "queue"),
    ],
)
async def test_dialled_calls_leave_as_the_trunk_writes_numbers(user: str, written: str) -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        rig.dial(f"sip:{user}@{TRUNK}:{far.port};user=phone")
        invite = await far.request("INVITE")
        assert invite.start == f"INVITE sip:{written}@{TRUNK}:{far.port};user=phone SIP/2.0"
        assert invite.header("To").strip("<").startswith(f"sip:{written}@{TRUNK}")
        far.answer(invite, "486 Busy Here")


async def test_elsewhere_they_leave_as_they_are() -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, OTHER) as far:
        rig.dial(f"sip:+493012345678@{OTHER}:{far.port}")
        invite = await far.request("INVITE")
        assert invite.start.startswith(f"INVITE sip:+493012345678@{OTHER}")
        far.answer(invite, "486 Busy Here")
        assert rig.endpoint.with_its_number("tel:+493012345678") == "tel:+493012345678"
        there = f"sip:+493012345678@{TRUNK}"
        assert rig.endpoint.with_its_number(there) == f"sip:03012345678@{TRUNK}"
