"""What systemd is sent, by a socket of the test's own."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from bridge.processes.notify import READY, STOPPING, keep_watchdog_quiet, notify
from bridge.processes.notify import watchdog_interval_s as interval_s


@pytest.mark.parametrize("abstract", [False, True])
def test_states_are_sent_to_the_socket_that_is_named(tmp_path: Path, abstract: bool) -> None:
    name = f"@bridge-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(5.0)
        systemd.bind("\0" + name[1:] if abstract else name)
        notify(READY, STOPPING, environ={"NOTIFY_SOCKET": name})
        assert systemd.recv(100) == b"READY=1\nSTOPPING=1"


def test_nobody_and_a_socket_that_is_gone_cost_nothing(tmp_path: Path) -> None:
    notify(READY, environ={})
    notify(READY, environ={"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_watchdog_is_for_the_process_that_it_names() -> None:
    assert interval_s({"WATCHDOG_USEC": "3000000"}) == 1.5
    assert interval_s({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}) == 1.5
    assert interval_s({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}) is None
    assert interval_s({}) is None


async def test_watchdog_hears_of_the_loop_again_and_again(tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(environ["NOTIFY_SOCKET"])
        systemd.setblocking(False)
        keeping = asyncio.create_task(keep_watchdog_quiet(environ))
        for _ in range(3):
            heard = await asyncio.get_running_loop().sock_recv(systemd, 100)
            assert heard == b"WATCHDOG=1"
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
