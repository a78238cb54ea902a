"""PJSIP for one test, started and taken down around it."""

import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from bridge.telephony.endpoint import MediaPortsKind
from tests.support.sip import SipPeer
from tests.telephony.rig import Rig, running
from tests.telephony.wide_phone import WIDE_TRUNKS


@pytest.fixture
def garbage_in_this_thread() -> Iterator[None]:
    """Keep the collector out of PJSIP's threads, as the gateway does (`bridge.app.loop`)."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.fixture(params=["callback", pytest.param("memory", marks=pytest.mark.capacity)])
def media_ports(request: pytest.FixtureRequest) -> MediaPortsKind:
    """Each way to fill the rings that the loaded PJSIP has."""
    kind: MediaPortsKind = request.param
    return kind


@pytest.fixture
async def rig(garbage_in_this_thread: None, media_ports: MediaPortsKind) -> AsyncIterator[Rig]:
    """An endpoint with default settings."""
    async with running(media_ports) as rig:
        assert rig.endpoint.info.media_ports == media_ports
        yield rig


@pytest.fixture
async def wide(garbage_in_this_thread: None, media_ports: MediaPortsKind) -> AsyncIterator[Rig]:
    """An endpoint with trunks with and without G.722 (:mod:`tests.telephony.wide_phone`)."""
    async with running(media_ports, trunks=WIDE_TRUNKS) as rig:
        yield rig


@pytest.fixture
async def peer(rig: Rig) -> AsyncIterator[SipPeer]:
    """A SIP socket that talks to the endpoint."""
    async with SipPeer(rig.endpoint.port) as peer:
        yield peer
