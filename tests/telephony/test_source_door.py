"""Strangers, and sources that send too much, over real SIP from several addresses of loopback."""

from contextlib import AbstractAsyncContextManager

import pytest

from bridge.sip.sources import TurnedAway
from tests.support.raw_sip import RawSip, RawTalk, sdp
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, running

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

TRUNK, STRANGER, ANOTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4"


def started(
    limits: dict[str, float] | None = None, **settings: object
) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint with one trunk, and settings of the test's."""
    trunk = {"addresses": [TRUNK], "limits": limits or {}}
    return running(**{"trunks": {"carrier": trunk}, **settings})


async def served(rig: Rig, host: str) -> bool:
    """Return whether an OPTIONS from an address is answered with 200."""
    async with RawSip(rig.endpoint.port, host) as sip:
        return (await sip.talk().ask("OPTIONS")).code == 200


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "BYE", "PUBLISH"])
async def test_a_strangers_request_is_refused_and_nothing_is_made_of_it(method: str) -> None:
    async with started() as rig, RawSip(rig.endpoint.port, STRANGER) as stranger:
        reply = await stranger.talk().ask(method, sdp())
        assert reply.start == "SIP/2.0 403 Forbidden"
        assert not rig.calls
        assert rig.turned_away == [(STRANGER, method, TurnedAway.STRANGER)]
        assert await served(rig, TRUNK)


@pytest.mark.parametrize("strangers", ["refuse", "drop"])
async def test_a_scanner_hears_nothing(strangers: str) -> None:
    async with started(strangers=strangers) as rig, RawSip(rig.endpoint.port, STRANGER) as stranger:
        agent = ("User-Agent: Friendly-Scanner",)
        stranger.send(stranger.talk().request("OPTIONS", headers=agent))
        if strangers == "drop":
            stranger.send(stranger.talk().request("INVITE", sdp()))
        assert await served(rig, TRUNK)  # behind them
        assert not stranger.replies
        assert {reason for _, _, reason in rig.turned_away} >= {TurnedAway.SCANNER}


async def test_what_nobody_can_read_is_answered_to_nobody_unknown() -> None:
    broken = (
        b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <>>\r\nTo: <\r\n"
        b"Call-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    async with (
        started() as rig,
        RawSip(rig.endpoint.port, STRANGER) as stranger,
        RawSip(rig.endpoint.port, TRUNK) as trunk,
    ):
        stranger.send(broken)
        trunk.send(broken)
        assert await trunk.reply(lambda reply: reply.code == 400) is not None
        assert await served(rig, TRUNK)
        assert not stranger.replies


async def test_a_trunks_call_goes_on_and_a_stranger_can_not_end_it() -> None:
    async with (
        started() as rig,
        RawSip(rig.endpoint.port, TRUNK) as trunk,
        RawSip(rig.endpoint.port, STRANGER) as stranger,
    ):
        talk = trunk.talk()
        await talk.call(sdp())
        call = await rig.call_in()
        forged = RawTalk(stranger, "support")
        forged.call_id, forged.to = talk.call_id, talk.to  # and not the far end's tag
        assert (await forged.ask("BYE")).code == 403
        assert not call.ended
        assert (await talk.ask("BYE")).code == 200


async def test_a_far_end_that_we_called_is_served_in_its_call() -> None:
    async with started() as rig, RawSip(rig.endpoint.port, STRANGER) as person:
        call = rig.dial(f"sip:ann@{STRANGER}:{person.port}")
        invite = await person.reply(lambda each: each.method == "INVITE" and not each.code)
        assert invite is not None
        tag, talk = "person1", person.talk()
        talk.call_id, talk.tag = invite.header("Call-ID"), tag
        talk.to, talk.target = invite.header("From"), invite.header("Contact").strip("<>")
        lines = [f"{name}: {invite.header(name)}" for name in ("Via", "From", "Call-ID", "CSeq")]
        lines += [f"To: {invite.header('To')};tag={tag}", f"Contact: {talk.contact}"]
        body = sdp()
        head = ["SIP/2.0 200 OK", *lines, "Content-Type: application/sdp"]
        head.append(f"Content-Length: {len(body)}")
        person.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        assert await person.reply(lambda each: each.method == "ACK") is not None
        assert (await talk.ask("BYE")).code == 200
        await wait_until(lambda: call.ended, "the call goes on")


async def test_strangers_are_answered_where_the_settings_say_so_within_their_limits() -> None:
    limits = {"calls_per_s": 0.1, "requests_per_s": 1000}
    async with (
        started(strangers="answer", stranger_limits=limits) as rig,
        RawSip(rig.endpoint.port, STRANGER) as first,
        RawSip(rig.endpoint.port, ANOTHER) as second,
    ):
        talks = [first.talk(), first.talk(), second.talk()]
        replies = [await talk.invite(sdp()) for talk in talks]
        assert [reply.code for reply in replies] == [200, 503, 200]
        assert replies[1].header("Retry-After") == "10"
        for talk in (talks[0], talks[2]):
            talk.acknowledge()
            assert (await talk.ask("BYE")).code == 200
        assert rig.turned_away == [(STRANGER, "INVITE", TurnedAway.RATE)]


async def test_a_trunk_has_as_many_calls_at_once_as_it_may() -> None:
    async with started({"max_calls": 1}) as rig, RawSip(rig.endpoint.port, TRUNK) as trunk:
        first = trunk.talk()
        await first.call(sdp())
        assert (await trunk.talk().invite(sdp())).code == 503
        assert (await first.ask("BYE")).code == 200
        again = trunk.talk()
        await again.call(sdp())
        assert (await again.ask("BYE")).code == 200


async def test_a_copy_of_an_invite_is_no_second_call() -> None:
    async with started({"calls_per_s": 0.1}) as rig, RawSip(rig.endpoint.port, TRUNK) as trunk:
        rig.take = lambda call: call.leg.ring()
        talk = trunk.talk()
        invite = talk.request("INVITE", sdp(), ("Content-Type: application/sdp",))
        trunk.send(invite)
        call = await rig.call_in()
        trunk.send(invite)
        assert await served(rig, TRUNK)  # behind it
        assert not [reply for reply in trunk.replies if reply.code >= 300]
        call.leg.answer()
        reply = await trunk.reply(lambda each: each.code == 200)
        assert reply is not None
        talk.to, talk.target = reply.header("To"), reply.header("Contact").strip("<>")
        talk.acknowledge()
        assert (await talk.ask("BYE")).code == 200


async def test_a_flood_is_dropped_and_the_trunk_is_served() -> None:
    async with (
        started(strangers="answer", stranger_limits={"requests_per_s": 10}) as rig,
        RawSip(rig.endpoint.port, STRANGER) as stranger,
    ):
        for _ in range(80):  # what the kernel keeps of them at once
            stranger.send(stranger.talk().request("OPTIONS"))
        assert await served(rig, TRUNK)
        await wait_until(lambda: len(stranger.replies) >= 20, "its burst is not answered")
        assert await served(rig, TRUNK)
        assert len(stranger.replies) < 40
        assert (STRANGER, "", TurnedAway.RATE) in rig.turned_away
