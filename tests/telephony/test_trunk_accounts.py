"""What the bridge sends to a trunk that challenges it: the bytes as they leave."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType

import pytest
import structlog

from tests.support.digest import authorization, hashed, read
from tests.support.raw_sip import Reply, sdp
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig, running
from tests.telephony.trunk_far_end import (
    SECRET,
    TrunkFarEnd,
    challenge,
    credentials_of,
    judge,
)

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, ELSEWHERE = "127.0.0.2", "127.0.0.3"
CREDENTIALS = {"username": "acme", "secret_env": "UNUSED"}


def started(
    more: Mapping[str, object] = MappingProxyType({}), **trunk: object
) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with a trunk that has credentials."""
    given = {"addresses": [TRUNK], "credentials": CREDENTIALS, **trunk}
    return running(**{"trunks": {"carrier": given}, **more})


@pytest.mark.parametrize("code", [401, 407])
@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
@pytest.mark.parametrize("qop", ['"auth"', '"auth-int,auth"', ""])
async def test_a_dialled_call_answers_the_trunks_challenge(
    code: int, algorithm: str, qop: str
) -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        call = rig.dial(f"sip:+15550100@{TRUNK}:{far.port};user=phone")
        bare = await far.request("INVITE")
        assert not credentials_of(bare, code)
        name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[code]
        value = challenge(algorithm, qop=qop, opaque='"o1"')
        far.answer(bare, f"{code} Prove It", (f"{name}: {value}",))
        signed = await far.request("INVITE", 1)
        assert judge(signed, code) == algorithm
        assert read(credentials_of(signed, code))["opaque"] == "o1"
        assert signed.header("CSeq") == f"{int(bare.header('CSeq').split(' ')[0]) + 1} INVITE"
        far.take(signed)
        await call.until(lambda: "confirmed" in call.states, "the call")
        call.leg.hangup()
        bye = await far.request("BYE")
        far.answer(bye, "200 OK")
        await wait_until(lambda: call.ended, "the call goes on")
        assert SECRET.encode() not in b"".join(each.data for each in far.replies)


async def test_of_two_challenges_the_stronger_is_answered() -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        rig.dial(f"sip:+15550100@{TRUNK}:{far.port}")
        bare = await far.request("INVITE")
        values = [challenge("SHA-256", "a"), challenge("MD5", "a")]
        far.answer(bare, "401 Prove It", [f"WWW-Authenticate: {each}" for each in values])
        signed = await far.request("INVITE", 1)
        assert judge(signed) == "SHA-256"
        far.answer(signed, "486 Busy Here")


async def test_nobody_else_gets_an_answer_made_of_the_secret() -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, ELSEWHERE) as far:
        call = rig.dial(f"sip:+15550100@{ELSEWHERE}:{far.port}")
        bare = await far.request("INVITE")
        far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        await wait_until(lambda: call.ended, "the call goes on")
        rig.endpoint.ask_options(f"sip:{ELSEWHERE}:{far.port}")
        asked = await far.request("OPTIONS")
        far.answer(asked, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        await far.request("ACK")
        assert not [each for each in far.replies if "username" in each.data.decode()]


async def test_another_realm_gets_none_either() -> None:
    only = {**CREDENTIALS, "realm": "other.example"}
    async with (
        started(credentials=only) as rig,
        TrunkFarEnd(rig.endpoint.port, TRUNK) as far,
    ):
        call = rig.dial(f"sip:+15550100@{TRUNK}:{far.port}")
        bare = await far.request("INVITE")
        far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        await wait_until(lambda: call.ended, "the call goes on")
        assert len(far.requests("INVITE")) == 1


@pytest.mark.parametrize("fresh", [False, True])
async def test_wrong_credentials_end_the_call_with_a_line_of_log(fresh: bool) -> None:
    """Some servers make a new nonce each time, and don't say that it was stale."""
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        with structlog.testing.capture_logs() as lines:
            call = rig.dial(f"sip:+15550100@{TRUNK}:{far.port}")
            tries = await far.challenge_until(lambda: call.ended, "INVITE", fresh=fresh)
        assert 2 <= tries <= 5
        (line,) = [each for each in lines if each["event"] == "trunk_refused_credentials"]
        assert (line["trunk"], line["sip_code"], line["log_level"]) == ("carrier", 401, "error")
        assert SECRET not in str(lines)


@pytest.mark.parametrize("code", [401, 407])
async def test_a_probe_answers_the_trunks_challenge_once(code: int) -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        with structlog.testing.capture_logs() as lines:
            rig.endpoint.ask_options(f"sip:ping@{TRUNK}:{far.port}")
            name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[code]
            values = (f"{name}: {challenge('MD5', 'a')}", f"{name}: {challenge('SHA-256', 'b')}")
            far.answer(await far.request("OPTIONS"), f"{code} Prove It", values)
            signed = await far.request("OPTIONS", 1)
            assert judge(signed, code) == "SHA-256"
            far.answer(signed, f"{code} Prove It", values)
            await wait_until(
                lambda: [each for each in lines if each["event"] == "trunk_refused_credentials"],
                "nothing in the log",
            )
        assert len(far.requests("OPTIONS")) == 2


async def test_requests_go_through_the_outbound_proxy() -> None:
    async with TrunkFarEnd(0, TRUNK) as far:
        proxy = f"sip:{TRUNK}:{far.port}"
        async with started(
            outbound_proxy=proxy, credentials={**CREDENTIALS, "hosts": "sip.carrier.invalid"}
        ) as rig:
            far.server_port = rig.endpoint.port
            rig.dial("sip:+15550100@sip.carrier.invalid")
            invite = await far.request("INVITE")
            assert invite.start == "INVITE sip:+15550100@sip.carrier.invalid SIP/2.0"
            assert invite.header("Route") == f"<{proxy};lr>"
            far.answer(invite, "407 Prove It", (f"Proxy-Authenticate: {challenge()}",))
            signed = await far.request("INVITE", 1)
            assert judge(signed, 407) == "SHA-256"
            far.answer(signed, "486 Busy Here")


async def test_a_call_that_answered_a_challenge_is_named_by_its_own_dialog() -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        call = rig.dial(f"sip:+15550100@{TRUNK}:{far.port}")
        bare = await far.request("INVITE")
        plain = bare.header("To")
        bare = type(bare)(bare.data.replace(plain.encode(), f"{plain};tag=challenge".encode(), 1))
        far.answer(bare, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        far.take(await far.request("INVITE", 1))
        await call.until(lambda: "confirmed" in call.states, "the call")
        (named,) = [each.dialog for each in rig.endpoint._calls]
        assert named is not None
        assert "far1" in repr(named)
        assert "challenge" not in repr(named)


async def test_pjsip_goes_down_beside_a_probe_without_an_answer() -> None:
    async with TrunkFarEnd(0, TRUNK) as far, started() as rig:
        for host in (TRUNK, ELSEWHERE):
            rig.endpoint.ask_options(f"sip:{host}:{far.port}")
        await far.request("OPTIONS")


async def test_a_stronger_challenge_with_a_nonce_of_its_own_is_answered() -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        rig.dial(f"sip:+15550100@{TRUNK}:{far.port}")
        values = [challenge("SHA-256", "a"), challenge("MD5", "b")]
        lines = [f"WWW-Authenticate: {each}" for each in values]
        far.answer(await far.request("INVITE"), "401 Prove It", lines)
        signed = await far.request("INVITE", 1)
        assert [judge(signed), read(credentials_of(signed))["nonce"]] == ["SHA-256", "a"]
        far.answer(signed, "486 Busy Here")


@pytest.fixture
def alice() -> dict[str, object]:
    """A user of the trunk, who authenticates from anywhere."""
    return {"alice": {"md5": hashed("MD5", "alice", "bridge", "wonderland"), "trunk": "carrier"}}


async def sends(far: TrunkFarEnd, call: Call, method: str) -> Reply:
    """Have the bridge send a request within a call; return it."""
    before = len(far.requests(method))
    orders: dict[str, Callable[[], None]] = {
        "BYE": call.leg.hangup,
        "REFER": lambda: call.leg.transfer("tel:+15550199"),
        "INVITE": call.leg.hold,
        "INFO": lambda: call.leg.send_digits("5"),
    }
    orders[method]()
    return await far.request(method, before)


@pytest.mark.parametrize("code", [401, 407])
@pytest.mark.parametrize("method", ["BYE", "REFER", "INVITE", "INFO"])
async def test_a_challenge_within_a_call_from_the_trunk_is_answered(method: str, code: int) -> None:
    async with started() as rig, TrunkFarEnd(rig.endpoint.port, TRUNK) as far:
        await far.talk().call(sdp())
        call = await rig.call_in()
        await call.until(lambda: "confirmed" in call.states, "the call")
        bare = await sends(far, call, method)
        assert not credentials_of(bare, code)
        name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[code]
        far.answer(bare, f"{code} Prove It", (f"{name}: {challenge()}",))
        signed = await far.request(method, 1)
        assert judge(signed, code) == "SHA-256"
        if method == "INVITE":
            far.take(signed)
        else:
            far.answer(signed, "202 Accepted" if method == "REFER" else "200 OK")


@pytest.mark.parametrize(
    "srtp", ["off", *(pytest.param(each, marks=pytest.mark.capacity) for each in ("optional",))]
)
async def test_a_user_who_calls_as_the_trunk_gets_no_answer_made_of_the_trunks_secret(
    alice: dict[str, object], srtp: str
) -> None:
    async with (
        started({"users": alice, "realm": "bridge"}, srtp=srtp) as rig,
        TrunkFarEnd(rig.endpoint.port, ELSEWHERE) as far,
    ):
        talk = far.talk()
        asked = (await talk.invite(sdp())).header("WWW-Authenticate")
        line = f"Authorization: {authorization(asked, 'INVITE', talk.target)}"
        assert (await talk.invite(sdp(), (line,))).code == 200
        talk.acknowledge()
        call = await rig.call_in()
        assert call.leg.trunk == "carrier"
        bye = await sends(far, call, "BYE")
        far.answer(bye, "401 Prove It", (f"WWW-Authenticate: {challenge()}",))
        await wait_until(lambda: call.ended, "the call goes on")
        assert len(far.requests("BYE")) == 1
