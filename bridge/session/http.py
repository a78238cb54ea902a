"""Requests to the Realtime service's HTTP side, which carry the long-lived key.

They go the same way as the WebSocket (:class:`bridge.session.access.Access`). Nothing is raised for
what goes wrong on it: aiohttp's own errors hold the request's headers and URL, so none of them may
be the context of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from bridge.descriptors import out_of_descriptors
from bridge.session.access import Access
from bridge.session.obstacles import Obstacle, describe

_MORE_FILES = "raise the limit of open files (LimitNOFILE, ulimit -n)"

TIMED_OUT = "timeout"
NO_DESCRIPTORS = "no_descriptors"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A service's answer; of a body that is too long, little more than was allowed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(
    method: Literal["GET", "POST"],
    url: str,
    access: Access,
    *,
    timeout_s: float,
    most_bytes: int,
    headers: Mapping[str, str] | None = None,
    json: object = None,
) -> HttpAnswer | Obstacle:
    """Ask a service once, on a connection of its own; return its answer, or what is in the way.

    Redirects are not followed: the key must not go to where somebody else points.

    Args:
        url: without what ``access`` adds to its query.
        most_bytes: of the body that are read.
        headers: beside those of ``access``.
        json: body to send.
    """
    proxy = access.proxies.of(url)
    given = {**(headers or {}), **access.request_headers}
    if proxy is not None and urlsplit(url).scheme == "http":
        given |= proxy.headers  # no tunnel: the proxy reads the request itself
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(ssl=access.tls_context, limit=1, force_close=True),
            ) as http,
            http.request(
                method,
                access.url_with(url),
                json=json,
                headers=given,
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.headers,
                allow_redirects=False,
            ) as response,
        ):
            body = await _read_body(response, most_bytes)
            return HttpAnswer(response.status, response.headers, body)
    except TimeoutError:
        through = "" if proxy is None else f" through the proxy {proxy.address}"
        return Obstacle(TIMED_OUT, f"no answer{through} within {timeout_s:g} s", "")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if out_of_descriptors(error):
            what = "this process has no file descriptor left"
            return Obstacle(NO_DESCRIPTORS, what, _MORE_FILES)
        return describe(error, access, proxy) or Obstacle("unavailable", "no connection", "")


async def _read_body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most_bytes:
            break
    return bytes(body)
