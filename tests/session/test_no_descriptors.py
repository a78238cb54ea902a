"""A session that can't be had because this process can open no socket: nobody else is blamed."""

import errno
import socket

import pytest
from websockets.asyncio.server import ServerConnection

from bridge.descriptors import out_of_descriptors
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


def test_the_last_descriptor_that_another_connection_had_counts() -> None:
    """As asyncio reports "localhost" where ::1 had the last one and gave it back when refused."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1, 0, 0)")
    lack = OSError(errno.EMFILE, "Too many open files")
    assert out_of_descriptors(OSError(f"Multiple exceptions: {refused}, {lack}"))
    assert not out_of_descriptors(OSError(f"Multiple exceptions: {refused}, {refused}"))


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (OSError(errno.ENOENT, "a file of the resolver's"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), False),
    ],
)
def test_error_while_none_is_left_is_ours_but_for_a_far_ends(error: OSError, ours: bool) -> None:
    with no_descriptor_left():
        assert out_of_descriptors(error) is ours
    assert not out_of_descriptors(error)


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
