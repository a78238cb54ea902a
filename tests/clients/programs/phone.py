"""Plays the caller of a client: speaks in real time, listens, and reports what happened.

A client's program gives :class:`Phone` what its library hands out (audio, words, tool calls,
interruptions) and sends what the microphone yields. The conversation is the same for all of them.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

PIECE_MS = 20
PIECE_BYTES = 960
"""20 ms of 24 kHz 16-bit PCM."""
BYTES_PER_S = 48_000
PATIENCE_S = 45.0
"""For one answer; the longest takes half a minute to say."""
CUT_AFTER_S = 1.0
"""The caller has heard so much of the long answer when they talk over it."""

INSTRUCTIONS = "You answer the phone of Northwind support."
TOOL = "lookup_invoice"
TOOL_SAYS = "Looks up what the caller owes."
TOOL_RESULT = {"amount": 99, "due": "Friday"}
TOOL_PARAMETERS = {
    "type": "object",
    "properties": {"which": {"type": "string"}},
    "required": ["which"],
}


class Phone:
    """The caller.

    Args:
        url: of the Realtime server, without a model.
        key: that it takes.
        place: has the questions as `NAME.pcm`, and gets the answers as `heard-NAME.pcm`
            (24 kHz, 16 bit).

    Attributes:
        url, key: as given.
    """

    def __init__(self, url: str, key: str, place: Path) -> None:
        self.url, self.key = url, key
        self._place = place
        self._to_say = b""
        self._heard = bytearray()
        self._new_words: list[str] = []
        self._said: list[str] = []
        self._tools: list[dict[str, object]] = []
        self._cuts = 0

    # From the client

    def hear(self, audio: bytes) -> None:
        """Take agent audio, as it comes."""
        self._heard += audio

    def said(self, words: str) -> None:
        """Take the words of an answer, once it has ended."""
        self._said.append(words.strip())
        self._new_words.append(words.strip())

    def tool_called(self, arguments: dict[str, object]) -> dict[str, object]:
        """Take a tool call; return its result."""
        self._tools.append(arguments)
        return TOOL_RESULT

    def cut(self) -> None:
        """Learn that an answer was interrupted."""
        self._cuts += 1

    # To the client

    async def microphone(self) -> AsyncIterator[bytes]:
        """Yield 20 ms of PCM every 20 ms for ever, speech or silence."""
        due_s = time.monotonic()
        while True:
            piece, self._to_say = self._to_say[:PIECE_BYTES], self._to_say[PIECE_BYTES:]
            yield piece.ljust(PIECE_BYTES, b"\0")
            due_s += PIECE_MS / 1000
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def converse(self) -> None:
        """Hold the conversation, from the greeting on.

        Raises:
            TimeoutError: an answer, a tool call or an interruption never came.
        """
        await self._hear_out("greeting", "How can I help you?")
        self._say("order")
        await self._hear_out("order", "arrive on Thursday.")
        self._say("invoice")
        await self._hear_out("invoice", "due on Friday.")
        self._say("policy")
        enough = CUT_AFTER_S * BYTES_PER_S
        await self._until("the long answer", lambda: len(self._heard) > enough)
        cuts = self._cuts
        self._say("stop")
        await self._until("the interruption", lambda: self._cuts > cuts)
        await self._hear_out("stop", "Sure, go ahead.")

    def report(self) -> None:
        """Print what happened, as one line of JSON, the last on stdout."""
        print(json.dumps({"said": self._said, "tools": self._tools, "cuts": self._cuts}))

    def _say(self, name: str) -> None:
        self._to_say += (self._place / f"{name}.pcm").read_bytes()
        self._heard.clear()
        self._new_words.clear()

    async def _hear_out(self, name: str, ending: str) -> None:
        def is_over() -> bool:
            return bool(self._heard) and any(words.endswith(ending) for words in self._new_words)

        await self._until(f"'{ending}'", is_over)
        (self._place / f"heard-{name}.pcm").write_bytes(self._heard)

    async def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{what} did not come; the agent said {self._said}")
            await asyncio.sleep(0.02)


def phone_of_arguments() -> Phone:
    """Make the phone of a program's arguments: URL, key, directory."""
    url, key, place = sys.argv[1:4]
    return Phone(url, key, Path(place))
