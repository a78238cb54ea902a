"""An operator's HTTP endpoint that fails as such endpoints do: one request a connection."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

from bridge.processes.http import OneRequestServer, read_request, write_answer

_GOOD = json.dumps({"amount": "forty two", "due": "Friday"}).encode()
_LARGE_BYTES = 4 * 1024 * 1024
_HANGS_S = 60.0


class Webhook(OneRequestServer):
    """Answers a tool's calls, well and badly. Use ``async with``.

    Args:
        random: decides how.

    Attributes:
        answers: how often it has answered each way.
    """

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.answers: Counter[str] = Counter()
        self._random = random

    @property
    def url(self) -> str:
        """Where it is called."""
        return f"{self.address}/invoices"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer in one of the ways, by their weights."""
        await read_request(reader)
        (how,) = self._random.choices(list(_WAYS), [weight for weight, _ in _WAYS.values()])
        self.answers[how] += 1
        answer = _WAYS[how][1]
        if answer is None:
            if how == "hangs":
                await self.wait(_HANGS_S)
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
