"""Races of calls that are up: with what replaces, transfers, changes and ends them.

Where several messages go out without an `await` between them, the gateway finds them all in one
poll.
"""

from tests.calls.race_steps import BUSY, Full, Races, begin, finish, let_in, replacing, take_back
from tests.support.raw_phone import RawPhone, new_branch, sdp

RACES = Races()


@RACES.add
async def plain(phone: RawPhone) -> None:
    await finish(await begin(phone))


@RACES.add
async def replaced(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first, "Require: replaces")
    if await second.final() == 200:
        await first.until(lambda: first.requests("BYE"))
    await finish(second, first)


@RACES.add
async def replaced_while_it_ends(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first)
    first.send("BYE")
    await finish(second, first)


@RACES.add
async def ended_while_it_is_replaced(phone: RawPhone) -> None:
    first = await begin(phone)
    first.send("BYE")
    await finish(replacing(phone, first), first)


@RACES.add
async def replaced_twice_at_once(phone: RawPhone) -> None:
    first = await begin(phone)
    await finish(replacing(phone, first), replacing(phone, first), first)


@RACES.add
async def replacing_taken_back(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first)
    take_back(second)
    await finish(second, first)


@RACES.add
async def replaced_within_a_reinvite(phone: RawPhone) -> None:
    first = await begin(phone)
    first.invite(sdp(phone.rtp_port, direction="sendonly", version=2))
    second = replacing(phone, first)
    first.invite(sdp(phone.rtp_port, version=3))
    await finish(second, first)


@RACES.add
async def replaced_by_a_late_offer(phone: RawPhone) -> None:
    first = await begin(phone)
    second = phone.call()
    second.last_invite = second.send("INVITE", "", [f"Replaces: {first.replaces}"])
    await finish(second, first)


@RACES.add
async def replaced_by_what_cannot_be_taken(phone: RawPhone) -> None:
    first = await begin(phone)
    bad = sdp(phone.rtp_port).replace("AVP 0 101", "AVP 97").replace(":0 PCMU", ":97 X")
    second = replacing(phone, first, body=bad)
    third = phone.invite(more=[f"Replaces: {first.call_id};to-tag=x;from-tag=y"])
    fourth = phone.invite(more=["Replaces: malformed"])
    assert [await each.final() for each in (third, fourth)] == [481, 400]
    await finish(second, first)


@RACES.add
async def replaced_in_a_chain(phone: RawPhone) -> None:
    first = await begin(phone)
    second = replacing(phone, first)
    await second.final()
    third = replacing(phone, second)
    await finish(third, second, first)


@RACES.add
async def referred(phone: RawPhone) -> None:
    call = await begin(phone)
    port = phone.port
    target = f"<sip:victim@127.0.0.1:{port}?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd>"
    call.send("REFER", more=[f"Refer-To: {target}"])
    call.send("REFER", more=[f"Refer-To: <sip:victim@127.0.0.1:{port}>", "Refer-Sub: false"])
    call.send("REFER")
    await call.until(lambda: len(call.finals("REFER")) == 3)
    assert all(each.status >= 400 for each in call.finals("REFER"))
    await finish(call)


@RACES.add
async def referred_while_it_ends(phone: RawPhone) -> None:
    call = await begin(phone)
    call.send("REFER", more=[f"Refer-To: <sip:victim@127.0.0.1:{phone.port}>"])
    call.send("BYE")
    call.send("REFER", more=[f"Refer-To: <sip:victim@127.0.0.1:{phone.port}>"])
    await call.until(lambda: call.finals("BYE"))


@RACES.add
async def referred_out_of_any_dialog(phone: RawPhone) -> None:
    first = await begin(phone)
    other = phone.call()
    other.send("REFER", more=[f"Refer-To: <sip:x@127.0.0.1?Replaces={first.call_id}>"])
    await finish(first)


@RACES.add
async def reinvites_at_once(phone: RawPhone) -> None:
    call = await begin(phone)
    for version, direction in enumerate(("sendonly", "inactive", "sendrecv"), 2):
        call.invite(sdp(phone.rtp_port, direction=direction, version=version))
    await call.until(lambda: len({each.header("CSeq") for each in call.finals("INVITE")}) == 4)
    await finish(call)


@RACES.add
async def reinvite_while_it_ends(phone: RawPhone) -> None:
    call = await begin(phone)
    call.invite(sdp(phone.rtp_port, direction="inactive", version=2))
    call.send("BYE")
    await call.until(lambda: call.finals("BYE"))


@RACES.add
async def update_within_a_reinvite(phone: RawPhone) -> None:
    call = await begin(phone)
    call.invite(sdp(phone.rtp_port, direction="sendonly", version=2))
    call.send("UPDATE", sdp(phone.rtp_port, version=3))
    await call.until(lambda: call.finals("UPDATE"))
    await finish(call)


@RACES.add
async def invite_sent_again(phone: RawPhone) -> None:
    call = phone.invite()
    for _ in range(3):
        phone.transmit(call.last_invite)
    await let_in(call)
    phone.transmit(call.last_invite)
    await finish(call)


@RACES.add
async def invite_that_comes_on_two_ways(phone: RawPhone) -> None:
    call = phone.invite()
    branch = call.last_invite.partition("branch=")[2].partition(";")[0]
    phone.transmit(call.last_invite.replace(branch, new_branch()))
    answers: set[int] = set()

    def answered_both() -> bool:
        finals = call.finals("INVITE")
        answers.update(each.status for each in finals)
        return answers >= {200, 482} or (len(finals) >= 2 and bool(answers & BUSY))

    await call.until(answered_both)
    await finish(call)
    if answers & BUSY:  # there was no room for one of them, and perhaps a moment later there was
        raise Full


@RACES.add
async def with_session_timer(phone: RawPhone) -> None:
    call = await begin(phone, "Supported: timer", "Session-Expires: 90;refresher=uac")
    call.send("UPDATE", more=["Supported: timer", "Session-Expires: 90;refresher=uac"])
    second = replacing(phone, call, "Supported: timer", "Session-Expires: 90;refresher=uas")
    await finish(second, call)


@RACES.add
async def never_acknowledged(phone: RawPhone) -> None:
    phone.acknowledges = False
    try:
        call = await begin(phone)
        await finish(replacing(phone, call), call)
    finally:
        phone.acknowledges = True
