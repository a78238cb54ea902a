"""Requests to the Realtime service's HTTP side, which carry the long-lived key."""

from urllib.parse import urlsplit

import aiohttp

from bridge.session.connection import tls_context
from bridge.session.destinations import may_use_proxy


def http_session(url: str, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """Return a session for one service: one connection at a time, no cookies; close it."""
    parts = urlsplit(url)
    tls = tls_context() if parts.scheme == "https" else True
    return aiohttp.ClientSession(
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(ssl=tls, limit=1, force_close=True),
        trust_env=may_use_proxy(parts.hostname),
    )


async def read_body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """Return an answer's body; of one that is too long, little more than is allowed."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most_bytes:
            break
    return bytes(body)
