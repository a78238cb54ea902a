"""The steps of which races of calls are made, and the list that each race joins.

A race is given a phone of its own, and raises :class:`Full` where the gateway has no slot for it.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from tests.support.raw_phone import RawCall, RawPhone, Received

Race = Callable[[RawPhone], Awaitable[None]]


class Races(list[Race]):
    """Races of one kind, in the order in which they are written."""

    def add(self, given: Race) -> Race:
        """Add a race; to be used as its decorator."""
        self.append(given)
        return given


BUSY = {486, 503}


class Full(Exception):
    """The gateway has no slot just now; that is no fault."""


async def begin(phone: RawPhone, *more: str, body: str = "") -> RawCall:
    """Have a call that is up."""
    return await let_in(phone.invite(body, more))


async def let_in(call: RawCall) -> RawCall:
    """Wait until a call is up."""
    status = await call.final()
    if status in BUSY:
        raise Full
    assert status == 200, f"INVITE got {status}"
    return call


def replacing(phone: RawPhone, call: RawCall, *more: str, body: str = "") -> RawCall:
    """Send an INVITE that is to take a call's place; wait for nothing."""
    return phone.invite(body, [f"Replaces: {call.replaces}", *more])


async def finish(*calls: RawCall) -> None:
    """Wait until INVITEs have their answers, and end what is still up."""
    for call in calls:
        await call.final()
        up = any(each.status == 200 for each in call.finals("INVITE"))
        if up and not call.requests("BYE"):
            call.send("BYE")
            await call.until(partial(call.finals, "BYE"))


async def ring(phone: RawPhone, *more: str) -> RawCall:
    """Have a call that rings, or is answered already: between the two is little time."""
    call = phone.invite(more=more)
    await call.until(lambda: call.far_tag or call.finals("INVITE"))
    if not call.far_tag:
        assert call.finals("INVITE")[0].status in BUSY
        raise Full
    return call


async def answer_to(call: RawCall, request: str) -> Received:
    """Wait for the final answer to a request that was sent, by its CSeq."""
    method = request.partition(" ")[0]
    number = request.partition("CSeq: ")[2].partition("\r\n")[0]

    def answers() -> list[Received]:
        return [each for each in call.finals(method) if each.header("CSeq") == number]

    await call.until(answers)
    return answers()[0]


def take_back(call: RawCall) -> str:
    """Send the CANCEL of a call's INVITE; return it."""
    cancel = (
        call.last_invite.replace("INVITE", "CANCEL", 1)
        .replace(f"CSeq: {call.sequence} INVITE", f"CSeq: {call.sequence} CANCEL")
        .partition("Content-Type")[0]
        + "Content-Length: 0\r\n\r\n"
    )
    call.phone.transmit(cancel)
    return cancel


async def hang_up(call: RawCall) -> None:
    """End a call that nothing else ends."""
    assert await call.bye() == 200
