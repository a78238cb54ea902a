"""`bridge serve` reports to systemd what its unit's `Type=notify` and watchdog wait for."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.store.local import start_local_redis

DIALPLAN = """\
schema: dialplan/v1
name: one
match:
  - called: "*"
arm: live
agent: {language: en, instructions: Be brief.}
"""


@contextmanager
def receiver(path: str) -> Iterator[socket.socket]:
    """Bind the datagram socket that systemd would; `@` begins an abstract name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(path.replace("@", "\0", 1))
        bound.settimeout(60)
        yield bound


def until(bound: socket.socket, wanted: str) -> list[str]:
    """Return the states that came, in their order, the wanted one last."""
    came: list[str] = []
    while wanted not in came:
        came += bound.recv(4096).decode().splitlines()
    return came


@contextmanager
def gateway(directory: Path, redis_url: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
    (directory / "dialplans").mkdir()
    (directory / "dialplans" / "one.yaml").write_text(DIALPLAN)
    environ = os.environ | {
        "BRIDGE_ARMS": json.dumps({"live": {"url": "ws://127.0.0.1:9/v1/realtime"}}),
        "BRIDGE_SIP_HOST": "127.0.0.1",
        "BRIDGE_SIP_PORT": "0",
        "BRIDGE_HTTP_PORT": "0",
        "BRIDGE_REDIS_URL": redis_url,
        **extra,
    }
    command = [sys.executable, "-m", "bridge", "serve", "--no-preflight", "--json"]
    with subprocess.Popen(
        command,
        cwd=directory,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("abstract", [False, True])
def test_gateway_reports_its_start_its_life_and_its_end(abstract: bool, tmp_path: Path) -> None:
    address = f"@bridge-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with (
        start_local_redis() as redis,
        receiver(address) as bound,
        gateway(tmp_path, redis.url, NOTIFY_SOCKET=address, WATCHDOG_USEC="400000") as process,
    ):
        came = until(bound, "READY=1")
        assert "STOPPING=1" not in came
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["sip"]  # ready: its ports are open
        until(bound, "WATCHDOG=1")
        until(bound, "WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        bound.settimeout(2)  # five times what systemd would wait: a gateway that stands is silent
        with pytest.raises(TimeoutError):
            until(bound, "what never comes")
        bound.settimeout(60)
        process.send_signal(signal.SIGCONT)
        until(bound, "WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        until(bound, "STOPPING=1")
        assert process.wait(60) == 0


def test_gateway_whose_start_fails_is_never_ready(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with (
        receiver(address) as bound,
        gateway(tmp_path, "redis://127.0.0.1:9/0", NOTIFY_SOCKET=address) as process,
    ):
        assert process.wait(60) == 3
        bound.setblocking(False)
        with pytest.raises(BlockingIOError):
            until(bound, "READY=1")
