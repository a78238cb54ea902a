"""SIP INFO: keys in it, and what is answered; over real SIP with PJSIP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.errors import TelephonyError
from bridge.softphone.sip_message import audio_sdp
from bridge.telemetry.labels import DtmfMethod
from bridge.telephony.info import Info
from bridge.telephony.keys import KeyPress
from tests.support.rtp import RtpPeer
from tests.support.sip import Dialog, SipPeer
from tests.telephony.rig import Call, Rig

HEAD = "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP b\r\n"


@pytest.mark.parametrize(
    ("head", "body", "info"),
    [
        ("Content-Type: application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Info("5", None)),
        ("c: application/dtmf-relay", "Signal= #\nDuration= 160", Info("#", None)),
        ("Content-Type: APPLICATION/DTMF-Relay;x=y", "signal=10", Info("*", None)),
        ("Content-Type: application/dtmf-relay", "Duration=160", Info(None, None)),
        ("Content-Type: application/dtmf-relay", "Signal=!", Info(None, None)),
        ("Content-Type: application/dtmf", "d\r\n", Info("D", 200)),
        ("Content-Type: application/dtmf", "11", Info("#", 200)),
        ("Content-Type: application/dtmf", "x", Info(None, 400)),
        ("Content-Type: application/media_control+xml", "<x/>", Info(None, None)),
        ("Content-Type: text/plain", "Signal=5", Info(None, 415)),
        ("Content-Length: 0", "", Info(None, 200)),
    ],
)
def test_info_is_read(head: str, body: str, info: Info) -> None:
    assert Info.parse(f"{HEAD}{head}\r\n\r\n{body}") == info


@asynccontextmanager
async def talking(
    rig: Rig, *, telephone_event: bool = True, allow: str = ""
) -> AsyncIterator[tuple[Call, Dialog, RtpPeer, SipPeer]]:
    """Place a call to the rig."""
    async with SipPeer(rig.endpoint.port) as sip, RtpPeer() as rtp:
        more = (("Allow", allow),) if allow else ()
        dialog = sip.call("x", audio_sdp(rtp.port, telephone_event=telephone_event), more)
        rtp.stream((await dialog.final()).media_port)
        call = await rig.call_in()
        await call.until(lambda: call.media == [True], "media")
        yield call, dialog, rtp, sip
        await dialog.bye()
        await call.until(lambda: call.ended, "the BYE")


@pytest.mark.sip
async def test_keys_come_by_both_methods_and_count_once(rig: Rig) -> None:
    async with talking(rig) as (call, dialog, rtp, _):
        assert call.leg.telephone_event
        await dialog.press_by_info("12")
        assert (await dialog.info("3", "application/dtmf")).status == 200
        assert (await dialog.info("?", "application/dtmf")).status == 400
        assert (await dialog.info("<a/>", "text/xml")).status == 415
        assert (await dialog.info()).status == 200
        rtp.press("4455")
        await call.until(lambda: call.digits == "1234455", "the keys")
        await dialog.press_by_info("45")
        assert call.presses[-2:] == [
            KeyPress("4", DtmfMethod.INFO, repeated=True),
            KeyPress("5", DtmfMethod.INFO, repeated=True),
        ]
        assert call.digits == "1234455"


@pytest.mark.sip
async def test_keys_go_by_info_where_there_are_no_events(rig: Rig) -> None:
    async with talking(rig, telephone_event=False) as (call, _, _, sip):
        assert not call.leg.telephone_event
        await call.leg.press("1#")
        assert [each.body.split()[0] for each in sip.infos] == ["Signal=1", "Signal=#"]
        assert sip.infos[0].header("Content-Type") == "application/dtmf-relay"
        sip.info_status = 415
        with pytest.raises(TelephonyError, match="refused the INFO for a key with 415"):
            await call.leg.press("2")


@pytest.mark.sip
async def test_far_end_that_allows_no_info_is_sent_none(rig: Rig) -> None:
    no_info = "INVITE, ACK, BYE"
    async with talking(rig, telephone_event=False, allow=no_info) as (call, _, _, sip):
        with pytest.raises(TelephonyError, match="neither telephone-events nor INFO"):
            await call.leg.press("1")
        assert sip.infos == []
