"""HTTP to a process of ours on this machine: one request, one answer.

A few lines of HTTP/1.0 instead of a client: only the simulator and the console may import aiohttp.
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
