"""A process that ends with PJSIP still up ends as it would without it, and hangs up its calls.

In processes of their own, because what this is about would take them down.
"""

import asyncio
import sys

import pytest

from tests.support.raw_phone import RawPhone

pytestmark = pytest.mark.sip

LEFT_RUNNING = """
import asyncio, sys
from bridge.config.sip import SipSettings
from bridge.telephony.leg import LegState
from tests.telephony.rig import Rig

async def main():
    rig = Rig(SipSettings(host="127.0.0.1", port=0), sys.argv[1])
    rig.start()
    print(rig.endpoint.port, flush=True)
    if "call" in sys.argv:
        call = await rig.call_in()
        call.leg.passed = {"X-Account": "4711"}
        await call.until(lambda: LegState.CONFIRMED in call.states, "the ACK")
    %s
    return rig

kept = asyncio.run(main())
"""
ENDINGS = {"pass": 0, "raise SystemExit(3)": 3, "raise ValueError": 1}
"""How it ends, and with which exit code."""


async def left_running(ending: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "faulthandler", "-c", LEFT_RUNNING % ending, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("ending", ENDINGS)
async def test_its_exit_code_is_its_own(media_ports: str, ending: str) -> None:
    process = await left_running(ending, media_ports)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == ENDINGS[ending], errors.decode()


async def test_its_calls_are_hung_up(media_ports: str) -> None:
    process = await left_running("pass", media_ports, "call")
    assert process.stdout is not None
    async with RawPhone(int(await process.stdout.readline())) as phone:
        call = phone.invite()
        await call.until(lambda: call.requests("BYE"))
    assert call.requests("BYE")[0].header("X-Account") == "4711"
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
