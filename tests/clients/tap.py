"""Sits between a client and a Realtime server, and keeps what passes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_CARRIED = ("Authorization", "OpenAI-Beta")


class Tap:
    """What passed.

    Attributes:
        url: for the client, without a query.
        sent, got: types of the client's events and of the server's, in order.
        errors: the server's events of type ``error``.
        closed: how the client closed each of its connections, a close code.
        dialects: the ``OpenAI-Beta`` header of each connection; None where it has none.
    """

    def __init__(self, service: str) -> None:
        self.url = ""
        self.sent: list[str] = []
        self.got: list[str] = []
        self.errors: list[dict[str, str]] = []
        self.closed: list[int | None] = []
        self.dialects: list[str | None] = []
        self._service = urlsplit(service)

    async def serve(self, client: ServerConnection) -> None:
        """Carry one connection's frames both ways until the client goes."""
        assert client.request is not None
        asked = client.request.headers
        headers = {name: asked[name] for name in _CARRIED if name in asked}
        self.dialects.append(asked.get("OpenAI-Beta"))
        server = f"ws://{self._service.netloc}{client.request.path}"
        async with connect(server, additional_headers=headers, max_size=None) as service:
            back = asyncio.create_task(self._carry_back(service, client))
            with suppress(ConnectionClosed):
                async for frame in client:
                    self.sent.append(json.loads(frame)["type"])
                    await service.send(frame)
            self.closed.append(client.close_code)
            back.cancel()

    async def _carry_back(self, service: ClientConnection, client: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for frame in service:
                event = json.loads(frame)
                self.got.append(event["type"])
                if event["type"] == "error":
                    self.errors.append(event["error"])
                await client.send(frame)
        await client.close()


@asynccontextmanager
async def tapped(service: str) -> AsyncIterator[Tap]:
    """Listen in front of a server; ``service`` is its URL."""
    tap = Tap(service)
    async with serve(tap.serve, "127.0.0.1", 0, max_size=None) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        tap.url = f"ws://127.0.0.1:{port}{urlsplit(service).path}"
        yield tap
