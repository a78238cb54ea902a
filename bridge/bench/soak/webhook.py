"""An operator's HTTP endpoint that fails as such endpoints do: one request a connection."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random

from bridge.processes.http import read_request, write_answer

_GOOD = json.dumps({"amount": "forty two", "due": "Friday"}).encode()
_LARGE_BYTES = 4 * 1024 * 1024
_HANGS_S = 60.0


class Webhook:
    """Answers a tool's calls, well and badly. Use ``async with``.

    Args:
        random: decides how.

    Attributes:
        url: where it is called.
        answers: how often it has answered each way.
    """

    def __init__(self, random: Random) -> None:
        self.url = ""
        self.answers: Counter[str] = Counter()
        self._random = random
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[object]] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> "Webhook":
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}/invoices"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._closing.set()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                await self._answer(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        (how,) = self._random.choices(list(_WAYS), [weight for weight, _ in _WAYS.values()])
        self.answers[how] += 1
        answer = _WAYS[how][1]
        if answer is None:
            if how == "hangs":
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), _HANGS_S)
            elif how == "reset":
                writer.transport.abort()
            return
        status, body = answer()
        if how == "slow":
            await asyncio.sleep(self._random.uniform(0.5, 3.0))
        await write_answer(writer, status, body)


_WAYS: Mapping[str, tuple[float, Callable[[], tuple[int, bytes]] | None]] = {
    "good": (8, lambda: (200, _GOOD)),
    "slow": (4, lambda: (200, _GOOD)),
    "error": (3, lambda: (500, b"")),
    "refusal": (1, lambda: (403, b"{}")),
    "no JSON": (1, lambda: (200, b"<html>")),
    "too large": (1, lambda: (200, b'"' + b"x" * _LARGE_BYTES + b'"')),
    "reset": (2, None),
    "hangs": (2, None),
}
"""How it answers, with weights."""
