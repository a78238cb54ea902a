"""A session's responses: begun by turns or requests, run as tasks, cut short by speech.

One at a time in the default conversation, any number out of band. Each is a task of its own, which
takes its steps from a :class:`~bridge.simulator.generation.Generation`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from bridge.realtime.ids import ItemId, ResponseId
from bridge.realtime.items import OpaqueItem
from bridge.realtime.session_config import FunctionTool, ResponseConfig
from bridge.simulator.agent import AgentReply, SimulatedAgent
from bridge.simulator.channel import Channel
from bridge.simulator.conversation import (
    Conversation,
    ConversationEntry,
    Tokens,
    count_tokens,
    text_tokens,
)
from bridge.simulator.formats import wire_format
from bridge.simulator.generation import Generation, GenerationStep
from bridge.simulator.hearing import TurnHearing
from bridge.simulator.mcp import McpServers, McpUse
from bridge.simulator.mcp_call import McpCalling
from bridge.simulator.names import new_name
from bridge.simulator.refusal import EventRefused, refuse

_CACHED_IN_BLOCKS_OF = 64

FindReply = Callable[[], Awaitable[AgentReply]]


@dataclass(frozen=True, slots=True)
class _Active:
    """The response that is running in the default conversation."""

    generation: Generation
    task: asyncio.Task[None]


class Responses:
    """The responses of one session.

    Args:
        agent: who answers.
        channel: their events go there.
        conversation: what they are based on, and where they are put down.
        hearing: an answer waits for what the caller said.
        mcp: the servers that the session knows.
        why_no_answer: asked when a response begins; a code if the model cannot answer now.
        expect_caller: receives how long the agent is still heard, ms; None while it is being
            generated.
    """

    def __init__(
        self,
        agent: SimulatedAgent,
        channel: Channel,
        conversation: Conversation,
        hearing: TurnHearing,
        mcp: McpServers,
        *,
        why_no_answer: Callable[[], Awaitable[str | None]],
        expect_caller: Callable[[float | None], None],
    ) -> None:
        self._agent = agent
        self._channel = channel
        self._conversation = conversation
        self._hearing = hearing
        self._mcp = mcp
        self._why_no_answer = why_no_answer
        self._expect_caller = expect_caller
        self._active: _Active | None = None
        self._read_before = Tokens()

    def answer_turn(self, item_id: ItemId) -> None:
        """Answer a turn that the server detected by itself."""

        async def find() -> AgentReply:
            await self._hearing.until_heard(item_id)
            entry = self._conversation.get(item_id)
            heard = entry.heard if entry else None
            return self._agent.answer(heard, self._tool_names(), self._conversation)

        self._begin_unasked(find)

    def prompt_caller(self) -> None:
        """Say something to a caller who has said nothing for too long."""

        async def find() -> AgentReply:
            return self._agent.prompt()

        self._begin_unasked(find)

    def respond(self, config: ResponseConfig) -> None:
        """Obey ``response.create``.

        Raises:
            EventRefused: there is a response already, or an item is referred to that there is not.
        """
        context = self._context(config)

        async def find() -> AgentReply:
            await self._hearing.until_all_heard()
            return self._agent.decide(context, config.instructions, self._tool_names(config))

        self._begin(find, config)

    def cancel(self, response_id: ResponseId | None) -> None:
        """Obey ``response.cancel``.

        Raises:
            EventRefused: no such response is running.
        """
        active = self._active
        if active is None or response_id not in (None, active.generation.response_id):
            raise refuse(
                "response_cancel_not_active", "Cancellation failed: no active response found."
            )
        self.cut_active("client_cancelled")

    def cut_active(self, reason: str) -> None:
        """End the response that is running in the default conversation, if there is one."""
        active, self._active = self._active, None
        if active is not None:
            active.task.cancel()
            self._channel.emit(*active.generation.cut(reason))

    def interrupt(self, after_ms: int) -> None:
        """End the response that is running because the caller speaks: now, or after so many ms."""
        active = self._active
        if active is None or not after_ms:
            self.cut_active("turn_detected")
            return

        async def cut_late() -> None:
            await asyncio.sleep(after_ms / 1000)
            if self._active is active:
                self.cut_active("turn_detected")

        self._channel.start(cut_late(), f"overrun {active.generation.response_id}")

    def _begin_unasked(self, find: FindReply) -> None:
        """Begin a response that no client asked for."""
        try:
            self._begin(find, ResponseConfig())
        except EventRefused as refused:
            # As on the real service: the turn stays in the conversation, unanswered.
            self._channel.report(refused.error)

    def _begin(self, find: FindReply, config: ResponseConfig) -> None:
        if self._active is not None and not config.out_of_band:
            raise refuse(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress:"
                f" {self._active.generation.response_id}.",
            )
        read, cached = self._count_read(config)
        generation = Generation(
            None if config.out_of_band else self._conversation,
            self._agent.scenario.pacing,
            read,
            cached,
            config.metadata,
        )
        self._channel.begin_response(generation.response_id, config)
        self._channel.emit(generation.begin())
        task = self._channel.start(
            self._generate(generation, find, config), f"response {generation.response_id}"
        )
        if not config.out_of_band:
            self._active = _Active(generation, task)
            self._expect_caller(None)

    async def _generate(
        self, generation: Generation, find: FindReply, config: ResponseConfig
    ) -> None:
        """Run a response to its end; cancelling this task stops it between two steps."""
        pacing = self._agent.scenario.pacing
        failure = await self._why_no_answer()
        reply = await find() if failure is None else AgentReply()
        await asyncio.sleep(pacing.think_ms / 1000)
        async for step in self._steps(generation, reply, config):
            self._channel.emit(*step.events)
            await self._channel.drained()
            await asyncio.sleep(step.wait_ms / 1000)
        if self._active is not None and self._active.generation is generation:
            self._active = None
        self._channel.emit(generation.finish() if failure is None else generation.fail(failure))
        if not config.out_of_band:
            self._expect_caller(generation.audio_ms)

    async def _steps(
        self, generation: Generation, reply: AgentReply, config: ResponseConfig
    ) -> AsyncIterator[GenerationStep]:
        session = self._channel.config
        aloud = session.output_audio if config.output_audio is None else config.output_audio
        if reply.say is not None:
            if aloud:
                audio_format = config.output_format or session.output_format
                audio = await self._agent.speak(reply.say, wire_format(audio_format))
                steps = generation.speak(reply.say, audio, audio_format)
            else:
                steps = generation.write(reply.say)
            for step in steps:
                yield step
        if reply.tool is not None:
            for step in generation.call(reply.tool):
                yield step
        if reply.mcp is not None:
            calling = McpCalling(generation, reply.mcp)
            async for step in self._mcp_steps(calling, reply.mcp, may_ask=not config.out_of_band):
                yield step
            after = AgentReply(reply.mcp.then if calling.worked else reply.mcp.otherwise)
            async for step in self._steps(generation, after, config):
                yield step

    async def _mcp_steps(
        self, calling: McpCalling, use: McpUse, *, may_ask: bool
    ) -> AsyncIterator[GenerationStep]:
        """Make an MCP call; out of band there is no conversation to ask the client in."""
        for step in calling.ask():
            yield step
        if self._mcp.needs_approval(use):
            approved = False
            if may_ask:
                request_id, step = calling.request_approval()
                yield step
                approved = await self._mcp.approved(request_id)
            if not approved:
                yield calling.refuse()
                return
        for step in calling.run():
            yield step

    def _context(self, config: ResponseConfig) -> Conversation:
        """Return what the response is to be based on."""
        if config.input is None:
            return self._conversation
        context = Conversation()
        for item in config.input:
            item_id = item.item_id or ItemId(new_name("item"))
            known = self._conversation.get(item_id)
            if isinstance(item, OpaqueItem) and known is None:
                raise refuse("invalid_value", "No such item to refer to.", "response.input")
            context.add(item_id, known or ConversationEntry(item))
        return context

    def _count_read(self, config: ResponseConfig) -> tuple[Tokens, Tokens]:
        """Count what a model would read before it answers, and what of that is cached."""
        items = count_tokens(self._context(config).entries())
        session = self._channel.config
        instructions = config.instructions or session.instructions or ""
        tools = session.tools if config.tools is None else config.tools
        described = sum(
            text_tokens(f"{tool.name}{tool.description}{tool.parameters}")
            for tool in tools
            if isinstance(tool, FunctionTool)
        )
        text = items.text + text_tokens(instructions) + described
        read = Tokens(text, items.audio, items.image)
        before, self._read_before = self._read_before, read
        cached = Tokens(
            _cached(read.text, before.text),
            _cached(read.audio, before.audio),
            _cached(read.image, before.image),
        )
        return read, cached

    def _tool_names(self, override: ResponseConfig | None = None) -> Sequence[str]:
        """Return the tools that the agent may call."""
        session = self._channel.config
        tools, choice = session.tools, session.tool_choice
        if override is not None:
            tools = tools if override.tools is None else override.tools
            choice = choice if override.tool_choice is None else override.tool_choice
        if choice == "none":
            return ()
        functions = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
        return [*functions, *self._mcp.offered(tools)]


def _cached(now: int, before: int) -> int:
    """Return how many of the tokens read now the model has cached since it read ``before``."""
    return min(now, before // _CACHED_IN_BLOCKS_OF * _CACHED_IN_BLOCKS_OF)
