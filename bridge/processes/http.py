"""HTTP to and from a process of ours on this machine: one request, one answer.

A few lines instead of a client and a server: only the simulator and the console may import aiohttp.
"""

import asyncio
from collections.abc import Mapping
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
            _, _, told = (await reader.read()).partition(b"\r\n\r\n")
            return told.decode(errors="replace")
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
