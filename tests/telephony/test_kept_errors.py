"""An error's traceback may outlive its call, and PJSIP: the objects in it do no harm then.

`pj::Call`'s destructor takes callbacks off whatever call has its number by then, hangs that up, and
aborts the process where PJSIP is down.
"""

import gc
import subprocess
import sys

import pytest

from bridge.errors import TelephonyError
from bridge.softphone.sip_message import audio_sdp
from bridge.telephony.leg import LegState
from tests.support.sip import Dialog, SipPeer
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig

pytestmark = pytest.mark.sip


async def take(rig: Rig, peer: SipPeer, number: int) -> tuple[Dialog, Call]:
    dialog = peer.call("support", audio_sdp(40_000))
    assert (await dialog.final()).status == 200
    call = await rig.call_in(number)
    await call.until(lambda: call.leg.state is LegState.CONFIRMED, "the ACK")
    return dialog, call


def error_of(call: Call) -> TelephonyError:
    """Have PJSIP refuse a re-INVITE within another; the error's frames hold PJSUA's call object."""
    call.leg.hold()
    with pytest.raises(TelephonyError) as caught:
        call.leg.hold()
    return caught.value


async def test_an_error_that_is_kept_ends_no_later_call(rig: Rig, peer: SipPeer) -> None:
    dialog, call = await take(rig, peer, 0)
    kept = [error_of(call)]
    await wait_until(lambda: dialog.offers)
    await dialog.bye()
    assert await rig.endpoint.idle(5.0)
    dialog, call = await take(rig, peer, 1)
    kept.clear()
    gc.collect()
    assert (await dialog.reinvite(audio_sdp(40_000, direction="sendonly", version=2))).status == 200
    await call.until(lambda: call.media == [True, False], "the hold")
    call.leg.hangup()
    await call.until(lambda: call.ended, "the end")


ERROR_OUTLIVES_PJSIP = """
import asyncio, gc, sys
from bridge.config.sip import SipSettings
from tests.support.sip import SipPeer
from tests.telephony.rig import Rig
from tests.telephony.test_kept_errors import error_of, take

async def main():
    gc.disable()
    rig = Rig(SipSettings(host="127.0.0.1", port=0), sys.argv[1])
    rig.start()
    async with SipPeer(rig.endpoint.port) as peer:
        _, call = await take(rig, peer, 0)
        kept = [error_of(call)]
        rig.stop()
        del call
        kept.clear()
        gc.collect()

asyncio.run(main())
print("done")
"""


def test_an_error_may_outlive_pjsip(media_ports: str) -> None:
    """In a process of its own, because what this is about would take it down."""
    command = [sys.executable, "-X", "faulthandler", "-c", ERROR_OUTLIVES_PJSIP, media_ports]
    run = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (run.returncode, run.stdout.splitlines()[-1:]) == (0, ["done"]), run.stderr
