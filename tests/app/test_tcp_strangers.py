"""Strangers who open TCP connections to the SIP port: the process stays, and others get through."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.gateways import Gateway, serving, write_dialplan
from tests.support.raw_phone import RawPhone
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sip

NO_SERVICE = "ws://127.0.0.1:9/v1/realtime"
TRUNK = "127.0.0.9"


@contextmanager
def gateway_at(directory: Path) -> Iterator[Gateway]:
    dialplans = write_dialplan(directory / "dialplans")
    with serving(
        directory,
        NO_SERVICE,
        dialplans,
        preflight=False,
        sip={"trunks": {"carrier": [TRUNK]}, "strangers": "answer"},
    ) as gateway:
        yield gateway


class Strangers:
    """Connections from several addresses.

    Attributes:
        open: those that were accepted by the kernel, or still ask for it.
    """

    def __init__(self, port: int) -> None:
        self.open: list[socket.socket] = []
        self._port = port

    def connect(self, count: int, says: bytes) -> None:
        for index in range(count):
            each = socket.socket()
            each.bind((f"127.0.0.{2 + index % 5}", 0))
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", self._port))
            self.open.append(each)
            with suppress(OSError):  # it isn't connected yet
                each.send(says)

    def close(self) -> None:
        while self.open:
            self.open.pop().close()


def options(port: int, branch: str) -> bytes:
    return (
        f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n"
        "From: <sip:stranger@127.0.0.1>;tag=1\r\n"
        f"To: <sip:127.0.0.1:{port}>\r\nCall-ID: {branch}@127.0.0.1\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


async def ask_by_tcp(port: int, within_s: float) -> bytes:
    """Open a connection, ask by OPTIONS, return the first line of the answer."""
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(options(port, "asked"))
        line = await reader.readline()
        writer.close()
        return line


async def answers_by_udp(gateway: Gateway) -> None:
    async with RawPhone(gateway.sip_port) as phone:
        call = phone.call()
        call.send("OPTIONS")
        await call.final("OPTIONS")


async def test_connections_that_come_and_go_do_not_end_the_process(tmp_path: Path) -> None:
    with gateway_at(tmp_path) as gateway:
        process = psutil.Process(gateway.process.pid)
        strangers = Strangers(gateway.sip_port)
        for _ in range(6):
            for _ in range(10):
                strangers.connect(5, b"x")
                await answers_by_udp(gateway)  # PJSIP has had its turn
            strangers.close()
        assert process.status() != psutil.STATUS_ZOMBIE
        assert b"SIP/2.0 " in await ask_by_tcp(gateway.sip_port, 15.0)


@pytest.mark.parametrize("says", [b"", b"x"], ids=["silent", "a byte each"])
async def test_silent_connections_make_room_for_one_that_asks(tmp_path: Path, says: bytes) -> None:
    with gateway_at(tmp_path) as gateway:
        process = psutil.Process(gateway.process.pid)
        strangers = Strangers(gateway.sip_port)
        strangers.connect(100, says)
        try:
            assert b"SIP/2.0 " in await ask_by_tcp(gateway.sip_port, 15.0)
        finally:
            strangers.close()
        assert process.status() != psutil.STATUS_ZOMBIE
        await wait_until(lambda: _at(process, gateway.sip_port) == 0, "connections stayed")


async def test_a_trunks_connection_is_closed_last(tmp_path: Path) -> None:
    with gateway_at(tmp_path) as gateway:
        loop = asyncio.get_running_loop()
        trunk = socket.socket()
        trunk.bind((TRUNK, 0))
        trunk.setblocking(False)
        await loop.sock_connect(trunk, ("127.0.0.1", gateway.sip_port))
        strangers = Strangers(gateway.sip_port)
        strangers.connect(100, b"")
        try:
            assert b"SIP/2.0 " in await ask_by_tcp(gateway.sip_port, 15.0)
            await loop.sock_sendall(trunk, options(gateway.sip_port, "trunk"))
            async with asyncio.timeout(60):
                assert b"SIP/2.0 " in await loop.sock_recv(trunk, 4096)
        finally:
            strangers.close()
            trunk.close()


def _at(process: psutil.Process, port: int) -> int:
    """Return how many connections a process has at a port."""
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in process.net_connections("tcp")
    )
