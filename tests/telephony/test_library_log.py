"""PJSIP has nothing to warn of in what the bridge does with ordinary calls, one after another.

What it warns of are mistakes of its user's, such as parting from a port of the conference that is
gone, and whose place may be another call's by then. A single time proves little: the conference
carries changes out at its next tick.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from bridge.softphone.sip_message import Direction, audio_sdp
from bridge.telephony.endpoint import MediaPortsKind
from bridge.telephony.leg import LegState
from tests.support.person import a_person
from tests.support.ports import free_port
from tests.support.raw_phone import RawPhone
from tests.support.sip import Dialog, SipPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig, running

pytestmark = pytest.mark.sip

WITH_WARNINGS = 2
"""PJSIP's log level: 1 has its errors alone."""
TIMES = 6
RTP_PORT = 40_000
DIRECTIONS: tuple[Direction, ...] = ("sendonly", "inactive", "sendrecv")

Flow = Callable[[Rig, SipPeer], Awaitable[None]]


@pytest.fixture
async def rig(garbage_in_this_thread: None, media_ports: MediaPortsKind) -> AsyncIterator[Rig]:
    """A started endpoint whose PJSIP logs its warnings, too."""
    async with running(media_ports, log_level=WITH_WARNINGS) as rig:
        yield rig


async def take(rig: Rig, peer: SipPeer) -> tuple[Dialog, Call]:
    """Have a call that is up."""
    before = len(rig.calls)
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    assert (await dialog.final()).status == 200
    call = await rig.call_in(before)
    await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the ACK")
    return dialog, call


async def hung_up(rig: Rig, peer: SipPeer) -> None:
    dialog, _ = await take(rig, peer)
    await dialog.bye()
    dialog, call = await take(rig, peer)
    call.leg.hangup()
    await wait_until(dialog.ended.is_set)


async def held(rig: Rig, peer: SipPeer) -> None:
    dialog, call = await take(rig, peer)
    for version, direction in enumerate(DIRECTIONS, 2):
        await dialog.reinvite(audio_sdp(RTP_PORT, direction=direction, version=version))
        await call.until(lambda wanted=version: len(call.media) == wanted, "the change")  # type: ignore[misc]  # default binds the loop's value
    await dialog.bye()


async def handed_over(rig: Rig, peer: SipPeer) -> None:
    """Join a caller and a person, who hold each other and hang up in turn."""
    (caller, one), (person, two) = await take(rig, peer), await take(rig, peer)
    rig.endpoint.ports.join(one.row, two.row)
    for version, direction in enumerate(DIRECTIONS, 2):
        for dialog in (caller, person):
            await dialog.reinvite(audio_sdp(RTP_PORT, direction=direction, version=version))
    await caller.bye()
    await one.until(lambda: one.ended, "the end")
    assert two.leg.state is LegState.CONFIRMED
    await person.bye()


async def supervised(rig: Rig, peer: SipPeer) -> None:
    """Have a supervisor talk in a call that is held, and then over."""
    dialog, call = await take(rig, peer)
    ports, guest = rig.endpoint.ports, rig.endpoint.ports.open_row()
    ports.seat(call.row, guest)
    for version, direction in enumerate(DIRECTIONS, 2):
        await dialog.reinvite(audio_sdp(RTP_PORT, direction=direction, version=version))
    ports.unseat(call.row)
    ports.seat(call.row, guest)
    await dialog.bye()
    await call.until(lambda: call.ended, "the end")
    ports.close_row(guest)


async def replaced(rig: Rig, peer: SipPeer) -> None:
    def answer(call: Call) -> None:
        call.leg.replaceable = True
        call.leg.answer()

    rig.take = answer
    async with RawPhone(rig.endpoint.port) as phone:
        first = await phone.invite().answered()
        second = await phone.invite(more=[f"Replaces: {first.replaces}"]).answered()
        await first.until(lambda: first.requests("BYE"))
        assert await second.bye() == 200


async def dialled(rig: Rig, peer: SipPeer) -> None:
    for status in (200, 486):
        port = free_port()
        async with a_person(rig.endpoint.port, port, status) as person:
            call = rig.dial(f"sip:ann@127.0.0.1:{port}")
            await person.called()
            if status == 200:
                await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the answer")  # noqa: B023  # awaited here
                call.leg.hangup()
            await call.until(lambda: call.ended, "the end")  # noqa: B023  # awaited here


async def not_answered(rig: Rig, peer: SipPeer) -> None:
    rig.take = lambda call: call.leg.ring()
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    await wait_until(lambda: 180 in dialog.provisional)
    await dialog.cancel()
    assert (await dialog.final()).status == 487
    rig.take = lambda call: call.leg.reject(603, "Decline")
    assert (await peer.call("support", audio_sdp(RTP_PORT)).final()).status == 603


@pytest.mark.parametrize(
    "flow", [hung_up, held, handed_over, supervised, replaced, dialled, not_answered]
)
async def test_pjsip_warns_of_nothing(rig: Rig, peer: SipPeer, flow: Flow) -> None:
    with capture_logs() as lines:
        for _ in range(TIMES):
            await flow(rig, peer)
            assert await rig.endpoint.idle(5.0)
    assert [each["line"] for each in lines if each["event"] == "pjsip"] == []
