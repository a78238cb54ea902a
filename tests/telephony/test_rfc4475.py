"""Each message of RFC 4475 is answered as the RFC says, and a call is taken after them."""

import asyncio

import pytest

from bridge.telephony.leg import LegState
from tests.support.raw_sip import RawSip, Reply, sdp
from tests.support.rfc4475 import MESSAGES, NORMAL, SILENCE, Torture
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

NEEDS_DATAGRAM = {"clerr", "ncl", "mcl01", "inv2543"}
"""A stream has no end of a message to compare with, or none at all (RFC 3261 section 18.3)."""


PROBES = ("first", "second")
"""OPTIONS that follow a message: a call is answered after all that came in one breath with it."""


def final_codes(torture: Torture, replies: list[Reply]) -> set[int]:
    """Return how a message was answered; what is sent again to another one does not count."""
    return {
        reply.code
        for reply in replies
        if reply.code >= 200 and reply.header("Call-ID").encode("latin-1") in torture.data
    } or {SILENCE}


def be_busy(call: Call) -> None:
    call.leg.reject(NORMAL, "Busy Here")


async def check_a_call(rig: Rig, sip: RawSip) -> None:
    """Place a call that is answered, and end it."""
    rig.take = lambda call: call.leg.answer()
    talk = sip.talk()
    await talk.call(sdp())
    assert (await talk.ask("BYE")).code == 200
    rig.take = be_busy


async def test_each_message_is_answered_as_the_rfc_says(rig: Rig) -> None:
    rig.take = be_busy
    answered: dict[str, set[int]] = {}
    async with RawSip(rig.endpoint.port) as sip:
        for torture in MESSAGES:
            before = len(sip.replies)
            sip.send(torture.from_here())
            for _ in PROBES:
                await sip.talk().ask("OPTIONS")
            answered[torture.name] = final_codes(torture, sip.replies[before:])
        await check_a_call(rig, sip)
    wrong = {
        torture.name: (answered[torture.name], set(torture.allowed))
        for torture in MESSAGES
        if len(set(answered[torture.name])) != 1
        or not set(answered[torture.name]) <= set(torture.allowed)
    }
    assert wrong == {}, "answered, and what the RFC allows"


async def test_each_message_is_answered_over_tcp_alike(rig: Rig) -> None:
    rig.take = be_busy
    wrong: dict[str, object] = {}
    for torture in MESSAGES:
        if torture.name in NEEDS_DATAGRAM:
            continue
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.endpoint.port)
        writer.write(torture.from_here())
        replies: list[Reply] = []
        for probe in PROBES:
            writer.write(_options(f"{probe}-{torture.name}"))
            replies += await _replies_until(reader, f"probe-{probe}-{torture.name}")
        codes = final_codes(torture, replies)
        # Of two messages in a stream the second counts, too; its SDP has a fault.
        expected = {400, 405} if torture.name == "dblreq" else set(torture.allowed)
        if not codes <= expected:
            wrong[torture.name] = (codes, expected)
        writer.close()
    assert wrong == {}
    async with RawSip(rig.endpoint.port) as sip:
        await check_a_call(rig, sip)


def _options(name: str) -> bytes:
    head = (
        "OPTIONS sip:bridge@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/TCP 127.0.0.1:5999;rport;branch=z9hG4bK-probe-{name}",
        f"From: <sip:probe@127.0.0.1>;tag={name}",
        "To: <sip:bridge@127.0.0.1>",
        f"Call-ID: probe-{name}",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    return ("\r\n".join(head) + "\r\n\r\n").encode()


async def _replies_until(reader: asyncio.StreamReader, call_id: str) -> list[Reply]:
    """Read the answers of a connection up to the one to the probe, or its end, or 2 s."""
    data = b""
    try:
        async with asyncio.timeout(2.0):
            while call_id.encode() not in data:
                piece = await reader.read(65_536)
                if not piece:
                    break
                data += piece
    except TimeoutError:
        pass
    starts = data.split(b"SIP/2.0 ")[1:]
    return [Reply(b"SIP/2.0 " + each) for each in starts if b"CSeq" in each]


async def test_a_caller_of_rfc_2543_is_called_back_at_its_from(rig: Rig) -> None:
    """It has no Contact, no tag and no branch (RFC 4475 section 3.4.1)."""
    body = sdp()
    async with RawSip(rig.endpoint.port) as sip:
        fields = (
            f"Via: SIP/2.0/UDP 127.0.0.1:{sip.port}",
            f"From: <sip:old@127.0.0.1:{sip.port}>",
            "To: <sip:support@127.0.0.1>",
            "Call-ID: old@127.0.0.1",
        )
        uri = f"sip:support@127.0.0.1:{rig.endpoint.port}"
        more = ("CSeq: 56 INVITE", "Content-Type: application/sdp")
        head = "\r\n".join((f"INVITE {uri} SIP/2.0", *fields, *more, "", ""))
        sip.send(head.encode() + body)
        call = await rig.call_in()
        answer = await sip.reply(lambda reply: reply.code == 200)
        assert answer is not None
        to = f"To: {answer.header('To')}"
        ack = (f"ACK {uri} SIP/2.0", *fields[:2], to, fields[3], "CSeq: 56 ACK", "", "")
        sip.send("\r\n".join(ack).encode())
        await call.until(lambda: LegState.CONFIRMED in call.states, "the ACK")
        call.leg.hangup()
        bye = await sip.reply(lambda message: message.start.startswith("BYE"))
        assert bye is not None
        assert bye.start == f"BYE sip:old@127.0.0.1:{sip.port} SIP/2.0"


async def test_a_caller_of_rfc_3261_owes_a_contact(rig: Rig) -> None:
    async with RawSip(rig.endpoint.port) as sip:
        invite = sip.talk().request("INVITE", sdp(), ("Content-Type: application/sdp",))
        sip.send(invite.replace(b"Contact:", b"X-Contact:"))
        answer = await sip.reply(lambda reply: reply.code >= 200)
        assert answer is not None
        assert answer.code == 400
