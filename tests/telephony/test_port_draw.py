"""The ports of calls' RTP: random, within their range, and none of them open without a call."""

import re
import socket
from itertools import pairwise

import pytest

from tests.support.raw_phone import RawCall, RawPhone
from tests.support.waiting import wait_until
from tests.telephony.rig import Rig, running

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

FIRST, LAST = 39_001, 39_400


def port_of(call: RawCall) -> int:
    found = re.search(r"(?m)^m=audio (\d+)", call.finals("INVITE")[0].text)
    assert found is not None
    return int(found[1])


def is_open(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        probe.send(b"who is there")
        try:
            probe.settimeout(0.05)
            probe.recv(1)
        except ConnectionRefusedError:
            return False
        except TimeoutError:
            return True
        raise AssertionError(f"port {port} has answered")


async def ports_of_calls(rig: Rig, number: int) -> list[int]:
    ports = []
    async with RawPhone(rig.endpoint.port) as phone:
        for _ in range(number):
            call = await phone.invite().answered()
            ports.append(port_of(call))
            assert is_open(ports[-1])
            assert is_open(ports[-1] + 1)
            assert await call.bye() == 200
            await wait_until(lambda: not is_open(ports[-1]), "a port of no call is open")
    return ports


async def test_each_call_has_a_random_pair_of_its_range_and_closes_it() -> None:
    async with running(rtp_port_min=FIRST, rtp_port_max=LAST, max_calls=4) as rig:
        ports = await ports_of_calls(rig, 12)
    assert all(FIRST < port < LAST and port % 2 == 0 for port in ports)
    steps = [later - earlier for earlier, later in pairwise(ports)]
    assert len(set(steps)) > 6, "one call's port foretells the next one's"
    assert min(steps) < 0 < max(steps)


async def test_a_port_that_another_process_has_is_passed_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 39_503))
        async with running(rtp_port_min=39_500, rtp_port_max=39_505, max_calls=1) as rig:
            assert set(await ports_of_calls(rig, 6)) <= {39_500, 39_504}
