"""Headers at the edge: the bytes that leave towards a trunk for which some are set."""

from contextlib import AbstractAsyncContextManager

import pytest

from tests.support.raw_sip import Reply
from tests.telephony.rig import Rig, running
from tests.telephony.trunk_far_end import TrunkFarEnd, challenge, judge

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, OTHER = "127.0.0.2", "127.0.0.3"
ASSERTED = '"Acme" <sip:+493012345678@acme.example>, <tel:+493012345678>'
HEADERS = {"P-Asserted-Identity": ASSERTED, "Privacy": "id;critical", "X-Account": "17"}


def started(**trunk: object) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with a trunk that has headers set, and another."""
    carrier = {"addresses": [TRUNK], "headers": HEADERS, **trunk}
    return running(trunks={"carrier": carrier, "other": [OTHER]})


def those_of(request: Reply) -> dict[str, str]:
    """Return the headers that are set, each of which is there once at most."""
    found = {name: request.headers(name) for name in HEADERS}
    assert all(len(values) < 2 for values in found.values()), found
    return {name: values[0] for name, values in found.items() if values}


def sender_of(invite: Reply) -> str:
    return invite.header("From").partition(";")[0].strip("<>")


async def test_a_dialled_call_has_them_and_the_answer_to_its_challenge_too() -> None:
    credentials = {"username": "acme", "secret_env": "UNUSED"}
    async with (
        started(credentials=credentials, caller_id="+493012345678") as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
    ):
        uri = f"sip:+15550100@{TRUNK}:{far.port}"
        rig.endpoint.dial(uri, {"X-ACCOUNT": "the caller's", "X-Other": "1"})
        bare = await far.request("INVITE")
        far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        signed = await far.request("INVITE", 1)
        assert judge(signed) == "SHA-256"
        for invite in (bare, signed):
            assert those_of(invite) == HEADERS
            assert invite.header("X-Other") == "1"
            assert sender_of(invite) == "sip:+493012345678@127.0.0.1"
        far.answer(signed, "486 Busy Here")


async def test_the_caller_id_may_have_a_domain() -> None:
    async with (
        started(caller_id="4930123@acme.example") as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
    ):
        rig.dial(f"sip:+15550100@{TRUNK}:{far.port}")
        invite = await far.request("INVITE")
        assert sender_of(invite) == "sip:4930123@acme.example"
        assert f"@127.0.0.1:{rig.endpoint.port}" in invite.header("Contact")
        far.answer(invite, "486 Busy Here")


async def test_a_probe_has_extensions_alone_and_keeps_them_when_challenged() -> None:
    credentials = {"username": "acme", "secret_env": "UNUSED"}
    async with (
        started(credentials=credentials) as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
    ):
        rig.endpoint.ask_options(f"sip:{TRUNK}:{far.port}")
        bare = await far.request("OPTIONS")
        far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        signed = await far.request("OPTIONS", 1)
        assert those_of(bare) == those_of(signed) == {"X-Account": "17"}
        assert judge(signed) == "SHA-256"
        far.answer(signed, "200 OK")


async def test_nobody_else_gets_them() -> None:
    async with started(caller_id="+49") as rig, TrunkFarEnd(rig.endpoint.port, OTHER) as far:
        rig.endpoint.dial(f"sip:1@{OTHER}:{far.port}", {"X-Account": "the caller's"})
        invite = await far.request("INVITE")
        assert those_of(invite) == {"X-Account": "the caller's"}
        assert sender_of(invite) == "sip:bridge@127.0.0.1"
        far.answer(invite, "486 Busy Here")
        rig.endpoint.ask_options(f"sip:{OTHER}:{far.port}")
        assert not those_of(await far.request("OPTIONS"))
