"""Answers that a far end may give to an INVITE of ours: each leaves the process and no object."""

from collections.abc import Callable

import pytest

from bridge.telephony.leg import LegState
from tests.support.raw_phone import RawPhone, Received, sdp
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

Answers = Callable[[RawPhone, Received], None]


def refused(status: int) -> Answers:
    return lambda phone, invite: phone.answer(invite, status)


def answered(*tags: str) -> Answers:
    """One 200 a tag: an INVITE that forked (RFC 3261 section 13.2.2.4)."""

    def answer(phone: RawPhone, invite: Received) -> None:
        for tag in tags:
            phone.answer(invite, 200, sdp(phone.rtp_port), tag)

    return answer


def redirected(to: str) -> Answers:
    def answer(phone: RawPhone, invite: Received) -> None:
        contact = f"Contact: <{to.format(phone=phone)}>"
        kept = [f"{name}: {invite.header(name)}" for name in ("From", "Call-ID", "CSeq")]
        vias = [f"Via: {via}" for via in invite.headers("Via")]
        head = ["SIP/2.0 302 Moved", *vias, *kept, f"To: {invite.header('To')};tag=moved", contact]
        phone.transmit("\r\n".join([*head, "Content-Length: 0", "", ""]))

    return answer


def with_late_ringing(phone: RawPhone, invite: Received) -> None:
    answered("one")(phone, invite)
    phone.answer(invite, 180, tag="one")
    phone.answer(invite, 183, sdp(phone.rtp_port, version=4), "two")


def ringing_twice(phone: RawPhone, invite: Received) -> None:
    phone.answer(invite, 180, tag="one")
    phone.answer(invite, 183, sdp(phone.rtp_port), "two")
    phone.answer(invite, 200, sdp(phone.rtp_port, version=2), "three")


def request(phone: RawPhone, invite: Received, method: str, *more: str, body: str = "") -> None:
    """Send a request within the dialog that a 200 with the tag `one` has begun."""
    lines = [
        f"{method} {invite.header('Contact').strip('<>')} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{phone.port};branch=z9hG4bK{method}{phone.port};rport",
        *("Max-Forwards: 70", f"From: {invite.header('To')};tag=one"),
        *(f"To: {invite.header('From')}", f"Call-ID: {invite.header('Call-ID')}"),
        *(f"CSeq: 7 {method}", f"Contact: <sip:raw@127.0.0.1:{phone.port}>", *more),
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    phone.transmit("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]))


def then(method: str, *more: str, version: int = 0) -> Answers:
    """Answer, and send a request before the ACK may have come."""

    def answer(phone: RawPhone, invite: Received) -> None:
        answered("one")(phone, invite)
        body = sdp(phone.rtp_port, version=version) if version else ""
        request(phone, invite, method, *more, body=body)

    return answer


ODD: dict[str, tuple[Answers, set[LegState]]] = {
    "302 to itself": (redirected("sip:raw@127.0.0.1:{phone.port}"), set()),
    "302 to the bridge": (redirected("sip:bridge@127.0.0.1:{phone.server_port}"), set()),
    "302 with Replaces": (redirected("sip:x@127.0.0.1?Replaces=a%3Bto-tag%3Db"), set()),
    "482": (refused(482), set()),
    "491": (refused(491), set()),
    "401": (refused(401), set()),
    "two 200s": (answered("one", "two"), {LegState.CONFIRMED}),
    "late 180": (with_late_ringing, {LegState.CONFIRMED}),
    "three early dialogs": (ringing_twice, {LegState.CONFIRMED}),
    "BYE before the ACK": (then("BYE"), {LegState.DISCONNECTED}),
    "re-INVITE at once": (then("INVITE", version=2), {LegState.CONFIRMED}),
    "UPDATE at once": (then("UPDATE", version=2), {LegState.CONFIRMED}),
    "REFER at once": (then("REFER", "Refer-To: <sip:x@127.0.0.1>"), {LegState.CONFIRMED}),
}


@pytest.mark.parametrize("answers", ODD)
async def test_odd_answer_leaves_no_object(rig: Rig, answers: str) -> None:
    answer, expected = ODD[answers]
    async with RawPhone(rig.endpoint.port) as phone:
        phone.on_invite = lambda invite: answer(phone, invite)
        call = rig.dial(f"sip:raw@127.0.0.1:{phone.port}")
        reached = expected or {LegState.DISCONNECTED}
        await call.until(lambda: reached & set(call.states), "the answer's effect")
        await _no_object(rig, call)
        assert expected or LegState.CONFIRMED not in call.states
        assert len([each for each in phone.strays if each.method == "INVITE"]) >= 1


@pytest.mark.parametrize("status", [200, 487, 486])
async def test_answer_after_a_cancel_leaves_no_object(rig: Rig, status: int) -> None:
    async with RawPhone(rig.endpoint.port) as phone:
        phone.on_invite = lambda invite: phone.answer(invite, 180, tag="one")
        call = rig.dial(f"sip:raw@127.0.0.1:{phone.port}")
        await call.until(lambda: LegState.EARLY in call.states, "180")
        call.leg.hangup()
        await phone.until(lambda: any(each.method == "CANCEL" for each in phone.strays))
        (invite, *_) = (each for each in phone.strays if each.method == "INVITE")
        phone.answer(invite, status, sdp(phone.rtp_port) if status == 200 else "", "one")
        if status == 200:  # the call is up, and has to be ended (RFC 3261 section 15)
            await phone.until(lambda: any(each.method == "BYE" for each in phone.strays))
        await _no_object(rig, call)


async def _no_object(rig: Rig, call: Call) -> None:
    call.leg.hangup()
    await call.until(lambda: call.ended, "the end")
    await wait_until(lambda: not len(rig.endpoint._calls), "an object stayed")
    assert await rig.endpoint.idle(5.0)
