"""HTTP to and from a process of ours on this machine: one request, one answer.

A few lines instead of a client and a server: only the simulator and the console may import aiohttp.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_TIMEOUT_S = 3.0


async def get(url: str, timeout_s: float = _TIMEOUT_S) -> str:
    """Return the body, whatever the status.

    Raises:
        OSError, TimeoutError: nobody answers, or not in time.
    """
    return await ask("GET", url, timeout_s=timeout_s)


async def ask(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    timeout_s: float = _TIMEOUT_S,
) -> str:
    """Send a request; return the answer's body, whatever the status.

    Raises:
        OSError, TimeoutError: nobody answers, or not in time.
    """
    address = urlsplit(url)
    fields = {**(headers or {}), **({"Content-Length": str(len(body))} if body else {})}
    lines = [f"{method} {address.path or '/'} HTTP/1.0"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            _, _, answer = (await reader.read()).partition(b"\r\n\r\n")
            return answer.decode(errors="replace")
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Read a request; return its path and its body.

    Raises:
        OSError, asyncio.IncompleteReadError: the client has gone.
        ValueError: it is no HTTP.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    path = head.split(" ", 2)[1:2]
    if not path:
        raise ValueError("a request without a path")
    length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0] or 0)
    return path[0], await reader.readexactly(length)


async def write_answer(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    """Write an answer, after which the connection is to be closed."""
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(f"HTTP/1.1 {status} X\r\n{fields}\r\nConnection: close\r\n\r\n".encode() + body)
    await writer.drain()


class OneRequestServer(ABC):
    """Takes connections on a free port of the loopback, one request each. Use ``async with``.

    Attributes:
        address: ``http://host:port``, once it listens.
    """

    def __init__(self) -> None:
        self.address = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[object]] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._closing.set()
        await asyncio.gather(*self._open, return_exceptions=True)

    @abstractmethod
    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request and write what is answered, if anything; the connection is closed then."""

    async def wait(self, seconds: float) -> None:
        """Wait for so long, or until the server closes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                await self.answer(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()
