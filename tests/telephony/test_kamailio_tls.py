"""Kamailio with TLS on its outside, by UDP to the gateway: calls by TLS, of clients that may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.telephony.leg import LegState
from tests.support.certificates import Authority, make_certificate
from tests.support.kamailio import PING_INTERVAL_S, TlsOutside, kamailio
from tests.support.tls_sip import client_context, header, sdp, tls_phone
from tests.telephony.rig import Rig, running

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@asynccontextmanager
async def edge(authority: Authority, *, mtls: bool) -> AsyncIterator[tuple[Rig, int]]:
    """Run an endpoint behind Kamailio; its TLS port comes second."""
    tls = TlsOutside(authority.sign("edge"), authority.cert_file if mtls else None)
    async with running() as rig:
        node = rig.endpoint.port
        async with kamailio([node], tls=tls) as server:
            await server.until(10 * PING_INTERVAL_S, AP=[node])
            yield rig, server.tls_port


@pytest.mark.parametrize("mtls", [False, True])
@pytest.mark.parametrize("ended_by", ["caller", "bridge"])
async def test_a_call_by_tls_goes_through_kamailio(
    authority: Authority, mtls: bool, ended_by: str
) -> None:
    shown = authority.sign("phone") if mtls else None
    context = client_context(authority.cert_file, shown)
    async with edge(authority, mtls=mtls) as (rig, port), tls_phone(port, context) as phone:
        answer = await phone.invite(sdp())
        assert answer.startswith("SIP/2.0 200")
        call = await rig.call_in()
        await call.until(lambda: LegState.CONFIRMED in call.states, "the ACK")
        if ended_by == "caller":
            assert (await phone.bye()).startswith("SIP/2.0 200")
            await call.until(lambda: call.ended, "the end")
        else:
            call.leg.hangup()
            bye = await phone.final()
            assert bye.startswith("BYE ")
            assert header(bye, "Via").startswith("SIP/2.0/TLS")


@pytest.mark.parametrize("shown", ["nothing", "self-signed"])
async def test_kamailio_serves_no_client_without_a_good_certificate(
    authority: Authority, tmp_path: Path, shown: str
) -> None:
    own = None if shown == "nothing" else make_certificate(tmp_path / "own")
    async with edge(authority, mtls=True) as (rig, port):
        answer = ""
        try:
            async with tls_phone(port, client_context(authority.cert_file, own)) as phone:
                answer = await phone.invite(sdp())
        except OSError:  # the handshake has failed at once
            pass
        assert not answer
        assert not rig.calls
