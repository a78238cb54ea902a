"""Audio of a call on another node: its WebSocket there, passed on to the browser's here.

The node with the browser has checked who asks; to the node with the call it shows a token of its
own (:class:`bridge.console.access.tokens.TokenKind`), good once, for that supervisor and that call.
"""

import asyncio
import ssl
from urllib.parse import quote, urlencode

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

log = structlog.get_logger(__name__)

_OPEN_WITHIN_S = 3.0
_MAX_MESSAGE_BYTES = 64 * 1024
_QUEUED_MESSAGES = 8
"""A browser that is slow is noticed by the node with the call, which then leaves frames out."""

UNREACHABLE_CODE = 4502
"""WebSocket close code: the node that has the call can't be reached, or not any more."""

_LOST = frozenset({1001, 1006, 1011, 1012})
"""RFC 6455 section 7.4.1: the node goes, went without a word, failed, or starts anew."""


async def relay(
    socket: WebSocket,
    node_url: str,
    call_id: str,
    kind: str,
    token: str,
    trust: ssl.SSLContext,
) -> int:
    """Pass messages on, both ways, until one side goes; return how many there were.

    Args:
        socket: the browser's, accepted.
        node_url: of the node with the call, as its heartbeat tells it.
        call_id: the call.
        kind: ``listen``, ``listen_private`` or ``talk``.
        token: for that node.
        trust: checks its certificate, where it speaks TLS.
    """
    url = node_url.replace("http", "ws", 1).rstrip("/")
    query = urlencode({"kind": kind, "token": token})
    try:
        async with connect(
            f"{url}/api/v1/relay/calls/{quote(call_id)}/audio?{query}",
            open_timeout=_OPEN_WITHIN_S,
            max_size=_MAX_MESSAGE_BYTES,
            max_queue=_QUEUED_MESSAGES,
            compression=None,
            ssl=trust if url.startswith("wss:") else None,
        ) as far:
            return await _pass_on(socket, far)
    except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
        log.warning("node_unreachable", error=type(error).__name__)
        await socket.close(UNREACHABLE_CODE)
        return 0


async def _pass_on(socket: WebSocket, far: ClientConnection) -> int:
    counts = [0, 0]
    ways = (_to_browser(socket, far, counts), _to_node(socket, far, counts))
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sum(counts)


async def _to_browser(socket: WebSocket, far: ClientConnection, counts: list[int]) -> None:
    try:
        async for message in far:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
                counts[0] += 1
    except ConnectionClosed:
        pass
    code = far.close_code or 1006
    await socket.close(UNREACHABLE_CODE if code in _LOST else code)


async def _to_node(socket: WebSocket, far: ClientConnection, counts: list[int]) -> None:
    try:
        while True:
            await far.send(await socket.receive_bytes())
            counts[1] += 1
    except (WebSocketDisconnect, ConnectionClosed, KeyError):
        return
