"""The simulated agent: its ear, its rules, and its voice.

Recognition and synthesis block, so they run in worker threads. Everything the scenario can say is
rendered before the first call, so that an answer is ready as soon as the caller was understood.
"""

import asyncio
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Role,
)
from bridge.realtime.session_config import AudioFormat
from bridge.simulator.conversation import Conversation, ConversationEntry, pictures_of
from bridge.simulator.formats import WireFormat, wire_format
from bridge.simulator.mcp import McpUse
from bridge.simulator.scenario import Rule, Scenario
from bridge.speech.recognition import Recognizer
from bridge.speech.synthesis import Synthesizer

_SAY_EXACTLY = re.compile(r'say exactly:\s*"(.*)"', re.IGNORECASE | re.DOTALL)
_PICTURES = "{pictures}"
_FIELD = re.compile(r"\{(\w+)\}")
_RENDERED_KEPT = 512


@dataclass(frozen=True, slots=True)
class AgentToolUse:
    """A tool to call, with its arguments as JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AgentReply:
    """The content of a response: words, a tool's call, or one after the other.

    A tool of an MCP server is called within the response, and what is said after it is part of it.
    """

    say: str | None = None
    tool: AgentToolUse | None = None
    mcp: McpUse | None = None


class SimulatedAgent:
    """Hears and answers by a scenario; shared by all sessions.

    Args:
        scenario: what it knows.

    Raises:
        ConfigError: a voice or a word that the speech engines don't know.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._recognizer = Recognizer(scenario.phrases, scenario.pronunciations)
        self._synthesizer = Synthesizer(scenario.voice, scenario.words_per_minute)
        self._render = functools.lru_cache(_RENDERED_KEPT)(self._render_now)

    def rehearse(self) -> None:
        """Render everything that the scenario can say; blocks for about a second."""
        for sentence in self.scenario.sentences():
            self._render(sentence, wire_format(AudioFormat.PCM_24KHZ))

    async def hear(self, audio: NDArray[np.int16], rate_hz: int) -> str | None:
        """Return the sentence that was said, None if it was not understood.

        Args:
            audio: (n,) int16 at ``rate_hz``.
            rate_hz: 8000, 16000 or 24000.
        """
        heard = await asyncio.to_thread(self._recognizer.hear, audio, rate_hz)
        return heard.text if heard is not None else None

    async def speak(self, text: str, audio_format: WireFormat) -> bytes:
        """Return ``text`` spoken, as wire audio."""
        return await asyncio.to_thread(self._render, text, audio_format)

    def _render_now(self, text: str, audio_format: WireFormat) -> bytes:
        return audio_format.encode_speech(self._synthesizer.say(text))

    def answer(
        self, heard: str | None, tools: Sequence[str], conversation: Conversation | None = None
    ) -> AgentReply:
        """Decide what to do about what the caller said.

        Args:
            heard: their sentence; None if it was not understood.
            tools: names of the tools that the session offers.
            conversation: with the pictures that ``{pictures}`` of a rule stands for; None: there
                can be none.
        """
        rule = self.scenario.rule_for(heard) if heard is not None else None
        if rule is None:
            return AgentReply(self.scenario.fallback)
        reply = self._follow(rule, tools)
        if reply.say is None or _PICTURES not in reply.say:
            return reply
        entries = () if conversation is None else conversation.entries()
        seen = _in_a_row(entry.item for entry in entries)
        return replace(reply, say=reply.say.replace(_PICTURES, seen or "nothing"))

    def prompt(self) -> AgentReply:
        """Decide what to say to a caller who has said nothing for too long."""
        return AgentReply(self.scenario.idle or self.scenario.fallback)

    def decide(
        self, conversation: Conversation, instructions: str | None, tools: Sequence[str]
    ) -> AgentReply:
        """Decide what to say to a ``response.create``.

        Args:
            conversation: all that was said so far.
            instructions: of this response only; ``Say exactly: "..."`` is obeyed.
            tools: names of the tools that the session offers.
        """
        order = ordered(instructions or "")
        if order is not None:
            return AgentReply(order)
        entries = list(conversation.entries())
        last = entries[-1] if entries else None
        heard = last.heard if last else None
        match last.item if last else None:
            case FunctionCallOutput(call_id=call_id, output=output):
                return AgentReply(self._after_tool(conversation.call_of(call_id), output))
            case Message(role=Role.USER) as message if pictures_of(message):
                latest = takewhile(_may_show, reversed(entries))
                return AgentReply(f"I see {_in_a_row(each.item for each in [*latest][::-1])}.")
            case Message(role=Role.USER, parts=parts):
                return self.answer(heard or _typed(parts), tools, conversation)
            case _:
                spoke = any(
                    isinstance(entry.item, Message) and entry.item.role is not Role.SYSTEM
                    for entry in entries
                )
                return AgentReply(self.scenario.fallback if spoke else self.scenario.greeting)

    def _follow(self, rule: Rule, tools: Sequence[str]) -> AgentReply:
        if rule.called is None:
            return AgentReply(rule.say)
        if rule.called.offered_as not in tools:
            return AgentReply(rule.without_tool or rule.say or self.scenario.fallback)
        if rule.mcp is not None:
            then = _fill(rule.then, rule.mcp.output) if rule.then is not None else None
            return AgentReply(rule.say, mcp=McpUse.of(rule.mcp, then, rule.without_tool))
        if rule.tool is None:
            raise AssertionError("what is called is a tool of the client's or of an MCP server's")
        return AgentReply(rule.say, AgentToolUse(rule.tool.name, json.dumps(rule.tool.arguments)))

    def _after_tool(self, call: FunctionCall | None, output: str) -> str | None:
        """Return what is said after a tool; None for nothing more (it had its say before)."""
        for rule in self.scenario.rules:
            tool = rule.tool
            if (
                tool
                and call
                and (tool.name, json.dumps(tool.arguments))
                == (
                    call.name,
                    call.arguments,
                )
            ):
                return _fill(rule.then, _fields(output)) if rule.then is not None else None
        return self.scenario.fallback


def ordered(instructions: str) -> str | None:
    """Return what instructions have the agent say word by word, if they do."""
    order = _SAY_EXACTLY.search(instructions)
    return order[1] if order is not None else None


def _may_show(entry: ConversationEntry) -> bool:
    """Return whether it is of the latest pictures: those of several tools come between outputs."""
    return isinstance(entry.item, FunctionCallOutput) or bool(pictures_of(entry.item))


def _in_a_row(items: Iterable[Item]) -> str:
    """Return what all pictures of some items show, in words."""
    return " and ".join(seen.words for item in items for seen in pictures_of(item))


def _typed(parts: Sequence[ContentPart]) -> str | None:
    """Return what a user message says in text, if it says anything."""
    return " ".join(part.text for part in parts if part.text) or None


def _fields(output: str) -> Mapping[str, object]:
    try:
        fields = json.loads(output)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _fill(text: str, fields: Mapping[str, object]) -> str:
    return _FIELD.sub(lambda found: str(fields.get(found[1], "unknown")), text)
