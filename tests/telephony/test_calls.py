"""Calls over real SIP: how they begin, how they end, and what is left of them."""

import threading

import psutil
import pytest

from bridge.audio.rings import RESTING_ROWS
from bridge.errors import Outcome, TelephonyError
from bridge.softphone.sip_message import audio_sdp
from bridge.telephony.end_reasons import reason_for
from bridge.telephony.leg import LegState
from tests.support.raw_phone import RawPhone, sdp
from tests.support.rtp import RtpPeer
from tests.support.sip import SipPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip

RTP_PORT = 40_000
"""Stands in SDP where nobody listens and nobody cares."""


async def test_an_invite_becomes_a_leg_with_its_addresses(rig: Rig, peer: SipPeer) -> None:
    rig.take = lambda call: None
    dialog = peer.call("+15551234", audio_sdp(RTP_PORT))
    leg = (await rig.call_in()).leg
    assert leg.state is LegState.INCOMING
    assert leg.called == "+15551234"
    assert "sip:test@127.0.0.1" in leg.from_uri
    assert "sip:+15551234@127.0.0.1" in leg.to_uri
    assert leg.sip_call_id == dialog.call_id
    leg.reject(480, "No")
    assert (await dialog.final()).status == 480


@pytest.mark.parametrize("sdp", [audio_sdp(RTP_PORT), ""], ids=["offer", "late offer"])
@pytest.mark.parametrize("fails", ["Leg.offered", "Leg.bind"])
async def test_an_invite_that_cannot_be_taken_is_refused_and_leaves_nothing(
    rig: Rig, peer: SipPeer, monkeypatch: pytest.MonkeyPatch, sdp: str, fails: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as broken:
        broken.setattr(f"bridge.telephony.endpoint.{fails}", fail)
        assert (await peer.call("support", sdp).final()).status == 500
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    assert (await dialog.final()).status == 200
    await dialog.bye()
    assert await rig.endpoint.idle(5.0)
    await wait_until(lambda: not len(rig.endpoint._calls), "an object stayed")


async def test_ringing_then_answer(rig: Rig, peer: SipPeer) -> None:
    rig.take = lambda call: call.leg.ring()
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    call = await rig.call_in()
    await wait_until(lambda: 180 in dialog.provisional, "180 did not come")
    assert call.leg.row is None  # no media before the answer
    call.leg.answer()
    answer = await dialog.final()
    assert answer.status == 200
    await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the ACK")
    assert call.media == [True]
    await dialog.bye()
    await call.until(lambda: call.ended, "the end")
    assert call.states[-3:] == [LegState.EARLY, LegState.CONFIRMED, LegState.DISCONNECTED]


async def test_the_caller_hangs_up(rig: Rig, peer: SipPeer) -> None:
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    await dialog.final()
    call = await rig.call_in()
    assert (await dialog.bye()).status == 200
    await call.until(lambda: call.ended, "the end")
    assert call.leg.ended_by_far_end
    assert call.leg.row is None
    assert await rig.endpoint.idle(5.0)
    call.leg.hangup()  # too late is no error
    call.leg.answer()


async def test_we_hang_up(rig: Rig, peer: SipPeer) -> None:
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    await dialog.final()
    call = await rig.call_in()
    await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the ACK")
    call.leg.hangup()
    await wait_until(dialog.ended.is_set, "BYE did not come")
    await call.until(lambda: call.ended, "the end")
    assert not call.leg.ended_by_far_end
    assert call.states.count(LegState.DISCONNECTED) == 1


async def test_we_hang_up_before_the_ack(rig: Rig) -> None:
    """The BYE waits for the ACK (RFC 3261 section 15), silent, and then has its headers."""
    async with RawPhone(rig.endpoint.port) as phone, RtpPeer() as rtp:
        phone.acknowledges = False
        dialog = await phone.invite(sdp(rtp.port)).answered()
        call = await rig.call_in()
        call.leg.passed = {"X-Account": "4711"}
        call.play_tone(440, 60_000)
        await wait_until(lambda: rtp.heard(0).any(), "the agent is not heard")
        call.leg.hangup(reason_for(Outcome.COMPLETED))
        since = len(rtp.packets)
        await wait_until(lambda: len(rtp.packets) > since + 20, "audio ended before the call")
        assert not rtp.heard(0, since + 10).any()
        assert not dialog.requests("BYE")
        dialog.acknowledge(dialog.finals("INVITE")[-1])
        await dialog.until(lambda: dialog.requests("BYE"))
        await call.until(lambda: call.ended, "the end")
    (bye,) = dialog.requests("BYE")
    assert bye.header("X-Account") == "4711"
    assert bye.header("Reason") == 'Q.850;cause=16;text="Call completed"'
    assert not call.leg.ended_by_far_end


@pytest.mark.parametrize("ring_first", [False, True])
async def test_cancel_before_the_answer(rig: Rig, peer: SipPeer, ring_first: bool) -> None:
    rig.take = lambda call: call.leg.ring() if ring_first else None
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    call = await rig.call_in()
    await wait_until(lambda: bool(dialog.provisional), "no provisional response")
    assert (await dialog.cancel()).status == 200
    assert (await dialog.final()).status == 487
    await call.until(lambda: call.ended, "the end")
    assert call.leg.last_code == 487
    assert call.leg.ended_by_far_end
    assert call.media == []
    assert rig.free_rows == rig.endpoint.ports.arena.rows
    call.leg.answer()  # the session got ready too late


@pytest.mark.parametrize(("code", "reason"), [(404, "No Dialplan"), (603, "No"), (503, "Later")])
async def test_reject(rig: Rig, peer: SipPeer, code: int, reason: str) -> None:
    rig.take = lambda call: call.leg.reject(code, reason, {"X-Why": "test"})
    final = await peer.call("support", audio_sdp(RTP_PORT)).final()
    assert final.start == f"SIP/2.0 {code} {reason}"
    assert final.header("X-Why") == "test"
    call = rig.calls[0]
    await call.until(lambda: call.ended, "the end")
    assert not call.leg.ended_by_far_end
    assert rig.free_rows == rig.endpoint.ports.arena.rows


async def test_a_taker_that_fails_costs_its_call_alone(rig: Rig, peer: SipPeer) -> None:
    def fail(call: Call) -> None:
        raise RuntimeError("a bug")

    rig.take = fail
    assert (await peer.call("support", audio_sdp(RTP_PORT)).final()).status == 500
    assert await rig.endpoint.idle(5.0)
    rig.take = lambda call: call.leg.answer()
    assert (await peer.call("support", audio_sdp(RTP_PORT)).final()).status == 200


async def test_an_offer_without_our_codecs_is_refused(rig: Rig, peer: SipPeer) -> None:
    sdp = audio_sdp(RTP_PORT, (0,)).replace("AVP 0 101", "AVP 18 101").replace("0 PCMU", "18 G729")
    assert (await peer.call("support", sdp).final()).status == 488
    assert rig.calls == []
    assert not rig.endpoint.legs


async def test_options_is_answered(rig: Rig, peer: SipPeer) -> None:
    response = await peer.options()
    assert response.status == 200
    assert "INVITE" in response.header("Allow")


async def test_media_that_cannot_be_had_ends_the_call(
    rig: Rig, peer: SipPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better no call than a silent one."""

    def refuse() -> int:
        raise TelephonyError("no port")

    monkeypatch.setattr(rig.endpoint.ports, "open_row", refuse)
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    call = await rig.call_in()
    await call.until(lambda: call.ended, "the end")
    assert not call.leg.ended_by_far_end
    assert dialog.ended.is_set() or (await dialog.final()).status >= 500


# Calls that we place


async def test_dial_is_answered_and_put_on_hold(rig: Rig, peer: SipPeer) -> None:
    peer.on_call = lambda invite: (200, audio_sdp(RTP_PORT, (8,)))
    call = rig.dial(f"sip:agent@127.0.0.1:{peer.port}")
    await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the answer")
    assert call.states == [LegState.EARLY, LegState.CONFIRMED]
    assert call.leg.codec == "PCMA"
    (dialog,) = peer.calls_in
    dialog.sdp = audio_sdp(RTP_PORT, (8,), direction="recvonly", version=2)
    call.leg.hold()
    await call.until(lambda: call.media[-1] is False, "the hold")
    assert dialog.offers[-1].direction == "sendonly"
    dialog.sdp = audio_sdp(RTP_PORT, (8,), version=3)
    call.leg.resume()
    await call.until(lambda: call.media[-1] is True, "the resumption")
    assert dialog.offers[-1].direction == "sendrecv"
    call.leg.hangup()
    await wait_until(dialog.ended.is_set, "BYE did not come")


async def test_dial_is_refused(rig: Rig, peer: SipPeer) -> None:
    peer.on_call = lambda invite: (486, "")
    call = rig.dial(f"sip:agent@127.0.0.1:{peer.port}")
    await call.until(lambda: call.ended, "the refusal")
    assert call.leg.last_code == 486
    assert call.leg.ended_by_far_end


async def test_dial_of_what_is_no_uri_leaves_nothing(rig: Rig) -> None:
    with pytest.raises(TelephonyError, match="cannot call"):
        rig.endpoint.dial("not a uri")
    assert not rig.endpoint.legs


# What is left


async def test_many_short_calls_leave_nothing_behind(rig: Rig, peer: SipPeer) -> None:
    process = psutil.Process()

    async def one_call() -> None:
        async with RtpPeer() as rtp:
            dialog = peer.call("support", audio_sdp(rtp.port))
            rtp.stream((await dialog.final()).media_port)
            call = await rig.call_in(len(rig.calls) - 1)
            await call.until(lambda: len(call.pieces) >= 2, "audio")
            await dialog.bye()
            await call.until(lambda: call.ended, "the end")

    def left() -> tuple[int, int, int, int]:
        return (
            rig.free_rows,
            len(rig.endpoint.legs),
            threading.active_count(),
            process.num_threads(),
        )

    for _ in range(RESTING_ROWS + 2):  # each row's ports are made once
        await one_call()
    before, fds_before = left(), process.num_fds()
    for _ in range(40):
        await one_call()
    assert left() == before
    # PJSIP closes a call's sockets when it ends; the last one's may still be going.
    await wait_until(lambda: process.num_fds() <= fds_before, "sockets were left")
    assert len(rig.calls) == RESTING_ROWS + 42
    assert all(call.leg.row is None for call in rig.calls)


async def test_stop_ends_calls_that_are_up(rig: Rig, peer: SipPeer) -> None:
    dialog = peer.call("support", audio_sdp(RTP_PORT))
    await dialog.final()
    call = await rig.call_in()
    await call.until(lambda: bool(call.pieces), "audio")
    rig.stop()
    await wait_until(dialog.ended.is_set, "BYE did not come")
    assert await rig.endpoint.idle(0.1)
