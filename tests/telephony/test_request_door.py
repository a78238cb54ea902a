"""Requests that nobody serves get the answer that they are due (RFC 3261), over real SIP."""

from typing import NoReturn

import pytest

from bridge.telephony import request_door
from bridge.telephony.leg import LegState
from bridge.telephony.sip_request import Request, refusal_of, write_response
from tests.support.raw_sip import RawSip, RawTalk, Reply, sdp
from tests.support.rtp import RtpPeer
from tests.telephony.rig import Rig

HEAD = (
    "OPTIONS sip:x@127.0.0.1 SIP/2.0",
    "Via: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bK1",
    "From: <sip:a@b>;tag=1",
    "To: <sip:c@d>",
    "Call-ID: 1@b",
    "CSeq: 1 OPTIONS",
    "Content-Length: 0",
)


def request(*changed: str, body: str = "") -> bytes:
    """Write an OPTIONS with some headers changed, by their names, or added."""
    names = {line.partition(":")[0] for line in changed if ":" in line}
    kept = [line for line in HEAD[1:] if line.partition(":")[0] not in names]
    return ("\r\n".join([HEAD[0], *kept, *changed]) + f"\r\n\r\n{body}").encode("latin-1")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Max-Forwards: 0",),
        ("Max-Forwards: 00255",),
        ('From: "a, <b> \\" ;;" <sip:a@b>;tag=1',),
        ("From: Müller (Sales), Jan <sip:a@b>;tag=1",),
        ("To: <sip:a;;b?c@d>",),
        ("Via: SIP / 2.0 / TCP [::1] : 5060 ;branch=1 , SIP/2.0/UDP a",),
        ("Contact: *",),
        ('Contact: "x;;y" <sip:a@b?Route=c>, <sip:d@e>;q=0.1',),
        ("Require: 100rel, timer",),
        ("CSeq: 2147483647 OPTIONS",),
        ("X-Strange: ;;,,;;,;",),
    ],
)
def test_what_can_be_understood_has_no_fault(headers: tuple[str, ...]) -> None:
    parsed = Request.parse(request(*headers))
    assert parsed is not None
    assert refusal_of(parsed, 4_000) is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (("CSeq: 2147483648 OPTIONS",), 400),
        (("CSeq: 1 INVITE",), 400),
        (("CSeq: -1 OPTIONS",), 400),
        (("CSeq: \xb2 OPTIONS",), 400),
        (("CSeq: " + "9" * 5000 + " OPTIONS",), 400),
        (("Max-Forwards: 256",), 400),
        (("Max-Forwards: -1",), 400),
        (("Max-Forwards: \xb2",), 400),
        (("Content-Length: 1",), 400),
        (("Content-Length: " + "9" * 300,), 400),
        (("Content-Length: 0", "Content-Length: 0"), 400),
        (("Content-Length: 0", "l: 0"), 400),
        (("Call-ID:",), 400),
        (("From: <sip:a@b>;tag=1", "f: <sip:a@b>;tag=1"), 400),
        (('From: "a <sip:a@b>;tag=1',), 400),
        (("From: <sip:a@b;tag=1",), 400),
        (("Via: SIP/2.0/UDP",), 400),
        (("Via: SIP/2.0/UDP a,",), 400),
        (("Require: 100rel, teleport",), 420),
    ],
)
def test_faults_are_found(headers: tuple[str, ...], code: int) -> None:
    parsed = Request.parse(request(*headers))
    assert parsed is not None
    answer = refusal_of(parsed, 4_000)
    assert answer is not None
    assert answer.code == code


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\x00" * 40, b"SIP/2.0 200 OK\r\n\r\n", b"GET / HTTP/1.1\r\n"]
)
def test_what_is_no_request_is_not_read_as_one(data: bytes) -> None:
    assert Request.parse(data) is None


def test_a_response_names_where_the_request_came_from_and_nothing_else_of_it() -> None:
    parsed = Request.parse(
        request("Via: SIP/2.0/UDP h;rport;branch=1;received=6.6.6.6, SIP/2.0/TCP i")
    )
    answer = refusal_of(Request.parse(request("Require: x")) or pytest.fail("no request"), 4_000)
    assert parsed is not None
    assert answer is not None
    response = Reply(write_response(parsed, answer, ("192.0.2.1", 5070)))
    assert response.start == "SIP/2.0 420 Bad Extension"
    assert response.header("Via") == (
        "SIP/2.0/UDP h;branch=1;received=192.0.2.1;rport=5070, SIP/2.0/TCP i"
    )
    assert response.header("To").startswith("<sip:c@d>;tag=")
    assert response.header("CSeq") == "1 OPTIONS"
    assert response.header("Unsupported") == "x"


@pytest.mark.sip
@pytest.mark.parametrize(
    ("method", "code"),
    [
        *((method, 481) for method in ("BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "CANCEL")),
        *((method, 405) for method in ("REGISTER", "PUBLISH", "MESSAGE", "REFER", "FOO")),
        ("SUBSCRIBE", 489),
        ("OPTIONS", 200),
    ],
)
async def test_requests_outside_of_a_call(rig: Rig, method: str, code: int) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        answer = await sip.talk().ask(method, b"", ("Event: presence",))
        assert answer.code == code
        if code == 405:  # RFC 3261 section 8.2.1
            allowed = answer.header("Allow").split(", ")
            assert method not in allowed
            assert {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"} <= set(allowed)
        assert rig.calls == []


@pytest.mark.sip
@pytest.mark.parametrize(
    ("method", "code"),
    [
        *((method, 405) for method in ("REGISTER", "PUBLISH", "MESSAGE", "FOO")),
        *((method, 481) for method in ("NOTIFY", "CANCEL")),
        *((method, 200) for method in ("OPTIONS", "INFO", "UPDATE")),
        ("SUBSCRIBE", 489),
    ],
)
async def test_requests_within_a_call_leave_it_as_it_was(rig: Rig, method: str, code: int) -> None:
    async with RawSip(rig.endpoint.port) as sip, RtpPeer() as rtp:
        talk = sip.talk()
        answer = await talk.call(sdp(port=rtp.port))
        assert not {"MESSAGE", "SUBSCRIBE", "PUBLISH"} & set(answer.header("Allow").split(", "))
        rtp.stream(int(answer.media[0].split()[1]))
        call = await rig.call_in()
        for _ in range(2):
            answer = await talk.ask(method, b"", ("Event: dialog",))
            assert answer.code == code, answer.start
            assert answer.header("To") == talk.to
        if method == "OPTIONS":  # RFC 3261 section 11.2
            assert "INVITE" in answer.header("Allow")
            assert answer.header("Accept") == "application/sdp"
        await call.hear(200)
        assert (await talk.ask("BYE")).code == 200


async def ringing(sip: RawSip) -> RawTalk:
    """Call, and return the early dialog that the 180 has made."""
    talk = sip.talk()
    sip.send(talk.request("INVITE", sdp(), ("Content-Type: application/sdp",)))
    rings = await sip.reply(lambda reply: reply.code == 180)
    assert rings is not None
    talk.to = rings.header("To")
    return talk


@pytest.mark.sip
@pytest.mark.parametrize(
    ("method", "code"),
    [
        *((method, 405) for method in ("MESSAGE", "PUBLISH", "FOO", "x" * 300)),
        *((method, 200) for method in ("OPTIONS", "INFO")),
        ("NOTIFY", 481),
        ("SUBSCRIBE", 489),
    ],
)
async def test_requests_in_an_early_dialog_leave_it_ringing(
    rig: Rig, method: str, code: int
) -> None:
    rig.take = lambda call: call.leg.ring()
    async with RawSip(rig.endpoint.port) as sip:
        talk = await ringing(sip)
        invited = talk.sequence
        answer = await talk.ask(method, b"", ("Event: dialog",))
        assert answer.code == code, answer.start
        call = await rig.call_in()
        assert call.leg.state is LegState.EARLY
        call.leg.answer()
        taken = await sip.reply(lambda reply: (reply.code, reply.method) == (200, "INVITE"))
        assert taken is not None
        sip.send(talk.request("ACK", sequence=invited))
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.sip
async def test_a_bye_in_an_early_dialog_ends_it(rig: Rig) -> None:
    """RFC 3261 section 15.1.2: the INVITE gets 487."""
    rig.take = lambda call: call.leg.ring()
    async with RawSip(rig.endpoint.port) as sip:
        talk = await ringing(sip)
        assert (await talk.ask("BYE")).code == 200
        ended = await sip.reply(lambda reply: reply.method == "INVITE" and reply.code >= 200)
        assert ended is not None
        assert ended.code == 487
        call = await rig.call_in()
        await call.until(lambda: call.ended, "the end")


@pytest.mark.sip
async def test_requests_for_a_call_that_is_over_get_481(rig: Rig) -> None:
    """RFC 3261 section 15.1.2; a repeated BYE is still the first one."""
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        await talk.call(sdp())
        bye = talk.request("BYE")
        for _ in range(3):
            sip.replies.clear()
            sip.send(bye)
            answer = await sip.reply(lambda reply: reply.method == "BYE")
            assert answer is not None
            assert answer.code == 200
        for method in ("BYE", "INVITE", "OPTIONS", "INFO", "UPDATE", "MESSAGE"):
            assert (await talk.ask(method)).code == 481
        assert (await sip.talk().ask("OPTIONS")).code == 200


@pytest.mark.sip
async def test_a_dialog_is_known_by_its_tags_too(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        await talk.call(sdp())
        right, talk.to = talk.to, talk.to + "x"
        assert (await talk.ask("OPTIONS")).code == 481
        assert (await talk.ask("BYE")).code == 481
        talk.to, talk.tag, tag = right, "another", talk.tag
        assert (await talk.ask("BYE")).code == 481
        talk.tag = tag
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.sip
@pytest.mark.parametrize(
    "line", ["m=video 4 RTP/AVP 31\r\n", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"]
)
async def test_more_media_than_pjsip_has_room_for_is_refused(rig: Rig, line: str) -> None:
    """RFC 3264 section 6 wants an answer with as many m= lines as the offer."""
    much = sdp() + line.encode() * 100
    async with RawSip(rig.endpoint.port) as sip:
        assert (await sip.talk().invite(much)).code == 488
        assert rig.calls == []
        talk = sip.talk()
        await talk.call(sdp())
        assert (await talk.ask("INVITE", much, ("Content-Type: application/sdp",))).code == 488
        assert (await talk.ask("UPDATE", much, ("Content-Type: application/sdp",))).code == 488
        assert (await talk.ask("BYE")).code == 200


@pytest.mark.sip
async def test_an_answer_with_too_much_media_never_reaches_pjsip(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        call = rig.dial(f"sip:raw@127.0.0.1:{sip.port}")
        invite = await sip.reply(lambda message: message.start.startswith("INVITE"))
        assert invite is not None
        kept = [f"{name}: {invite.header(name)}" for name in ("Via", "From", "Call-ID", "CSeq")]
        to = f"To: {invite.header('To')};tag=much"
        contact = f"Contact: <sip:raw@127.0.0.1:{sip.port}>"
        body = sdp() + b"m=video 4 RTP/AVP 31\r\n" * 100
        head = ["SIP/2.0 200 OK", *kept, to, contact, "Content-Type: application/sdp"]
        sip.send("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)
        assert (await sip.talk().ask("OPTIONS")).code == 200
        assert call.media == []


@pytest.mark.sip
async def test_a_door_that_fails_lets_through(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(method: str, standing: object) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setattr(request_door, "due", fail)
    async with RawSip(rig.endpoint.port) as sip:
        talk = sip.talk()
        await talk.call(sdp())
        assert (await talk.ask("BYE")).code == 200
