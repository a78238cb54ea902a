"""Fetches recordings and live audio from the nodes that have them, and brings pictures to them.

The node with the browser has checked who asks, and audits it; to the other node it shows a token of
its own, good once, for that user and that call (:mod:`bridge.console.access.tokens`).
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import structlog
from fastapi import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bridge.console.access.tokens import CallTokenKind, CallTokens
from bridge.errors import ConfigError
from bridge.realtime.pictures import Picture
from bridge.store.reader import CallReader

log = structlog.get_logger(__name__)

_TIMEOUT = httpx2.Timeout(10.0, connect=3.0)
Json = dict[str, Any]  # Any: JSON of markers and outlines

_OPEN_WITHIN_S = 3.0
_MAX_MESSAGE_BYTES = 64 * 1024
_QUEUED_MESSAGES = 8
"""A browser that is slow is noticed by the node with the call, which then leaves frames out."""

UNREACHABLE_CODE = 4502
"""WebSocket close code: the node that has the call can't be reached, or not any more."""

_LOST = frozenset({1001, 1005, 1006, 1011, 1012})
"""RFC 6455 section 7.4.1: the node goes, gave no code, was cut off, failed, or starts anew.

1005 and 1006 are never sent (section 7.1.5), so they can't be passed on either."""

SEALED = 423
"""HTTP status (RFC 4918 section 11.3): a recording is there, encrypted, and nobody opens it."""

_PASSED_ON = ("content-type", "content-length", "content-range", "accept-ranges", "etag")


def trust_of(ca_file: Path | None) -> ssl.SSLContext:
    """Return what certificates of other nodes are checked with. Blocks for some 10 ms.

    Args:
        ca_file: who signs them; None for whom this machine trusts.

    Raises:
        ConfigError: the file can't be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificate that signs the nodes' can't be used: {error.strerror or error}",
            path=str(ca_file),
            remedy="console.node_ca_file is a PEM file",
        ) from error


class _Unreachable(Exception):
    """A node can't be asked: the end of a sentence about it."""


class OtherNodes:
    """Asks the nodes that took calls.

    Args:
        calls: says where they are.
        tokens: for them.
        trust: checks their certificates.
        own: this node's name; it is not asked.
    """

    def __init__(
        self, calls: CallReader, tokens: CallTokens, trust: ssl.SSLContext, own: Callable[[], str]
    ) -> None:
        self.trust = trust
        self._calls = calls
        self._tokens = tokens
        self._own = own
        self._client: httpx2.AsyncClient | None = None

    async def aclose(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def has_recording(self, node: str, call_id: str, user: str) -> bool:
        """Return whether a node has a call's recording, and can be asked for it now."""
        try:
            await self.check_recording(node, call_id, user)
        except HTTPException as error:
            return error.status_code == SEALED
        return True

    async def check_recording(self, node: str, call_id: str, user: str) -> None:
        """Ask for a recording without its sound; raises as :meth:`recording`."""
        answer = await self._ask("HEAD", node, call_id, user, "recording", {}, {})
        await answer.aclose()

    async def recording(
        self, node: str, call_id: str, user: str, wanted: str | None
    ) -> StreamingResponse:
        """Return a recording as its node gives it.

        Args:
            node: which took the call.
            call_id: the call.
            user: who asks.
            wanted: the request's Range header.

        Raises:
            HTTPException: 404: there is none; 409: its node can't be asked, with its name.
        """
        headers = {} if wanted is None else {"Range": wanted}
        answer = await self._ask("GET", node, call_id, user, "recording", {}, headers)
        return _PassedOn(answer)

    async def sealed(self, node: str, call_id: str, user: str) -> tuple[bytes, float]:
        """Return an encrypted recording as it lies there, and its time; raises as the former.

        Returns:
            The content, and when it was last written, s since the Unix epoch.
        """
        answer = await self._ask("GET", node, call_id, user, "sealed", {}, {})
        written = parsedate_to_datetime(answer.headers["last-modified"])
        return await answer.aread(), written.timestamp()

    async def outline(self, node: str, call_id: str, user: str, width: int) -> Json:
        """Return a recording's outline and markers; raises as :meth:`recording`."""
        answer = await self._ask("GET", node, call_id, user, "outline", {"width": str(width)}, {})
        await answer.aread()
        found: Json = answer.json()
        return found

    async def bring(self, node: str, call_id: str, user: str, picture: Picture) -> None:
        """Have the node with a live call keep a picture for the order that shows it.

        Raises:
            HTTPException: 409: it is not there any more, or can't be asked.
        """
        token, _ = await self._tokens.issue(user, call_id, CallTokenKind.RELAY_PICTURE)
        try:
            if not node or node == self._own():
                raise _Unreachable("which has it no more")
            answer = await self._send(
                "POST", node, call_id, "picture", params={"token": token}, content=picture.data
            )
            await answer.aclose()
            if answer.status_code != httpx2.codes.NO_CONTENT:
                raise _Unreachable("which did not take the picture")
        except _Unreachable as error:
            raise HTTPException(409, f"node {node} has this call, {error}") from error

    async def _send(
        self, method: str, node: str, call_id: str, what: str, **more: Any
    ) -> httpx2.Response:
        url = (await self._calls.node(node) or {}).get("http", "").rstrip("/")
        if not url:
            raise _Unreachable("which is not running")
        client = self._client = self._client or httpx2.AsyncClient(
            verify=self.trust, timeout=_TIMEOUT, trust_env=False
        )
        where = f"{url}/api/v1/relay/calls/{quote(call_id)}/{what}"
        try:
            return await client.send(client.build_request(method, where, **more), stream=True)
        except httpx2.HTTPError as error:
            log.warning("node_unreachable", node=node, error=type(error).__name__)
            raise _Unreachable(f"which can't be reached at {url}") from error

    async def _ask(
        self,
        method: str,
        node: str,
        call_id: str,
        user: str,
        what: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> httpx2.Response:
        if not node or node == self._own():
            raise HTTPException(404, "no recording of this call is kept")
        token, _ = await self._tokens.issue(user, call_id, CallTokenKind.RELAY_RECORDING)
        query = {"token": token, **query}
        headers = {"Accept-Encoding": "identity", **headers}
        try:
            answer = await self._send(method, node, call_id, what, params=query, headers=headers)
        except _Unreachable as error:
            raise _away(node, call_id, str(error)) from error
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            await answer.aclose()
            if answer.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
                raise HTTPException(answer.status_code, "the recording has no such range")
            if answer.status_code == SEALED:
                said = f"node {node} has the recording of this call, encrypted, and can't open it"
                raise HTTPException(
                    SEALED, f"{said}: set recordings.identities_file there, or here"
                )
            raise HTTPException(404, f"no recording of this call is kept; node {node} took it")
        return answer


def _away(node: str, call_id: str, why: str) -> HTTPException:
    return HTTPException(
        409,
        f"node {node} took this call and keeps its recording ({call_id}.wav in that node's"
        f" media.recordings_dir), {why}",
    )


class _PassedOn(StreamingResponse):
    """Another node's answer, which is let go whatever becomes of the browser."""

    def __init__(self, answer: httpx2.Response) -> None:
        passed = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        super().__init__(answer.aiter_raw(), answer.status_code, passed)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(asyncio.ensure_future(self._answer.aclose()))


async def relay(
    socket: WebSocket,
    node_url: str,
    call_id: str,
    kind: str,
    token: str,
    trust: ssl.SSLContext,
) -> int:
    """Pass a call's audio on, both ways, until one side goes; return how many there were.

    Args:
        socket: the browser's, accepted.
        node_url: of the node with the call, from its heartbeat.
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
