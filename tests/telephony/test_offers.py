"""Offers of more or other than one stream of audio (RFC 3264 section 6), answered over real SIP."""

import pytest

from bridge.telephony.leg import LegState
from tests.support.raw_sip import RawSip, sdp
from tests.support.rtp import RtpPeer
from tests.telephony.rig import Rig

pytestmark = pytest.mark.sip

VIDEO = "m=video 40002 RTP/AVP 31\r\n"
FAX = "m=image 40004 udptl t38\r\n"
UNKNOWN = "m=hologram 40006 RTP/AVP 0\r\n"
BFCP = "m=application 9 TCP/BFCP *\r\n"
SECURE = "m=audio 40008 RTP/SAVP 0 8\r\n"
OTHER_CODEC = "m=audio 40010 RTP/AVP 18\r\n"
NO_AUDIO = "m=audio 0 RTP/AVP 0 8\r\n"


def audio(port: int) -> str:
    return f"m=audio {port} RTP/AVP 0 8\r\n"


@pytest.mark.parametrize(
    "before",
    [(), (VIDEO,), (VIDEO, VIDEO), (FAX,), (UNKNOWN,), (BFCP,), (NO_AUDIO,), (SECURE,)],
    ids=["audio", "video", "two-videos", "fax", "unknown", "bfcp", "port-0", "secure"],
)
async def test_audio_is_taken_wherever_it_stands_and_the_rest_refused(
    rig: Rig, before: tuple[str, ...]
) -> None:
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        offered = (*before, audio(rtp.port), VIDEO)
        answer = await talk.invite(sdp(*offered))
        assert answer.code == 200, answer.start
        talk.acknowledge()
        ports = [line.split()[1] for line in answer.media]
        assert [line.split()[0] for line in answer.media] == [
            line.split()[0].removeprefix("m=") for line in offered
        ]
        taken = len(before)
        assert [port != "0" for port in ports] == [place == taken for place in range(len(offered))]
        call = await rig.call_in()
        await call.until(lambda: call.media == [True], "media")
        rtp.stream(int(ports[taken]))
        await call.hear(100)  # what it says arrives
        assert (await talk.ask("BYE")).code == 200


async def test_the_first_of_two_audio_streams_is_taken(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        answer = await talk.call(sdp(audio(40_020), audio(40_022)))
        first, second = (line.split()[1] for line in answer.media)
        assert first != "0"
        assert second == "0"
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.parametrize(
    "offered",
    [(NO_AUDIO,), (FAX,), (VIDEO,), (SECURE,), (OTHER_CODEC,)],
    ids=["port-0", "fax", "video", "secure", "codec"],
)
async def test_an_offer_without_usable_audio_gets_488(rig: Rig, offered: tuple[str, ...]) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        assert (await sip.talk().invite(sdp(*offered))).code == 488
        assert rig.calls == []


async def test_an_offer_of_ours_has_one_stream_of_audio_alone(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        offer = await talk.invite(b"")
        assert [line.split()[0] for line in offer.media] == ["audio"]
        talk.acknowledge(sdp(audio(40_030)), ("Content-Type: application/sdp",))
        call = await rig.call_in()
        await call.until(lambda: call.media == [True], "media")
        assert (await talk.ask("BYE")).code == 200
        rig.dial(f"sip:raw@127.0.0.1:{sip.port}")
        invite = await sip.reply(lambda message: message.start.startswith("INVITE"))
        assert invite is not None
        assert [line.split()[0] for line in invite.media] == ["audio"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", ()),
        (b"v=0\r\nthis is no SDP", ("Content-Type: application/sdp",)),
        (b"hello", ("Content-Type: text/plain",)),
    ],
    ids=["nothing", "no-sdp", "text"],
)
async def test_an_offer_of_ours_that_no_ack_answers_ends_the_call(
    rig: Rig, body: bytes, kind: tuple[str, ...]
) -> None:
    """RFC 3264 section 4: the answer is due in the ACK; without it nobody is ever heard."""
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        assert (await talk.invite(b"")).code == 200
        talk.acknowledge(body, kind)
        bye = await sip.reply(lambda message: message.start.startswith("BYE"))
        assert bye is not None
        reasons = [reason.replace(" ;", ";") for reason in bye.headers("Reason")]
        assert reasons == ['SIP;cause=488;text="No Media"']  # RFC 3326
        sip.send(_ok(bye.data))
        call = await rig.call_in()
        await call.until(lambda: call.ended, "the end")
        assert call.states == [LegState.DISCONNECTED]  # nobody took it for a call that is up
        assert call.leg.last_code == 488
        assert not call.leg.ended_by_far_end


def _ok(request: bytes) -> bytes:
    _, *lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    kept = [line for line in lines if line.split(b":")[0] in {b"Via", b"From", b"To", b"Call-ID"}]
    kept += [line for line in lines if line.startswith(b"CSeq")]
    return b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""])


@pytest.mark.parametrize(
    "offered",
    [(NO_AUDIO,), (FAX,), (VIDEO,), (SECURE,), (OTHER_CODEC,)],
    ids=["port-0", "fax", "video", "secure", "codec"],
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_a_new_offer_without_usable_audio_gets_488_and_the_call_goes_on(
    rig: Rig, offered: tuple[str, ...], method: str
) -> None:
    """RFC 3261 section 14.2: "The session description ... is not acceptable ... 488", Warning."""
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        answer = await talk.call(sdp(audio(rtp.port)))
        rtp.stream(int(answer.media[0].split()[1]))
        call = await rig.call_in()
        kind = ("Content-Type: application/sdp",)
        refused = await talk.ask(method, sdp(*offered), kind)
        assert refused.code == 488, refused.start
        if method == "INVITE":
            assert refused.header("Warning")
            talk.acknowledge()
        await call.hear(200)
        again = await talk.ask("INVITE", sdp(VIDEO, audio(rtp.port)), kind)
        assert again.code == 200, again.start
        assert [line.split()[1] == "0" for line in again.media] == [True, False]
        talk.acknowledge()
        await call.hear(200)
        assert (await talk.ask("BYE")).code == 200


async def test_a_call_without_an_offer_may_be_refused_at_once(rig: Rig) -> None:
    """PJSIP 2.15 aborted the process: any INVITE without SDP for a number that nobody serves."""
    rig.take = lambda call: call.leg.reject(404, "Not Found")
    async with RawSip(rig.endpoint.port) as sip:
        for _ in range(3):
            assert (await sip.talk().invite(b"")).code == 404
        rig.take = lambda call: call.leg.answer()
        talk = sip.talk()
        await talk.call(sdp())
        assert (await talk.ask("BYE")).code == 200
