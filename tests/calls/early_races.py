"""Races of calls that ring, of their refreshes and of their media, each with the RFCs' answers.

PJSIP carries out requests in the order in which they come, and answers each at once: what it
answered first, it found first.
"""

from tests.calls.race_steps import (
    BUSY,
    Full,
    Races,
    answer_to,
    begin,
    finish,
    hang_up,
    let_in,
    ring,
    take_back,
)
from tests.support.raw_phone import RawPhone, sdp

RACES = Races()


@RACES.add
async def taken_back_as_it_is_answered(phone: RawPhone) -> None:
    """RFC 3261 section 9.2: CANCEL finds its INVITE, which gets 487 unless it has its answer."""
    call = phone.invite()
    await call.until(lambda: call.messages)
    cancel = take_back(call)
    status = await call.final()
    if status in BUSY:
        raise Full
    assert status in {200, 487}
    assert (await answer_to(call, cancel)).status == 200
    await finish(call)


@RACES.add
async def changed_while_it_rings(phone: RawPhone) -> None:
    """RFC 3311 section 5.2: an offer before the INVITE's own has its answer gets 500."""
    call = await ring(phone)
    update = call.send("UPDATE", sdp(phone.rtp_port, version=2))
    answer = await answer_to(call, update)
    await let_in(call)
    if call.messages.index(answer) < call.messages.index(call.finals("INVITE")[0]):
        assert answer.status == 500
        assert 0 <= int(answer.header("Retry-After")) <= 10
    else:
        assert answer.status == 200
        assert "m=audio" in answer.text
    await hang_up(call)


@RACES.add
async def ringing_acknowledged_twice(phone: RawPhone) -> None:
    """RFC 3262 section 3: PRACK gets 200 for a ring that waits for it, and 481 for none."""
    call = await ring(phone, "Require: 100rel")
    number = call.sequence
    (ringing,) = {each.header("RSeq") for each in call.messages if each.header("RSeq")}
    acknowledged = [
        call.send("PRACK", more=[f"RAck: {rseq} {number} INVITE"])
        for rseq in (ringing, ringing, int(ringing) + 1000)
    ]
    answers = [(await answer_to(call, prack)).status for prack in acknowledged]
    assert answers == [200, 481, 481]
    await hang_up(await let_in(call))


@RACES.add
async def ringing_never_acknowledged(phone: RawPhone) -> None:
    """RFC 3261 section 15.1.2: a BYE while it rings gets 200, and the INVITE 487."""
    call = await ring(phone, "Require: 100rel")
    assert await call.bye() == 200
    answer = await call.final()
    before = call.messages.index(call.finals("INVITE")[0]) < call.messages.index(
        call.finals("BYE")[0]
    )
    assert answer == (200 if before else 487)


@RACES.add
async def refreshed_too_often(phone: RawPhone) -> None:
    """RFC 4028 section 9: an interval below Min-SE makes no call, and changes none."""
    too_short = ["Supported: timer", "Session-Expires: 30;refresher=uas"]
    refused = phone.invite(more=too_short)
    if await refused.final() in BUSY:
        raise Full
    call = await begin(phone)
    update = call.send("UPDATE", more=too_short)
    call.invite(sdp(phone.rtp_port, version=2), too_short)
    for answer in (
        refused.finals("INVITE")[0],
        await answer_to(call, update),
        await answer_to(call, call.last_invite),
    ):
        assert (answer.status, answer.header("Min-SE")) == (422, "90")
    await hang_up(call)


@RACES.add
async def two_codecs_answered(phone: RawPhone) -> None:
    """PJSUA offers anew, by itself, where its offer is answered with two codecs: into our offer.

    RFC 3261 section 14.2, RFC 3311 section 5.2: whoever has an offer out refuses another one's.
    """
    phone.acknowledges = False
    call = phone.call()
    call.answers = {"INVITE": 491, "UPDATE": 491}
    call.last_invite = call.send("INVITE")
    await let_in(call)
    both = sdp(phone.rtp_port).replace("AVP 0 101", "AVP 0 8 101")
    call.acknowledge(call.finals("INVITE")[0], f"{both}a=rtpmap:8 PCMA/8000\r\n")
    phone.acknowledges = True
    call.invite(sdp(phone.rtp_port, version=2))
    answer = await answer_to(call, call.last_invite)
    before = call.messages[: call.messages.index(answer)]
    theirs = [each for each in before if not each.status and each.method in {"INVITE", "UPDATE"}]
    assert answer.status == (491 if theirs else 200)
    await hang_up(call)


@RACES.add
async def media_to_nowhere(phone: RawPhone) -> None:
    """RTP that cannot be sent, or that nobody takes, ends nothing at once."""
    call = await begin(phone, body=sdp(9))
    for version, address in enumerate(("240.0.0.1", "0.0.0.0", "255.255.255.255"), 2):
        call.invite(sdp(1, version=version, address=address))
        assert (await answer_to(call, call.last_invite)).status == 200
    await hang_up(call)


@RACES.add
async def kept_alive_by_datagrams(phone: RawPhone) -> None:
    """What opens NAT (RFC 5626 section 3.5, RFC 5389) is no SIP, and gets no answer from it."""
    call = await begin(phone)
    for datagram in ("\r\n\r\n", "\r\n", "\0", "\0\1\0\0!\x12\udca4B" + "\0" * 12):
        phone.transmit(datagram)
    await hang_up(call)
    assert phone.strays == []
