"""One HTTP GET to a process of ours on this machine.

A few lines of HTTP/1.0 instead of a client: only the simulator and the console may import aiohttp.
"""

import asyncio
from urllib.parse import urlsplit

_TIMEOUT_S = 3.0


async def get(url: str, timeout_s: float = _TIMEOUT_S) -> str:
    """Return the body, whatever the status.

    Raises:
        OSError, TimeoutError: nobody answers, or not in time.
    """
    address = urlsplit(url)
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(f"GET {address.path or '/'} HTTP/1.0\r\n\r\n".encode())
            _, _, body = (await reader.read()).partition(b"\r\n\r\n")
            return body.decode(errors="replace")
        finally:
            writer.close()
