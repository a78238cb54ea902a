"""Calls over IPv6 by a sender of the test's own: signalling, audio, its lock, odd addresses."""

import asyncio
import re
import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest

from bridge.config.sip import SipSettings
from bridge.errors import ConfigError, TelephonyError
from bridge.sip.sources import TurnedAway
from bridge.telephony.capabilities import ipv6_problem
from bridge.telephony.endpoint import SipEndpoint
from bridge.telephony.sdp import is_of_family
from tests.support.certificates import Authority
from tests.support.raw_sip import RawSip, Reply, sdp
from tests.support.rtp import RtpPeer
from tests.support.waiting import PATIENCE_S, wait_until
from tests.telephony.rig import Rig, running

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

HERE = "IP6 ::1"
SDP = ("Content-Type: application/sdp",)


def started(**settings: object) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint at ``::1``, with more settings of the test's."""
    return running(**{"host": "::1", **settings})


def line(answer: Reply, kind: str) -> str:
    """Return the one line of a kind in an answer's SDP."""
    found = re.findall(rf"(?m)^{kind}=(.*?)\r$", answer.body.decode())
    assert len(found) == 1, answer.body
    return str(found[0])


def accepted(request: Reply, body: bytes = b"") -> bytes:
    """Answer a request of ours with 200."""
    to = request.header("To")
    names = ("Via", "From", "Call-ID", "CSeq")
    lines = [f"{name}: {request.header(name)}" for name in names]
    lines += [
        f"To: {to if 'tag=' in to else to + ';tag=person'}",
        f"Contact: <{request.start.split()[1]}>",
    ]
    lines += [*(SDP if body else ()), f"Content-Length: {len(body)}"]
    return "\r\n".join(["SIP/2.0 200 OK", *lines]).encode() + b"\r\n\r\n" + body


def rtp_port(answer: Reply) -> int:
    return int(line(answer, "m").split()[1])


@pytest.mark.capacity
@pytest.mark.parametrize("host", ["::1", "::"])
async def test_a_call_has_audio_both_ways_and_a_thief_has_none(host: str) -> None:
    async with (
        started(host=host, rtp_port_min=39_600, rtp_port_max=39_699, max_calls=4) as rig,
        RawSip(rig.endpoint.port, "::1") as sip,
        RtpPeer(host="::1") as rtp,
    ):
        talk = sip.talk()
        answer = await talk.call(sdp(port=rtp.port, at=HERE))
        assert line(answer, "c").startswith("IN IP6 ")
        assert re.search(rf"@\[[0-9a-f:]+\]:{rig.endpoint.port}\b", answer.header("Contact"))
        port = rtp_port(answer)
        assert 39_600 <= port < 39_700
        call = await rig.call_in()
        await call.until(lambda: call.media == [True], "media")
        assert call.leg.source == "::1"
        rtp.stream(port)
        rtp.say((8000 * np.sin(np.arange(16_000) / 3)).astype(np.int16))
        await call.until(
            lambda: int(np.abs(call.heard_since(0).astype(int)).max(initial=0)) > 4000, "its voice"
        )
        call.play_tone(400, 1000)
        await wait_until(
            lambda: any(set(packet.payload) != {0xFF} for packet in rtp.packets), "no agent's voice"
        )
        await call.hear(500)  # and its source is known
        async with RtpPeer(host="::1") as thief:  # at another port, while the caller sends
            thief.stream(port)
            await wait_until(lambda: rig.strays, "nothing of the thief's was dropped")
            assert (thief.packets, rig.strays[0][0]) == ([], "::1")
        assert (await talk.ask("BYE")).code == 200
        await call.until(lambda: call.ended, "the end")


@pytest.mark.capacity
@pytest.mark.parametrize("place", ["IP4 127.0.0.1", "IP6 ::ffff:127.0.0.1", "IP6 fe80::1%lo"])
async def test_an_offer_of_another_family_gets_488_and_the_call_it_is_in_goes_on(
    place: str,
) -> None:
    async with (
        started() as rig,
        RawSip(rig.endpoint.port, "::1") as sip,
        RtpPeer(host="::1") as rtp,
    ):
        refused = await sip.talk().invite(sdp(at=place))
        assert (refused.code, refused.header("Warning")[:3]) == (488, "301")
        assert rig.calls == []
        talk = sip.talk()
        answer = await talk.call(sdp(port=rtp.port, at=HERE))
        rtp.stream(rtp_port(answer))
        call = await rig.call_in()
        again = await talk.ask("INVITE", sdp(at=place), SDP)
        assert again.code == 488
        talk.acknowledge()
        await call.hear(200)
        assert (await talk.ask("BYE")).code == 200


async def test_an_offer_of_ipv6_to_a_gateway_of_ipv4_gets_488() -> None:
    async with running() as rig, RawSip(rig.endpoint.port) as sip:
        refused = await sip.talk().invite(sdp(at=HERE))
        assert (refused.code, refused.header("Warning")[:3]) == (488, "301")
        talk = sip.talk()
        await talk.call(sdp())
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.parametrize(
    ("session", "stream", "is_ipv6", "fits"),
    [
        ("IP6 ::1", "", True, True),
        ("ip6 2001:db8::7", "", True, True),
        ("IP6 ::", "", True, True),  # hold as RFC 2543 had it
        ("IP4 192.0.2.1", "IP6 ::1", True, True),
        ("IP6 ::1", "IP4 192.0.2.1", True, False),
        ("IP4 192.0.2.1", "", True, False),
        ("IP6 ::ffff:192.0.2.1", "", True, False),
        ("IP6 fe80::1%eth0", "", True, False),
        ("IP6 relay.example", "", True, False),
        ("IP6 192.0.2.1", "", True, False),
        ("", "", True, True),  # PJSIP says that there is no address
        ("IP4 192.0.2.1/127", "", False, True),
        ("IP4 relay.example", "", False, True),
        ("IP4 ::1", "", False, False),
        ("IP6 ::1", "", False, False),
    ],
)
def test_audio_must_be_at_an_address_of_our_family(
    session: str, stream: str, is_ipv6: bool, fits: bool
) -> None:
    def connection(place: str) -> str:
        return f"c=IN {place}\r\n" if place else ""

    offer = f"v=0\r\n{connection(session)}m=audio 4000 RTP/AVP 0\r\n{connection(stream)}"
    refused = "m=audio 0 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nc=IN IP6 ::1\r\n"
    assert is_of_family(offer + refused, is_ipv6=is_ipv6) is fits


@pytest.mark.capacity
async def test_a_trunk_is_served_within_its_limits_and_a_stranger_is_not() -> None:
    trunk = {"addresses": ["::/64"], "limits": {"max_calls": 1}}
    async with (
        started(trunks={"carrier": trunk}) as rig,
        RawSip(rig.endpoint.port, "::1") as sip,
    ):
        talk = sip.talk()
        await talk.call(sdp(at=HERE))
        assert (await rig.call_in()).leg.trunk == "carrier"
        assert (await sip.talk().invite(sdp(at=HERE))).code == 503
        assert (await talk.ask("BYE")).code == 200
    async with (
        started(trunks={"proxy": ["127.0.0.9"]}) as rig,  # so that ::1 is a stranger
        RawSip(rig.endpoint.port, "::1") as sip,
    ):
        assert (await sip.talk().invite(sdp(at=HERE))).code == 403
        assert rig.turned_away == [("::1", "INVITE", TurnedAway.STRANGER)]


@pytest.mark.capacity
async def test_senders_write_addresses_in_many_ways() -> None:
    async with started() as rig, RawSip(rig.endpoint.port, "::1") as sip:
        for via, contact in (
            ("[0:0:0:0:0:0:0:1]", "[0:0::1]"),
            ("[2001:db8::7]", "[2001:db8::7]"),  # behind a NAT: rport and received say where
            ("[::ffff:127.0.0.1]", "[::1]"),
        ):
            talk = sip.talk()
            talk.via, talk.contact = f"{via}:{sip.port}", f"<sip:raw@{contact}:{sip.port}>"
            await talk.call(sdp(at=HERE))
            assert (await talk.ask("BYE")).code == 200
        for via in ("::1", "[fe80::1%25lo]", "[::1", "[]"):
            odd = sip.talk()
            odd.via = f"{via}:{sip.port}"
            sip.send(odd.request("INVITE", sdp(at=HERE), SDP))
        assert (await sip.talk().ask("OPTIONS")).code == 200
        calls = len(rig.calls)
        talk = sip.talk()
        await talk.call(sdp(at=HERE))
        await rig.call_in(calls)
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.capacity
async def test_tcp_and_tls_are_heard_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    cert, key = authority.sign("gateway", hosts=["::1"])
    trusting = ssl.create_default_context(cafile=authority.cert_file)
    async with started(tls={"port": 0, "cert_file": cert, "key_file": key}) as rig:
        assert rig.endpoint.tls is not None
        options = RawSip(rig.endpoint.port, "::1").talk().request("OPTIONS")
        for port, context, transport in (
            (rig.endpoint.port, None, b"TCP"),
            (rig.endpoint.tls.port, trusting, b"TLS"),
        ):
            reader, writer = await asyncio.open_connection("::1", port, ssl=context)
            writer.write(options.replace(b"SIP/2.0/UDP", b"SIP/2.0/" + transport))
            async with asyncio.timeout(PATIENCE_S):
                assert await reader.readline() == b"SIP/2.0 200 OK\r\n"
            writer.close()


@pytest.mark.capacity
@pytest.mark.parametrize("answered_at", [HERE, "IP4 127.0.0.1"])
async def test_a_person_is_dialled_at_an_ipv6_address(answered_at: str) -> None:
    async with (
        started() as rig,
        RawSip(rig.endpoint.port, "::1") as person,
        RtpPeer(host="::1") as rtp,
    ):
        call = rig.dial(f"sip:ann@[::1]:{person.port}")
        invite = await person.reply(lambda each: each.method == "INVITE" and not each.code)
        assert invite is not None
        assert invite.start == f"INVITE sip:ann@[::1]:{person.port} SIP/2.0"
        assert invite.header("Via").startswith(f"SIP/2.0/UDP [::1]:{rig.endpoint.port};")
        assert re.match(r"<?sip:bridge@\[::1\]", invite.header("From"))
        assert f"@[::1]:{rig.endpoint.port}" in invite.header("Contact")
        assert line(invite, "c") == "IN IP6 ::1"
        person.send(accepted(invite, sdp(port=rtp.port, at=answered_at)))
        if answered_at == HERE:
            await call.until(lambda: call.media == [True], "media")
            call.play_tone(400, 1000)
            await wait_until(lambda: len(rtp.packets) > 5, "the person hears nothing")
            call.leg.hangup()
        bye = await person.reply(lambda each: each.method == "BYE" and not each.code)
        assert bye is not None
        person.send(accepted(bye))
        await call.until(lambda: call.ended, "the end")
        with pytest.raises(TelephonyError, match=r"127\.0\.0\.1"):
            rig.dial("sip:ann@127.0.0.1:5060")


@pytest.mark.skipif(ipv6_problem() is None, reason="the loaded PJSIP has IPv6")
def test_a_pjsip_without_ipv6_is_refused_with_the_remedy() -> None:
    endpoint = SipEndpoint(SipSettings(host="::1", port=0))
    with pytest.raises(ConfigError, match=r"sip.host ::1 can't be had.*capacity build"):
        endpoint.start()
