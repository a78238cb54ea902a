"""Presets at the edge: an INVITE as each carrier sends it, and what goes out in its form."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from bridge.app.dialplans.plans import describe
from bridge.config.settings import Settings
from tests.support.raw_sip import RawSip, sdp
from tests.telephony.rig import Rig
from tests.telephony.trunk_far_end import SECRET, TrunkFarEnd, challenge, judge

pytestmark = pytest.mark.sip

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

StartRig = Callable[..., AbstractAsyncContextManager[tuple[Rig, Settings]]]


@pytest.fixture
def started(garbage_in_this_thread: None) -> StartRig:
    """Return what runs an endpoint with a trunk of a preset, at a loopback address."""

    @asynccontextmanager
    async def start(preset: str, **trunk: object) -> AsyncIterator[tuple[Rig, Settings]]:
        trunks = {"carrier": {"preset": preset, "addresses": [TRUNK], **trunk}, "other": [OTHER]}
        settings = Settings.model_validate(
            {"node": "n", "sip": {"host": "127.0.0.1", "port": 0, "trunks": trunks}}
        )
        rig = Rig(settings.sip, trunk_secrets={"carrier": SECRET})
        rig.start()
        try:
            yield rig, settings
        finally:
            rig.stop()

    return start


def invite(sip: RawSip, carrier: Carrier) -> bytes:
    kind = ("Content-Type: application/sdp",)
    request = sip.talk("x").request("INVITE", sdp(), (*carrier.headers, *kind)).decode()
    request = request.replace("INVITE sip:x@", f"INVITE {carrier.target}", 1)
    head, _, rest = request.partition("From: ")
    return f"{head}From: {carrier.sender};tag={rest.partition(';tag=')[2]}".encode()


@CARRIERS
async def test_its_call_is_taken_and_its_caller_read(started: StartRig, carrier: Carrier) -> None:
    async with (
        started(carrier.preset) as (rig, settings),
        RawSip(rig.endpoint.port, TRUNK) as sip,
    ):
        sip.send(invite(sip, carrier))
        leg = (await rig.call_in()).leg
        assert await sip.reply(lambda reply: reply.code == 200)
        call = describe(leg, settings.sip, datetime.now(UTC))
        found = (call.trunk, call.called, call.caller, call.stir)
        assert found == ("carrier", carrier.called, carrier.caller, carrier.stir)
        leg.hangup()


@CARRIERS
async def test_its_word_on_a_number_is_nobody_elses(started: StartRig, carrier: Carrier) -> None:
    async with (
        started(carrier.preset) as (rig, settings),
        RawSip(rig.endpoint.port, OTHER) as sip,
    ):
        sip.send(invite(sip, carrier))
        leg = (await rig.call_in()).leg
        call = describe(leg, settings.sip, datetime.now(UTC))
        assert (call.trunk, call.stir) == ("other", "none")
        assert "p-asserted-identity" not in call.headers
        assert carrier.preset != "sbc" or "diversion" not in call.headers
        leg.hangup()


@CARRIERS
async def test_what_is_dialled_goes_out_as_it_writes_numbers(
    started: StartRig, carrier: Carrier
) -> None:
    async with (
        started(carrier.preset) as (rig, _),
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
    ):
        rig.dial(f"sip:+447700900000@{TRUNK}:{far.port}")
        out = await far.request("INVITE")
        assert out.start == f"INVITE sip:{carrier.written}@{TRUNK}:{far.port} SIP/2.0"
        far.answer(out, "486 Busy Here")


async def test_a_pbx_is_registered_with_and_calls_its_extensions_both_ways(
    started: StartRig,
) -> None:
    async with TrunkFarEnd(0, TRUNK) as far:
        registration = {"registrar": f"sip:{TRUNK}:{far.port}"}
        credentials = {"username": "bridge7", "secret_env": "UNUSED"}
        async with started("pbx", credentials=credentials, registration=registration) as (
            rig,
            settings,
        ):
            far.server_port = rig.endpoint.port
            rig.endpoint.dial(f"sip:1001@{TRUNK}:{far.port}")
            bare = await far.request("INVITE")
            assert f"sip:bridge7@{TRUNK}" in bare.header("From")
            far.answer(bare, "407 Prove It", (f"Proxy-Authenticate: {challenge()}",))
            signed = await far.request("INVITE", 1)
            assert judge(signed, 407) == "SHA-256"
            far.answer(signed, "486 Busy Here")
            extension = Carrier("pbx", "sip:bridge7@", "<sip:1001@pbx>", (), "", "", "", "")
            far.send(invite(far, extension))
            leg = (await rig.call_in()).leg
            call = describe(leg, settings.sip, datetime.now(UTC))
            assert (call.trunk, call.called, call.caller) == ("carrier", "bridge7", "1001")
            leg.hangup()
