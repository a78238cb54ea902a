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
    return await request("GET", url, timeout_s=timeout_s)


async def request(
    method: str,
    url: str,
    body: str = "",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> str:
    """Send a request; return the answer's body, whatever the status.

    Raises:
        OSError, TimeoutError: nobody answers, or not in time.
    """
    address = urlsplit(url)
    content = body.encode()
    lines = [f"{method} {address.path or '/'} HTTP/1.0"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if content:
        lines.append(f"Content-Length: {len(content)}")
    head = "\r\n".join(lines) + "\r\n\r\n"
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(head.encode() + content)
            _, _, answer = (await reader.read()).partition(b"\r\n\r\n")
            return answer.decode(errors="replace")
        finally:
            writer.close()
