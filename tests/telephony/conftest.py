"""PJSIP for one test, started and taken down around it."""

import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from bridge.config.sip import SipSettings
from bridge.telephony.endpoint import MediaPortsKind
from tests.support.sip import SipPeer
from tests.telephony.rig import Rig
from tests.telephony.wide_phone import WIDE_SETTINGS


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
    """A started endpoint on a free port; every row must be back at the end."""
    rig = Rig(SipSettings(host="127.0.0.1", port=0), media_ports)
    rig.start()
    assert rig.endpoint.info.media_ports == media_ports
    try:
        yield rig
    finally:
        rig.stop()
    assert rig.free_rows == rig.endpoint.ports.arena.rows
    assert not rig.endpoint.legs


@pytest.fixture
async def wide(garbage_in_this_thread: None, media_ports: MediaPortsKind) -> AsyncIterator[Rig]:
    """A started endpoint with trunks with and without G.722 (:mod:`tests.telephony.wide_phone`)."""
    rig = Rig(SipSettings.model_validate(WIDE_SETTINGS), media_ports)
    rig.start()
    try:
        yield rig
    finally:
        rig.stop()
    assert rig.free_rows == rig.endpoint.ports.arena.rows


@pytest.fixture
async def peer(rig: Rig) -> AsyncIterator[SipPeer]:
    """A SIP socket that talks to the endpoint."""
    async with SipPeer(rig.endpoint.port) as peer:
        yield peer
