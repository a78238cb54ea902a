"""SIPp as a trunk that challenges calls and registrations, over UDP and TCP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from string import Template

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.programs import need_program
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, running
from tests.telephony.trunk_far_end import SECRET

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

_SCENARIO = Path(__file__).parent / "scenarios" / "challenges.xml"
_RESPONSE = """
  <send>
    <![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]{tag}
      [last_Call-ID:]
      [last_CSeq:]
      {contact}
      {kind}
      Content-Length: [len]
{body}
    ]]>
  </send>"""
_SDP = """
      v=0
      o=sipp 1 1 IN IP4 127.0.0.1
      s=-
      c=IN IP4 127.0.0.1
      t=0 0
      m=audio [media_port] RTP/AVP 0"""
_ACK, _BYE = '<recv request="ACK"/>', '<recv request="BYE"/>'


def response(contact: str, *, tag: str = ";tag=sipp", body: str = "") -> str:
    """Write a 200 OK of SIPp's."""
    kind = "Content-Type: application/sdp" if body else "Supported: replaces"
    return _RESPONSE.format(tag=tag, contact=contact, kind=kind, body=body)


_OWN = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"
_TAKEN = {
    "INVITE": response(_OWN, body=_SDP) + _ACK + _BYE + response(_OWN, tag=""),
    "REGISTER": response("[last_Contact:];expires=600"),
}


def endpoint(port: int, transport: str) -> AbstractAsyncContextManager[Rig]:
    """Run an endpoint whose trunk is SIPp."""
    trunk = {
        "addresses": "127.0.0.1",
        "transport": transport,
        "credentials": {"username": "acme", "secret_env": "UNUSED"},
        "registration": {"registrar": f"sip:127.0.0.1:{port}"},
    }
    return running(trunks={"carrier": trunk})


def listens(pid: int, port: int) -> bool:
    """Return whether a process has a socket at a port."""
    sockets = psutil.Process(pid).net_connections("inet")
    return any(port in each.laddr[1:] for each in sockets)


@asynccontextmanager
async def sipp(
    folder: Path, port: int, transport: str, method: str, secret: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run SIPp, which takes one call or registration."""
    program = need_program("sipp", "sip-tester")
    calls = method == "INVITE"
    text = Template(_SCENARIO.read_text()).substitute(
        method=method,
        secret=secret,
        acknowledged=_ACK if calls else "",
        taken=_TAKEN[method],
    )
    (folder / "far.xml").write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(program, "-sf", "far.xml", "-i", "127.0.0.1", "-p", str(port), "-t", f"{transport[0]}1"),
        *("-m", "1", "-nostdin", "-timeout", "30s", "-trace_err", "-error_file", "errors.log"),
        *("-mp", str(free_port())),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await wait_until(lambda: listens(process.pid, port), "SIPp does not listen")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipp_takes_our_registration(tmp_path: Path, transport: str) -> None:
    port = free_port()
    async with (
        endpoint(port, transport) as rig,
        sipp(tmp_path, port, transport, "REGISTER", SECRET) as far,
    ):
        answer = await rig.endpoint.register("carrier", renew=True)
        assert (answer.code, answer.expires_s) == (200, 600)
        assert await asyncio.wait_for(far.wait(), 30) == 0


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_sipp_takes_our_call(tmp_path: Path, transport: str) -> None:
    port = free_port()
    async with (
        endpoint(port, transport) as rig,
        sipp(tmp_path, port, transport, "INVITE", SECRET) as far,
    ):
        call = rig.dial(f"sip:+15550100@127.0.0.1:{port}")
        await call.until(lambda: call.ended or "confirmed" in call.states, "an answer")
        assert not call.ended, call.leg.last_code
        call.leg.hangup()
        await call.until(lambda: call.ended, "the end")
        assert await asyncio.wait_for(far.wait(), 30) == 0


async def test_sipp_refuses_a_wrong_secret(tmp_path: Path) -> None:
    port = free_port()
    async with endpoint(port, "udp") as rig, sipp(tmp_path, port, "udp", "REGISTER", "another"):
        assert (await rig.endpoint.register("carrier", renew=True)).code == 403
