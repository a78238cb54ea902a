"""HTTP as plain as it comes: the status, headers and JSON of one request."""

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.simulator.client import KEY, TIMEOUT_S


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: Any  # JSON as it came


def http_url(ws_url: str, path: str = "/v1/realtime") -> str:
    """Return where a path is on the server of a WebSocket URL."""
    return ws_url.replace("ws://", "http://", 1).removesuffix("/v1/realtime") + path


async def request(
    url: str,
    body: object = None,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    key: str | None = KEY,
) -> Answer:
    """Send one request."""
    authorized = {} if key is None else {"Authorization": f"Bearer {key}"}
    sent = {"Content-Type": "application/json", **authorized, **(headers or {})}
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, sent, method=method)
    return await asyncio.to_thread(_answer, asked)


def _answer(asked: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as reply:
            return Answer(reply.status, dict(reply.headers), json.load(reply))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), json.load(error))
