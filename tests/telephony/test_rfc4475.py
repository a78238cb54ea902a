"""Each message of RFC 4475 is answered as the RFC says, and a call is taken after them."""

import asyncio

import pytest

from tests.support.raw_sip import RawSip, Reply, sdp
from tests.support.rfc4475 import MESSAGES, NORMAL, SILENCE, Torture
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

PJSIP_CANNOT = {
    # It has no Contact, which RFC 2543 did not demand. RFC 3261 section 8.1.1.8 does: without one
    # there is no address for our requests in the call. RFC 4475 section 3.4.1 wants it accepted by
    # those who keep up compatibility with RFC 2543, and PJSIP makes no dialog of it.
    "inv2543": 400,
}
"""By name, what is answered where PJSIP leaves no other way."""

NEEDS_DATAGRAM = {"clerr", "ncl", "mcl01"}
"""A stream has no end of a message to compare with, or none at all (RFC 3261 section 18.3)."""


PROBES = ("first", "second")
"""OPTIONS that follow a message: a call is answered after all that came in one breath with it."""


def allowed(torture: Torture) -> set[int]:
    cannot = PJSIP_CANNOT.get(torture.name)
    return set(torture.allowed) if cannot is None else {cannot}


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
        torture.name: (answered[torture.name], allowed(torture))
        for torture in MESSAGES
        if len(set(answered[torture.name])) != 1
        or not set(answered[torture.name]) <= allowed(torture)
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
        expected = {400, 405} if torture.name == "dblreq" else allowed(torture)
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
