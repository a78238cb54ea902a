"""How much audio our packets carry: ptime and maxptime (RFC 8866 section 6.4), by what is sent."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.telephony.sdp import with_served_ptime
from tests.support.raw_sip import RawSip, Reply, sdp
from tests.support.rtp import RtpPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig

pytestmark = pytest.mark.sip

_SDP = ("Content-Type: application/sdp",)
_BYTES_A_MS = 8
_PACKETS = 5

CASES = [
    ((), 20),
    (("maxptime:20",), 20),
    (("maxptime:10",), 10),
    (("maxptime:30",), 20),
    (("ptime:10",), 10),
    (("ptime:40",), 40),
    (("ptime:60", "maxptime:60"), 60),
    (("ptime:40", "maxptime:20"), 20),
    (("maxptime:20", "ptime:40"), 20),
    (("ptime:40", "maxptime:35"), 30),
    (("ptime:10", "maxptime:150"), 10),
    (("ptime:5", "maxptime:20"), 10),
    (("ptime:15",), 20),
    (("ptime:9999",), 180),
    (("ptime:2560", "maxptime:9999"), 180),
    (("ptime:4294967296",), 180),
    ((" ptime:9999",), 180),
    ((" maxptime:10",), 10),
    (("maxptime:0",), 20),
    (("maxptime:-1",), 20),
    (("maxptime:text",), 20),
    (("maxptime:",), 20),
    (("maxptime:1",), 10),
    (("maxptime:7",), 10),
    (("maxptime:15",), 10),
    (("maxptime:9999",), 20),
    (("maxptime: 10",), 10),
    (("maxptime:40", "maxptime:10", "ptime:40", "ptime:30"), 10),
    (("ptime:0", "maxptime:10"), 10),
]

PIECES = ["m=audio ", "m=video ", "a=ptime:", "a=maxptime:", "\r\n", "\n", "\r", "\r\n\r\n"]
PIECES += ["0", "0\r\n", "9", "20", "20\r\n", " ", "-1", "99999\r\n", "x", "\0", "\xff"]


def audio(port: int, *attributes: str) -> str:
    return f"m=audio {port} RTP/AVP 0 8\r\n" + "".join(f"a={each}\r\n" for each in attributes)


async def sent_ms(rtp: RtpPeer) -> float:
    """Return the length of the next packets, which must all have the same."""
    since = len(rtp.packets)
    await wait_until(lambda: len(rtp.packets) > since + _PACKETS, "nothing was sent")
    sizes = {len(packet.payload) for packet in rtp.packets[since:]}
    assert len(sizes) == 1, sizes
    return sizes.pop() / _BYTES_A_MS


def own_ptimes(reply: Reply) -> list[str]:
    lines = reply.body.decode().split("\r\n")
    return [line for line in lines if line.startswith("a=ptime")]


async def test_an_offer_says_how_long_our_packets_are(rig: Rig) -> None:
    for number, (attributes, served_ms) in enumerate(CASES):
        async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
            talk = sip.talk()
            answer = await talk.call(sdp(audio(rtp.port, *attributes)))
            assert await sent_ms(rtp) == served_ms, attributes
            rtp.stream(int(answer.media[0].split()[1]))
            await (await rig.call_in(number)).hear(40)
            assert (await talk.ask("BYE")).code == 200


async def test_a_limit_outside_the_audio_is_none_of_the_audio(rig: Rig) -> None:
    """RFC 8866 section 6.4: "Usage Level: media"."""
    video = "m=video 40002 RTP/AVP 31\r\na=maxptime:10\r\n"
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        offer = sdp(video, audio(rtp.port)).replace(b"t=0 0\r\n", b"t=0 0\r\na=maxptime:10\r\n")
        await talk.call(offer)
        assert await sent_ms(rtp) == 20
        assert (await talk.ask("BYE")).code == 200


async def test_a_new_offer_in_a_call_changes_the_packets(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        await talk.call(sdp(audio(rtp.port)))
        assert await sent_ms(rtp) == 20
        for attributes, served_ms in ((("maxptime:10",), 10), (("ptime:40", "maxptime:30"), 30)):
            # Another port: PJSIP may keep a stream that leads to the same one.
            async with RtpPeer() as other:
                answer = await talk.ask("INVITE", sdp(audio(other.port, *attributes)), _SDP)
                assert answer.code == 200
                talk.acknowledge()
                assert await sent_ms(other) == served_ms
        assert (await talk.ask("BYE")).code == 200


async def test_a_new_offer_from_the_same_port_changes_the_packets(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        await talk.call(sdp(audio(rtp.port)))
        assert await sent_ms(rtp) == 20
        await talk.ask("INVITE", sdp(audio(rtp.port, "maxptime:10")), _SDP)
        talk.acknowledge()
        await wait_until(
            lambda: len(rtp.packets[-1].payload) == 10 * _BYTES_A_MS, "packets stay long"
        )
        assert (await talk.ask("BYE")).code == 200


async def test_an_answer_in_an_ack_says_how_long_our_packets_are(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        await talk.invite(b"")
        talk.acknowledge(sdp(audio(rtp.port, "maxptime:10")), _SDP)
        assert await sent_ms(rtp) == 10
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.parametrize(
    ("attributes", "served_ms"), [(("maxptime:10",), 10), (("ptime:9999", "maxptime:40"), 40)]
)
async def test_the_answer_to_a_call_of_ours_says_how_long_our_packets_are(
    rig: Rig, attributes: tuple[str, ...], served_ms: int
) -> None:
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        rig.dial(f"sip:raw@127.0.0.1:{sip.port}")
        invite = await sip.reply(lambda message: message.start.startswith("INVITE"))
        assert invite is not None
        sip.send(_answer(invite, sdp(audio(rtp.port, *attributes)), sip.port))
        assert await sent_ms(rtp) == served_ms


async def test_every_description_of_ours_asks_for_packets_of_20_ms(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        answer = await talk.call(sdp("m=audio 0 RTP/AVP 0\r\n", audio(rtp.port, "ptime:40")))
        assert own_ptimes(answer) == ["a=ptime:20"]
        again = await talk.ask("INVITE", sdp(audio(rtp.port, "maxptime:10")), _SDP)
        assert own_ptimes(again) == ["a=ptime:20"]
        talk.acknowledge()
        assert (await talk.ask("BYE")).code == 200
        late = await sip.talk().invite(b"")
        assert own_ptimes(late) == ["a=ptime:20"]
        rig.dial(f"sip:raw@127.0.0.1:{sip.port}")
        invite = await sip.reply(lambda message: message.start.startswith("INVITE"))
        assert invite is not None
        assert own_ptimes(invite) == ["a=ptime:20"]


async def test_a_limit_is_kept_in_a_body_of_several_parts(rig: Rig) -> None:
    kind = ("Content-Type: multipart/mixed;boundary=part",)
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        offer = sdp(audio(rtp.port, "ptime:40", "maxptime:10"))
        body = b"--part\r\nContent-Type: application/sdp\r\n\r\n" + offer
        body += b"\r\n--part\r\nContent-Type: text/plain\r\n\r\nhello\r\n--part--\r\n"
        answer = await sip.talk().ask("INVITE", body, kind)
        assert answer.code == 200
        assert await sent_ms(rtp) == 10


async def test_a_limit_is_kept_in_an_offer_over_tcp(rig: Rig) -> None:
    """Two messages in one segment: the first has its limit, the second has none."""
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as short, RtpPeer() as usual:
        offers = [sdp(audio(short.port, "maxptime:10")), sdp(audio(usual.port))]
        sent = b"".join(sip.talk().request("INVITE", offer, _SDP) for offer in offers)
        _, writer = await asyncio.open_connection("127.0.0.1", rig.endpoint.port)
        writer.write(sent.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))
        assert await sent_ms(short) == 10
        assert await sent_ms(usual) == 20
        writer.close()


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from([None, 10, 40]))
@example(["m=audio ", "0\r\n", "a=ptime:", "99999\r\n", "a=ptime:", "9"], None)
def test_a_message_keeps_its_length(pieces: list[str], fixed_ms: int | None) -> None:
    """PJSIP has measured it already."""
    message = "".join(["INVITE sip:a SIP/2.0\r\n\r\n", *pieces]).encode("latin-1")
    assert len(with_served_ptime(message, fixed_ms)) == len(message)


def test_a_phone_with_a_packet_time_of_its_own_keeps_to_limits_alone() -> None:
    head = b"SIP/2.0 200 OK\r\n\r\n"
    wish = head + sdp(audio(4000, "ptime:20"))
    assert b"ptime:" not in with_served_ptime(wish, 40)
    limit = head + sdp(audio(4000, "ptime:20", "maxptime:30"))
    assert b"a=ptime:00030\r\n" in with_served_ptime(limit, 40)


def _answer(invite: Reply, body: bytes, port: int) -> bytes:
    vias = [f"Via: {via}" for via in invite.headers("Via")]
    kept = [f"{name}: {invite.header(name)}" for name in ("From", "Call-ID", "CSeq")]
    lines = ["SIP/2.0 200 OK", *vias, *kept, f"To: {invite.header('To')};tag=far"]
    lines += [f"Contact: <sip:raw@127.0.0.1:{port}>", *_SDP, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
