"""Stands in for a text model in CI: an HTTP server on the loopback that speaks chat completions.

It answers by a function of the conversation that it is sent, so the same conversation has the same
answer every time. What asks it is the very client that asks a real model.
"""

import asyncio
import json
from collections.abc import Callable, Sequence

from pydantic import TypeAdapter, ValidationError

from bridge.processes.http import OneRequestServer, read_request, write_answer
from bridge.replay.chat.client import ChatMessage
from bridge.replay.script import TextModel

Answer = Callable[[Sequence[ChatMessage]], str]
"""From the conversation to the model's next words."""

_MODEL = "stand-in"
_MESSAGES = TypeAdapter(tuple[ChatMessage, ...])


class ChatStandIn(OneRequestServer):
    """Answers as ``answer`` says. Use ``async with``."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    @property
    def model(self) -> TextModel:
        """Where it is; once it listens."""
        return TextModel(url=f"{self.address}/v1", model=_MODEL)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one chat completion."""
        path, body = await read_request(reader)
        if path != "/v1/chat/completions":
            await write_answer(writer, 404, b"{}")
            return
        try:
            messages = _MESSAGES.validate_python(json.loads(body)["messages"])
        except (ValueError, KeyError, TypeError, ValidationError):
            await write_answer(writer, 400, b'{"error": {"code": "bad_request"}}')
            return
        said = {"role": "assistant", "content": self._answer(messages)}
        completion = {
            "object": "chat.completion",
            "model": _MODEL,
            "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
        }
        await write_answer(writer, 200, json.dumps(completion).encode())
