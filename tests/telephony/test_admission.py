"""The door: 503 with Retry-After when full, never PJSUA's 486 (RFC 3261 section 21.5.4)."""

import pytest

from bridge.softphone.sip_message import audio_sdp
from tests.support.sip import Dialog, SipPeer
from tests.telephony.rig import Rig

pytestmark = pytest.mark.sip

SDP = audio_sdp(40_000)
ROOM = 4
"""What the pip wheel holds; the capacity build could take more."""


@pytest.fixture
def limited(rig: Rig) -> Rig:
    """The endpoint behind the rule that the gateway has."""

    def refusal() -> str | None:
        full = len(rig.endpoint.legs) >= ROOM
        return "At Capacity" if full else None

    rig.refusal = refusal
    return rig


async def fill(rig: Rig, peer: SipPeer) -> list[Dialog]:
    dialogs = [peer.call("support", SDP) for _ in range(ROOM)]
    for dialog in dialogs:
        assert (await dialog.final()).status == 200
    return dialogs


async def test_one_call_too_many_gets_503_with_retry_after(limited: Rig, peer: SipPeer) -> None:
    dialogs = await fill(limited, peer)
    refused = peer.call("support", SDP)
    final = await refused.final()
    assert final.start == "SIP/2.0 503 At Capacity"
    assert final.header("Retry-After") == "10"
    assert limited.endpoint.refused == 1
    assert len(limited.calls) == len(dialogs)


async def test_a_call_that_ends_makes_room_for_one(limited: Rig, peer: SipPeer) -> None:
    dialogs = await fill(limited, peer)
    for _ in range(3):
        assert (await peer.call("support", SDP).final()).status == 503
        assert (await dialogs.pop().bye()).status == 200
        dialog = peer.call("support", SDP)
        assert (await dialog.final()).status == 200
        dialogs.append(dialog)
    assert limited.endpoint.refused == 3
    assert limited.free_rows == limited.endpoint.ports.arena.rows - ROOM


async def test_calls_that_are_not_answered_yet_take_room_too(limited: Rig, peer: SipPeer) -> None:
    limited.take = lambda call: call.leg.ring()
    ringing = [peer.call("support", SDP) for _ in range(ROOM)]
    await limited.call_in(ROOM - 1)
    assert (await peer.call("support", SDP).final()).status == 503
    for dialog in ringing:
        await dialog.cancel()


async def test_calls_that_are_up_go_on_while_the_door_is_shut(limited: Rig, peer: SipPeer) -> None:
    dialogs = await fill(limited, peer)
    limited.refusal = lambda: "Shutting Down"
    held = audio_sdp(40_000, direction="sendonly", version=2)
    assert (await dialogs[0].reinvite(held)).status == 200
    assert (await dialogs[0].bye()).status == 200
    final = await peer.call("support", SDP).final()
    assert final.start == "SIP/2.0 503 Shutting Down"


async def test_a_repeated_invite_is_refused_once(limited: Rig, peer: SipPeer) -> None:
    """UDP callers repeat an INVITE until they hear something."""
    limited.refusal = lambda: "Shutting Down"
    dialog = peer.call("support", SDP)
    dialog.repeat_invite()
    assert (await dialog.final()).status == 503
    limited.refusal = lambda: None
    assert (await peer.options()).status == 200  # whatever was sent before has been dealt with
    assert limited.endpoint.refused == 1


async def test_options_tell_a_load_balancer_what_an_invite_would_get(
    limited: Rig, peer: SipPeer
) -> None:
    """RFC 3261 section 11.2."""
    assert (await peer.options()).status == 200
    dialogs = await fill(limited, peer)
    full = await peer.options()
    assert full.start == "SIP/2.0 503 At Capacity"
    assert full.header("Retry-After") == "10"
    assert (await dialogs.pop().bye()).status == 200
    assert (await peer.options()).status == 200
    assert limited.endpoint.refused == 0  # nobody was turned away
    limited.refusal = lambda: "Draining"
    assert (await peer.options()).start == "SIP/2.0 503 Draining"


async def test_options_within_a_call_never_come_to_the_door(limited: Rig, peer: SipPeer) -> None:
    dialog, *_ = await fill(limited, peer)
    limited.refusal = lambda: "Draining"
    assert (await dialog.options()).status == 200  # the call is there, whatever a new one would get
    assert (await dialog.bye()).status == 200


async def test_a_door_that_fails_lets_in(limited: Rig, peer: SipPeer) -> None:
    def fail() -> str | None:
        raise RuntimeError("a bug")

    limited.refusal = fail
    assert (await peer.call("support", SDP).final()).status == 200
    assert limited.endpoint.refused == 0
