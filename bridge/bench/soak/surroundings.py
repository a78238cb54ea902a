"""The surroundings of a soaked gateway: the agent, the dialplans, the arms, a tool's webhook."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from bridge.bench.parts import KEY_VARIABLE
from bridge.bench.soak.person import (
    GOODBYE,
    INTERRUPTION,
    LONG_QUESTION,
    QUESTIONS,
    TOOL_QUESTION,
)
from bridge.processes.http import OneRequestServer, read_request, write_answer
from bridge.processes.starter import write_yaml

_GOOD = json.dumps({"amount": "forty two", "due": "Friday"}).encode()
_LARGE_BYTES = 4 * 1024 * 1024
_HANGS_S = 60.0

_LONG_ANSWER = (
    "You can return anything that you bought within thirty days of delivery. Please keep the"
    " original packaging, because the warehouse needs the label on the side of the box. Print the"
    " return form, put it inside, and take the parcel to any post office."
)
_MODELS = {"ga": "gpt-realtime", "beta": "gpt-4o-realtime-preview"}


def dialplan_of(dialect: str, webhook_url: str) -> dict[str, object]:
    """Return the dialplan of the number that is called as its dialect."""
    tool = {
        "name": "lookup_invoice",
        "description": "Look up the caller's invoice.",
        "parameters": {"type": "object", "properties": {"which": {"type": "string"}}},
        "webhook": {"url": webhook_url, "allow_private": True, "timeout_s": 3},
    }
    return {
        "schema": "dialplan/v1",
        "name": dialect,
        "match": [{"called": dialect}],
        "arm": dialect,
        "agent": {
            "instructions": "Be brief.",
            "language": "en",
            "greeting": "Thanks for calling. How can I help you?",
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            "transcription": {"model": "gpt-transcribe"},
            "tools": [tool, {"name": "end_call", "description": "Hang up."}],
        },
        "recovery": {"filler": "One moment, please."},
    }


def write_scenario(place: Path) -> Path:
    """Write an agent that understands what our callers say, and not more: it is heard faster."""
    short, hours = QUESTIONS
    scenario = {
        "name": "soak",
        "greeting": "Thanks for calling. How can I help you?",
        "fallback": "Would you say that again, please?",
        "rules": [
            {"hears": [short], "say": "Your order shipped on Monday."},
            {"hears": [hours], "say": "We are open from nine to five on weekdays."},
            {"hears": [LONG_QUESTION], "say": _LONG_ANSWER},
            {"hears": [INTERRUPTION], "say": "Sure, go ahead."},
            {
                "hears": [TOOL_QUESTION],
                "say": "One moment, I will look that up.",
                "tool": {"name": "lookup_invoice", "arguments": {"which": "latest"}},
                "then": "Your invoice is {amount} dollars.",
            },
            {"hears": [GOODBYE], "say": "Goodbye.", "tool": {"name": "end_call"}},
        ],
    }
    return write_yaml(place / "scenario.yaml", scenario)


def arm_of(dialect: str, url: str) -> dict[str, object]:
    """Return the arm of a dialect."""
    return {
        "dialect": dialect,
        "url": url,
        "model": _MODELS[dialect],
        "api_key_env": KEY_VARIABLE,
    }


class SoakWebhook(OneRequestServer):
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
