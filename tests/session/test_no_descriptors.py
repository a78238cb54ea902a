"""A session that can't be had because this process can open no socket: nobody else is blamed."""

import pytest
from websockets.asyncio.server import ServerConnection

from bridge.errors import Fault, UpstreamError
from bridge.realtime.failures import Layer, classify
from bridge.realtime.session_config import SessionConfig
from tests.session.peer import QUICK, Heard, accept, make_session, serving
from tests.session.test_tokens import ManualTime, Rotations, Service
from tests.session.test_tokens import make as make_provider
from tests.session.test_tokens import serving as token_service
from tests.support.no_files import no_descriptor_left


async def stay(peer: ServerConnection) -> None:
    await accept(peer)
    await peer.wait_closed()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_descriptor_is_the_bridges_fault(host: str) -> None:
    async with serving(stay) as url:
        session = make_session(url.replace("127.0.0.1", host), Heard(), QUICK)
        with no_descriptor_left(), pytest.raises(UpstreamError) as caught:
            await session.open(SessionConfig())
        await session.aclose()
        again = make_session(url, Heard(), QUICK)
        await again.open(SessionConfig())
        await again.aclose()
    failure = classify(caught.value)
    assert (failure.code, failure.layer, failure.fault) == (
        "no_descriptors",
        Layer.HOST,
        Fault.BRIDGE,
    )
    assert not failure.permanent
    assert failure.retryable
    assert "ulimit -n" in caught.value.remedy


async def test_a_token_that_no_descriptor_is_left_for_is_not_the_services_fault() -> None:
    time, rotations = ManualTime(), Rotations()
    async with token_service(Service(time.clock)) as service:
        provider = make_provider(service, time, rotations)
        with no_descriptor_left():
            await provider.open()
            await rotations.count(1)
        assert rotations.seen == [(False, "no_descriptors")]
        await time.pass_sleep()
        await rotations.count(2)
        assert rotations.seen[-1][0], "it is fetched once there are descriptors again"
        await provider.aclose()
