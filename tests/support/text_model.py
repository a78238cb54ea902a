"""A text model's server in a test: it writes what the test says, right or wrong, byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Body = Any  # JSON


@dataclass(frozen=True, slots=True)
class Wire:
    """What is written to the client.

    Attributes:
        status: 0 closes the connection without a word.
        waits_s: before that.
    """

    body: bytes
    status: int = 200
    waits_s: float = 0.0


@dataclass(slots=True)
class Asked:
    """The requests that came, in order."""

    bodies: list[Body] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    url: str = ""


def completion(content: Body, **message: Body) -> Wire:
    """Return a chat completion as servers write it."""
    told = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content, **message}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
    return Wire(json.dumps(told).encode())


@asynccontextmanager
async def text_model(answers: Iterable[Wire] | Callable[[Body], Wire]) -> AsyncIterator[Asked]:
    """Serve answers, one a request: a row of them, whose last goes on, or a function's."""
    asked = Asked()
    row = None if callable(answers) else list(answers)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(
                line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if ": " in line
            )
            body = json.loads(await reader.readexactly(int(fields["content-length"])))
            asked.heads.append(head)
            asked.bodies.append(body)
            if row is None:
                assert callable(answers)
                wire = answers(body)
            else:
                wire = row[min(len(asked.bodies), len(row)) - 1]
            await asyncio.sleep(wire.waits_s)
            if wire.status:
                length = f"Content-Length: {len(wire.body)}\r\nConnection: close"
                writer.write(f"HTTP/1.1 {wire.status} X\r\n{length}\r\n\r\n".encode() + wire.body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    asked.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield asked
