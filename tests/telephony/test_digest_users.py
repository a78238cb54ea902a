"""Users who authenticate by digest from addresses of no trunk, over real SIP."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bridge.sip.sources import TurnedAway
from tests.support.digest import authorization, hashed, read
from tests.support.raw_sip import RawSip, RawTalk, Reply, sdp
from tests.support.sipp import sipp
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, running
from tests.telephony.test_rtp_lock import Media, Stage, rtp_port_of

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, PHONE, ANOTHER, RELAY = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.8"
REALM = "bridge.example"
SCENARIO = Path(__file__).with_name("scenarios") / "call_with_digest.xml"


def started(**settings: object) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with the user alice, who counts as its one trunk's."""
    hashes = {
        name: hashed(algorithm, "alice", REALM, "wonderland")
        for name, algorithm in (("sha256", "SHA-256"), ("md5", "MD5"))
    }
    given = {
        "trunks": {"pbx": {"addresses": [TRUNK], "trust": ["X-Tier"]}},
        "users": {"alice": {**hashes, "trunk": "pbx"}},
        "realm": REALM,
    }
    return running(**(given | settings))


def signed(talk: RawTalk, challenge: Reply | str, method: str = "INVITE", **how: object) -> str:
    """Return the Authorization line for a dialog's next request."""
    value = challenge if isinstance(challenge, str) else challenge.header("WWW-Authenticate")
    return f"Authorization: {authorization(value, method, talk.target, **how)}"  # type: ignore[arg-type] # the test's own words


async def challenged(talk: RawTalk, method: str = "INVITE") -> Reply:
    """Send a request without credentials, and acknowledge the 401."""
    reply = await talk.invite(sdp()) if method == "INVITE" else await talk.ask(method)
    assert reply.start == "SIP/2.0 401 Unauthorized"
    if method == "INVITE":
        acknowledge_refusal(talk, reply)
    return reply


def acknowledge_refusal(talk: RawTalk, reply: Reply) -> None:
    to, talk.to = talk.to, reply.header("To")
    talk.acknowledge()
    talk.to = to


@pytest.mark.parametrize("place", [0, 1])
async def test_a_phone_that_authenticates_calls_as_its_trunk(place: int) -> None:
    async with started() as rig, RawSip(rig.endpoint.port, PHONE) as phone:
        talk = phone.talk()
        challenge = (await challenged(talk)).headers("WWW-Authenticate")
        assert [read(each)["algorithm"] for each in challenge] == ["SHA-256", "MD5"]
        assert not rig.calls
        reply = await talk.invite(sdp(), (signed(talk, challenge[place]),))
        assert reply.code == 200
        talk.acknowledge()
        call = await rig.call_in()
        assert (call.leg.source, call.leg.trunk) == (PHONE, "pbx")
        assert not {"authorization", "proxy-authorization"} & call.leg.headers.keys()
        again = await talk.invite(sdp())  # in the dialog, without credentials
        assert again.code == 200
        talk.acknowledge()
        assert (await talk.ask("BYE")).code == 200
        assert rig.turned_away == [(PHONE, "INVITE", TurnedAway.CHALLENGED)]


async def test_a_users_audio_may_come_from_the_relay_of_its_trunk() -> None:
    pbx = {"addresses": [TRUNK], "media_from": [RELAY]}
    media = Media(RELAY)
    async with started(trunks={"pbx": pbx}) as rig, RawSip(rig.endpoint.port, PHONE) as phone:
        talk = phone.talk()
        line = signed(talk, await challenged(talk))
        answer = await talk.invite(sdp(port=media.port, at="IP4 127.99.0.1"), (line,))
        talk.acknowledge()
        call = await rig.call_in()
        await call.until(lambda: call.media, "media")
        one = Stage(call, media, rtp_port_of(answer.body.decode()), sends=True)
        one.begin()
        try:
            await one.hears_agent()
        finally:
            await one.close()
            assert (await talk.ask("BYE")).code == 200
        assert not rig.strays


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"secret": "guess"}, TurnedAway.CREDENTIALS),
        ({"user": "bob"}, TurnedAway.CREDENTIALS),
        ({"nonce": "1" * 60}, TurnedAway.STALE),
        ({"qop": "auth-int"}, TurnedAway.MALFORMED),
    ],
)
async def test_wrong_credentials_get_a_challenge_again_and_no_call(
    how: dict[str, str], reason: TurnedAway
) -> None:
    async with started() as rig, RawSip(rig.endpoint.port, PHONE) as phone:
        talk = phone.talk()
        first = await challenged(talk)
        reply = await talk.invite(sdp(), (signed(talk, first, **how),))
        assert reply.start == first.start
        assert {line.split(":")[0] for line in reply.data.decode().splitlines()} == {
            line.split(":")[0] for line in first.data.decode().splitlines()
        }
        stale = read(reply.header("WWW-Authenticate")).get("stale")
        assert stale == ("true" if reason is TurnedAway.STALE else None)
        assert rig.turned_away[-1] == (PHONE, "INVITE", reason)
        assert not rig.calls


async def test_a_caught_request_can_not_be_used_again() -> None:
    async with (
        started() as rig,
        RawSip(rig.endpoint.port, PHONE) as phone,
        RawSip(rig.endpoint.port, ANOTHER) as thief,
    ):
        talk = phone.talk()
        line = signed(talk, await challenged(talk))
        assert (await talk.invite(sdp(), (line,))).code == 200
        talk.acknowledge()
        assert (await talk.ask("BYE")).code == 200
        assert (await phone.talk().invite(sdp(), (line,))).code == 401
        assert rig.turned_away[-1] == (PHONE, "INVITE", TurnedAway.REPLAY)
        assert (await thief.talk().invite(sdp(), (line,))).code == 401
        assert rig.turned_away[-1] == (ANOTHER, "INVITE", TurnedAway.STALE)
        assert len(rig.calls) == 1


async def test_a_nonce_is_good_for_the_next_call_and_its_counts_for_one_each() -> None:
    async with started() as rig, RawSip(rig.endpoint.port, PHONE) as phone:
        talk = phone.talk()
        challenge = await challenged(talk)
        for count in (1, 2):
            talk = phone.talk()
            assert (await talk.invite(sdp(), (signed(talk, challenge, nc=count),))).code == 200
            talk.acknowledge()
            assert (await talk.ask("BYE")).code == 200
        assert len(rig.turned_away) == 1


async def test_a_copy_of_an_invite_with_credentials_is_no_replay() -> None:
    async with started() as rig, RawSip(rig.endpoint.port, PHONE) as phone:
        rig.take = lambda call: call.leg.ring()
        talk = phone.talk()
        line = signed(talk, await challenged(talk))
        invite = talk.request("INVITE", sdp(), ("Content-Type: application/sdp", line))
        phone.send(invite)
        call = await rig.call_in()
        phone.send(invite)
        assert (await phone.talk().ask("OPTIONS")).code == 401  # behind it
        call.leg.answer()
        reply = await phone.reply(lambda each: each.code == 200)
        assert reply is not None
        talk.to, talk.target = reply.header("To"), reply.header("Contact").strip("<>")
        talk.acknowledge()
        assert (await talk.ask("BYE")).code == 200
        assert TurnedAway.REPLAY not in {reason for _, _, reason in rig.turned_away}


async def test_a_call_is_given_up_and_refused_without_further_credentials() -> None:
    async with started() as rig, RawSip(rig.endpoint.port, PHONE) as phone:
        rig.take = lambda call: call.leg.ring()
        talk = phone.talk()
        line = signed(talk, await challenged(talk))
        invite = talk.request("INVITE", sdp(), ("Content-Type: application/sdp", line))
        phone.send(invite)
        call = await rig.call_in()
        via = next(each for each in invite.decode().splitlines() if each.startswith("Via"))
        cancel = talk.request("CANCEL", sequence=talk.sequence).decode()
        mine = next(each for each in cancel.splitlines() if each.startswith("Via"))
        phone.send(cancel.replace(mine, via).encode())
        over = await phone.reply(lambda each: each.code == 487)
        assert over is not None
        await wait_until(lambda: call.ended, "the call was not given up")
        assert len(rig.turned_away) == 1


async def test_a_refusal_that_has_no_dialog_is_acknowledged() -> None:
    async with started() as rig, RawSip(rig.endpoint.port, PHONE) as phone:
        rig.refusal = lambda: "At Capacity"
        talk = phone.talk()
        line = signed(talk, await challenged(talk))
        invite = talk.request("INVITE", sdp(), ("Content-Type: application/sdp", line))
        phone.send(invite)
        full = await phone.reply(lambda each: each.code == 503)
        assert full is not None
        via = next(each for each in invite.decode().splitlines() if each.startswith("Via"))
        talk.to = full.header("To")
        ack = talk.request("ACK", sequence=talk.sequence).decode()
        mine = next(each for each in ack.splitlines() if each.startswith("Via"))
        phone.send(ack.replace(mine, via).encode())
        phone.replies.clear()
        # A copy would come after T1 (0.5 s).
        assert await phone.reply(lambda each: each.code == 503, timeout_s=0.8) is None


@pytest.mark.parametrize(("strangers", "answered"), [("refuse", True), ("drop", False)])
async def test_dropped_strangers_are_challenged_for_calls_alone(
    strangers: str, answered: bool
) -> None:
    async with (
        started(strangers=strangers) as rig,
        RawSip(rig.endpoint.port, PHONE) as phone,
        RawSip(rig.endpoint.port, TRUNK) as trunk,
    ):
        phone.send(phone.talk().request("REGISTER"))
        scan = phone.talk()
        phone.send(scan.request("INVITE", sdp(), ("User-Agent: friendly-scanner",)))
        assert (await trunk.talk().ask("OPTIONS")).code == 200
        await challenged(phone.talk())
        assert [each.method for each in phone.replies if each.code == 401] == (
            ["REGISTER", "INVITE"] if answered else ["INVITE"]
        )
        assert not [each for each in phone.replies if each.header("Call-ID") == scan.call_id]


async def test_a_users_calls_count_in_their_trunks_limit() -> None:
    trunks = {"pbx": {"addresses": [TRUNK], "limits": {"max_calls": 1}}}
    async with (
        started(trunks=trunks) as rig,
        RawSip(rig.endpoint.port, PHONE) as phone,
        RawSip(rig.endpoint.port, TRUNK) as trunk,
    ):
        first = trunk.talk()
        await first.call(sdp())
        talk = phone.talk()
        line = signed(talk, await challenged(talk))
        assert (await talk.invite(sdp(), (line,))).code == 503
        assert (await first.ask("BYE")).code == 200


async def test_sipp_authenticates(tmp_path: Path) -> None:
    """It answers the first challenge alone, and knows no SHA-256."""
    alone = {"md5": hashed("MD5", "alice", REALM, "wonderland"), "trunk": "pbx"}
    async with started(users={"alice": alone}) as rig:
        port = rig.endpoint.port
        options = ("-au", "alice", "-ap", "wonderland", "-auth_uri", f"support@127.0.0.1:{port}")
        async with sipp(tmp_path, port, SCENARIO, calls=3, options=options) as run:
            await run.succeeded()
        assert [call.leg.trunk for call in rig.calls] == ["pbx"] * 3
