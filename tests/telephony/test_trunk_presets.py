"""Presets at the edge: an INVITE as each carrier sends it, and what goes out in its form."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from bridge.app.dialplans.plans import describe
from bridge.routing.rules import IncomingCall
from tests.support.raw_sip import RawSip, sdp
from tests.telephony.rig import Rig, running
from tests.telephony.trunk_far_end import TrunkFarEnd, challenge, judge

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, OTHER = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class Carrier:
    """How one of them writes an INVITE, by its documents, and what it stands for."""

    preset: str
    target: str
    sender: str
    headers: tuple[str, ...]
    caller: str
    called: str
    stir: str
    written: str
    """A dialled +447700900000."""


TWILIO = Carrier(
    "twilio",
    "sip:+15005550006@",
    "<sip:+12025550123@acme.pstn.twilio.com:5060>",
    (
        "X-Twilio-AccountSid: AC00000000000000000000000000000000",
        "X-Twilio-CallSid: CA00000000000000000000000000000000",
        "X-Twilio-VerStat: TN-Validation-Passed-A",
    ),
    "+12025550123",
    "+15005550006",
    "A",
    "+447700900000",
)
TELNYX = Carrier(
    "telnyx",
    "sip:15005550006@",
    '"CALLER" <sip:12025550123@sip.telnyx.com>',
    (
        "P-Asserted-Identity: "
        '"CALLER" <sip:+12025550123@sip.telnyx.com;verstat=TN-Validation-Passed-B>',
    ),
    "+12025550123",
    "+15005550006",
    "B",
    "+447700900000",
)
VONAGE = Carrier(
    "vonage",
    "sip:442079460000@",
    "<sip:447700900123@216.147.1.1>",
    (),
    "+447700900123",
    "+442079460000",
    "none",
    "447700900000",
)
SBC = Carrier(
    "sbc",
    "sip:+442079460000@",
    "<sip:anonymous@sbc.example>",
    ("P-Asserted-Identity: <sip:+447700900123@sbc.example>", "Diversion: <sip:+442079460001@sbc>"),
    "anonymous",
    "+442079460000",
    "none",
    "+447700900000",
)
CARRIERS = pytest.mark.parametrize(
    "carrier", [TWILIO, TELNYX, VONAGE, SBC], ids=lambda each: each.preset
)


def started(preset: str, **trunk: object) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with a trunk of a preset, at a loopback address."""
    carrier = {"preset": preset, "addresses": [TRUNK], **trunk}
    return running(trunks={"carrier": carrier, "other": [OTHER]})


def invite(sip: RawSip, carrier: Carrier) -> bytes:
    kind = ("Content-Type: application/sdp",)
    request = sip.talk("x").request("INVITE", sdp(), (*carrier.headers, *kind)).decode()
    request = request.replace("INVITE sip:x@", f"INVITE {carrier.target}", 1)
    head, _, rest = request.partition("From: ")
    return f"{head}From: {carrier.sender};tag={rest.partition(';tag=')[2]}".encode()


async def taken(rig: Rig, far: RawSip, carrier: Carrier) -> IncomingCall:
    """Have a carrier's call taken from an address; return what dialplans are asked about."""
    far.send(invite(far, carrier))
    leg = (await rig.call_in()).leg
    call = describe(leg, rig.settings, datetime.now(UTC))
    assert await far.reply(lambda reply: reply.code == 200)
    leg.hangup()
    return call


@CARRIERS
async def test_its_call_is_taken_and_its_caller_read(carrier: Carrier) -> None:
    async with started(carrier.preset) as rig, RawSip(rig.endpoint.port, TRUNK) as sip:
        call = await taken(rig, sip, carrier)
        found = (call.trunk, call.called, call.caller, call.stir)
        assert found == ("carrier", carrier.called, carrier.caller, carrier.stir)


@CARRIERS
async def test_its_word_on_a_number_is_nobody_elses(carrier: Carrier) -> None:
    async with started(carrier.preset) as rig, RawSip(rig.endpoint.port, OTHER) as sip:
        call = await taken(rig, sip, carrier)
        assert (call.trunk, call.stir) == ("other", "none")
        assert "p-asserted-identity" not in call.headers
        assert carrier.preset != "sbc" or "diversion" not in call.headers


@CARRIERS
async def test_what_is_dialled_goes_out_as_it_writes_numbers(carrier: Carrier) -> None:
    async with started(carrier.preset) as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        rig.dial(f"sip:+447700900000@{TRUNK}:{far.port}")
        out = await far.request("INVITE")
        assert out.start == f"INVITE sip:{carrier.written}@{TRUNK}:{far.port} SIP/2.0"
        far.answer(out, "486 Busy Here")


async def test_a_pbx_is_registered_with_and_calls_its_extensions_both_ways() -> None:
    async with TrunkFarEnd(0, TRUNK) as far:
        registration = {"registrar": f"sip:{TRUNK}:{far.port}"}
        credentials = {"username": "bridge7", "secret_env": "UNUSED"}
        async with started("pbx", credentials=credentials, registration=registration) as rig:
            far.server_port = rig.endpoint.port
            rig.endpoint.dial(f"sip:1001@{TRUNK}:{far.port}")
            bare = await far.request("INVITE")
            assert f"sip:bridge7@{TRUNK}" in bare.header("From")
            far.answer(bare, "407 Prove It", (f"Proxy-Authenticate: {challenge()}",))
            signed = await far.request("INVITE", 1)
            assert judge(signed, 407) == "SHA-256"
            far.answer(signed, "486 Busy Here")
            extension = Carrier("pbx", "sip:bridge7@", "<sip:1001@pbx>", (), "", "", "", "")
            call = await taken(rig, far, extension)
            assert (call.trunk, call.called, call.caller) == ("carrier", "bridge7", "1001")
