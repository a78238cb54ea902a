"""Redis servers of Debian, on TCP: with a password, with TLS, stopped and started at one port."""

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.store.client import RedisLink, RedisUnavailableError
from tests.support.ports import free_port
from tests.support.programs import need_program
from tests.support.waiting import PATIENCE_S


class RedisServer:
    """One place at which a server runs, or doesn't.

    Attributes:
        port: on 127.0.0.1, the same for every server of this place.
    """

    def __init__(self) -> None:
        self._program = need_program("redis-server", "redis-server")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory()

    def start(self, *arguments: str, tls: tuple[Path, Path] | None = None) -> None:
        """Start a server and wait until its port is open; ``tls``: its certificate and key."""
        place: tuple[str, ...] = ("--port", str(self.port))
        if tls is not None:
            certificate, key = map(str, tls)
            files = ("--tls-cert-file", certificate, "--tls-key-file", key)
            ours = ("--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
            place = ("--port", "0", "--tls-port", str(self.port), *files, *ours)
        self._process = subprocess.Popen(
            [self._program, *place, "--bind", "127.0.0.1", "--save", "", *arguments],
            cwd=self._directory.name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up_s = time.monotonic() + PATIENCE_S
        while not self._is_open():
            assert self._process.poll() is None, "redis-server ended at once"
            if time.monotonic() > give_up_s:
                raise AssertionError("redis-server did not open its port")
            time.sleep(0.01)

    @property
    def url(self) -> str:
        """The server's URL, for whoever needs no password."""
        return f"redis://127.0.0.1:{self.port}"

    def tell(self, number: signal.Signals) -> None:
        """Send the server a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End the server, if one runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End the server and remove its files."""
        self.stop()
        self._directory.cleanup()

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def redis_server(*arguments: str, tls: tuple[Path, Path] | None = None) -> Iterator[RedisServer]:
    """Run a server; it is gone at the end."""
    server = RedisServer()
    try:
        server.start(*arguments, tls=tls)
        yield server
    finally:
        server.close()


async def trouble_of(url: str) -> RedisUnavailableError:
    """Ask a Redis that can't be had; return the error."""
    link = RedisLink(url, timeout_s=2)
    with pytest.raises(RedisUnavailableError) as raised:
        await link.ask(["PING"])
    await link.aclose()
    return raised.value
