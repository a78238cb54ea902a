"""One client's session: requests in, events out, in the order of the protocol.

Runs in the server's loop; all state belongs to one connection and changes only between awaits.
Tasks (one response, one recognition each) live in the session's task group, under names. Events go
through one bounded outbox, so their order on the wire is the order in which they were decided.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from bridge.realtime import commands as c
from bridge.realtime.events import (
    ApiError,
    ErrorReported,
    InputCleared,
    InputCommitted,
    InputTimedOut,
    InputTranscriptCompleted,
    InputTranscriptDelta,
    InputTranscriptFailed,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    McpToolsListed,
    Phase,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    Usage,
)
from bridge.realtime.ids import ItemId, ResponseId
from bridge.realtime.items import (
    FunctionCallOutput,
    Item,
    ItemStatus,
    McpApproval,
    Message,
    OpaqueItem,
    Part,
    PartKind,
    Role,
)
from bridge.realtime.session_config import (
    FunctionTool,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionConfig,
)
from bridge.simulator.agent import Agent, Reply
from bridge.simulator.conversation import Conversation, Entry, Tokens, count_tokens, text_tokens
from bridge.simulator.formats import decode_audio, rate_hz
from bridge.simulator.generation import Generation, Step
from bridge.simulator.listening import Idle, InputBuffer, Onset, Pause
from bridge.simulator.mcp import McpServers, McpUse
from bridge.simulator.mcp_call import McpCalling
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Outbox
from bridge.simulator.refusal import Refused, refuse
from bridge.simulator.wire import Wire

_SHORTEST_COMMIT_MS = 100
_CACHED_IN_BLOCKS_OF = 64
_WORD = re.compile(r"\S+\s*")

FindReply = Callable[[], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class _Active:
    """The response that is running in the default conversation."""

    generation: Generation
    task: asyncio.Task[None]


class Session:
    """One session.

    Args:
        agent: who answers.
        wire: the connection's dialect.
        outbox: takes events for the client.
        tasks: the connection's task group; what the session starts in it ends with :meth:`stop`.
        why_no_answer: asked when a response begins; a code if the model cannot answer now.
    """

    def __init__(
        self,
        agent: Agent,
        wire: Wire,
        outbox: Outbox,
        tasks: asyncio.TaskGroup,
        why_no_answer: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._agent = agent
        self._wire = wire
        self._outbox = outbox
        self._tasks = tasks
        self._why_no_answer = why_no_answer
        self._config = wire.config
        self._input = InputBuffer(rate_hz(self._config.input_format), self._config.turn_detection)
        self._conversation = Conversation()
        self._active: _Active | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._hearing: dict[ItemId, asyncio.Task[None]] = {}
        self._speech_item: ItemId | None = None
        self._read_before = Tokens()
        self._mcp = McpServers(agent.scenario.mcp_servers)

    def start(self) -> None:
        """Greet the client: ``session.created``, before anything else."""
        self._emit(SessionCreated(self._wire.info))
        self._list_mcp_tools()

    def stop(self) -> None:
        """Cancel what is still running."""
        for task in self._running:
            task.cancel()

    def receive(self, text: str) -> None:
        """Take one text frame from the client."""
        try:
            request = self._wire.decode(text)
        except Refused as refused:
            self.report(refused.error)
            return
        try:
            self._obey(request.command)
        except Refused as refused:
            self.report(replace(refused.error, client_event_id=request.event_id))

    def receive_binary(self) -> None:
        """Refuse a binary frame."""
        self.report(refuse("invalid_event", "Events must be sent as text frames.").error)

    def report(self, error: ApiError) -> None:
        """Tell the client that something is wrong."""
        self._emit(ErrorReported(error))

    def _emit(self, *events: ServerEvent) -> None:
        for event in events:
            for written in self._wire.encode(event):
                self._outbox.put(written)

    def _obey(self, command: c.Command) -> None:
        match command:
            case c.AppendAudio(audio=audio):
                self._listen(decode_audio(self._config.input_format, audio))
            case c.UpdateSession(config=config):
                self._update(config)
            case c.CommitInput():
                self._commit_by_hand()
            case c.ClearInput():
                self._input.clear()
                self._speech_item = None
                self._emit(InputCleared())
            case c.CreateResponse(config=config):
                self._respond(config)
            case c.CancelResponse(response_id=response_id):
                self._cancel(response_id)
            case c.ClearOutput():
                raise refuse(
                    "invalid_value",
                    "output_audio_buffer.clear is for WebRTC and SIP connections only.",
                    "type",
                )
            case (c.CreateItem() | c.RetrieveItem() | c.TruncateItem() | c.DeleteItem()) as of_item:
                self._obey_about_item(of_item)
            case _:
                assert_never(command)

    def _obey_about_item(
        self, command: c.CreateItem | c.RetrieveItem | c.TruncateItem | c.DeleteItem
    ) -> None:
        match command:
            case c.CreateItem(item=item, previous_item_id=previous):
                self._create_item(item, previous)
            case c.RetrieveItem(item_id=item_id):
                self._emit(ItemRetrieved(self._conversation.retrieve(item_id)))
            case c.TruncateItem(item_id=item_id, content_index=index, audio_end_ms=end_ms):
                self._conversation.truncate(item_id, index, end_ms)
                self._emit(ItemTruncated(item_id, index, end_ms))
            case c.DeleteItem(item_id=item_id):
                self._conversation.delete(item_id)
                self._emit(ItemDeleted(item_id))
            case _:
                assert_never(command)

    def _update(self, config: SessionConfig) -> None:
        old, self._config = self._config, config
        if (old.input_format, old.turn_detection) != (config.input_format, config.turn_detection):
            self._input = self._input.successor(rate_hz(config.input_format), config.turn_detection)
            self._speech_item = None
        self._emit(SessionUpdated(self._wire.info))
        self._list_mcp_tools()

    def _list_mcp_tools(self) -> None:
        for item in self._mcp.list_new(self._config.tools):
            item_id = item.item_id or ItemId(new_name("mcpl"))
            self._emit(McpToolsListed(item_id, Phase.IN_PROGRESS))
            before = self._conversation.add(item_id, Entry(item))
            self._emit(ItemAdded(item, before), ItemDone(item, before))
            self._emit(McpToolsListed(item_id, Phase.COMPLETED if item.tools else Phase.FAILED))

    def _create_item(self, item: Item, previous: ItemId | None) -> None:
        item_id = item.item_id or ItemId(new_name("item"))
        if isinstance(item, FunctionCallOutput) and not self._conversation.call_of(item.call_id):
            raise refuse("invalid_value", "No function call has this call_id.", "item.call_id")
        if isinstance(item, McpApproval):
            self._mcp.take(item)
        named = replace(item, item_id=item_id)
        before = self._conversation.add(item_id, Entry(named), previous)
        self._emit(ItemAdded(named, before), ItemDone(named, before))

    # Input audio.

    def _listen(self, samples: NDArray[np.int16]) -> None:
        for event in self._input.feed(samples):
            match event:
                case Onset(start_ms=start_ms):
                    self._speech_item = ItemId(new_name("item"))
                    self._emit(SpeechStarted(self._speech_item, start_ms))
                    if self._turns().interrupt_response is not False:
                        self._cut_active("turn_detected")
                case Pause(end_ms=end_ms, audio=audio):
                    item_id = self._speech_item or ItemId(new_name("item"))
                    self._speech_item = None
                    self._emit(SpeechStopped(item_id, end_ms))
                    self._commit(item_id, audio)
                    if self._turns().create_response is not False:
                        self._respond_to_speech(item_id)
                case Idle(start_ms=start_ms, end_ms=end_ms, audio=audio):
                    self._prompt_idle_caller(start_ms, end_ms, audio)

    def _prompt_idle_caller(self, start_ms: int, end_ms: int, audio: NDArray[np.int16]) -> None:
        item_id = ItemId(new_name("item"))
        self._emit(InputTimedOut(item_id, start_ms, end_ms))
        self._commit(item_id, audio)

        async def find() -> Reply:
            return self._agent.prompt()

        self._begin_unasked(find)

    def _turns(self) -> ServerVad | SemanticVad:
        detection = self._config.turn_detection
        return detection if isinstance(detection, ServerVad | SemanticVad) else ServerVad()

    def _commit_by_hand(self) -> None:
        held_ms = self._input.held_ms
        if held_ms < _SHORTEST_COMMIT_MS:
            raise refuse(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least"
                f" {_SHORTEST_COMMIT_MS}ms of audio, but buffer only has {held_ms:.2f}ms of audio.",
            )
        item_id = self._speech_item or ItemId(new_name("item"))
        self._speech_item = None
        self._commit(item_id, self._input.commit())

    def _commit(self, item_id: ItemId, audio: NDArray[np.int16]) -> None:
        rate = self._input.rate_hz
        message = Message(Role.USER, (Part(PartKind.INPUT_AUDIO),), item_id, ItemStatus.COMPLETED)
        self._emit(InputCommitted(item_id, self._conversation.last_id))
        before = self._conversation.add(item_id, Entry(message, audio.size * 1000 / rate))
        self._emit(ItemAdded(message, before), ItemDone(message, before))
        self._hearing[item_id] = self._start(
            self._hear(item_id, audio, rate, self._config.transcription is not None),
            f"hear {item_id}",
        )

    async def _hear(
        self, item_id: ItemId, audio: NDArray[np.int16], rate: int, transcribe: bool
    ) -> None:
        heard = await self._agent.hear(audio, rate)
        entry = self._conversation.get(item_id)
        if entry is not None and isinstance(entry.item, Message):
            part = Part(PartKind.INPUT_AUDIO, heard if transcribe else None)
            item = replace(entry.item, parts=(part,))
            self._conversation.put(item_id, replace(entry, item=item, heard=heard))
        if not transcribe:
            return
        if heard is None:
            error = ApiError(
                "transcription_error",
                "The audio could not be understood.",
                code="audio_unintelligible",
            )
            self._emit(InputTranscriptFailed(item_id, 0, error))
        else:
            for word in _WORD.findall(heard):
                self._emit(InputTranscriptDelta(item_id, 0, word))
            usage = Usage(seconds=round(audio.size / rate, 2))
            self._emit(InputTranscriptCompleted(item_id, 0, heard, usage))

    # Responses.

    def _respond_to_speech(self, item_id: ItemId) -> None:
        """Answer a turn that the server detected by itself."""

        async def find() -> Reply:
            await self._heard(item_id)
            entry = self._conversation.get(item_id)
            return self._agent.answer(entry.heard if entry else None, self._tool_names())

        self._begin_unasked(find)

    def _begin_unasked(self, find: FindReply) -> None:
        """Begin a response that no client asked for."""
        try:
            self._begin(find, ResponseConfig())
        except Refused as refused:
            # As on the real service: the turn stays in the conversation, unanswered.
            self.report(refused.error)

    def _respond(self, config: ResponseConfig) -> None:
        """Answer ``response.create``."""
        context = self._context(config)

        async def find() -> Reply:
            for item_id in tuple(self._hearing):
                await self._heard(item_id)
            return self._agent.decide(context, config.instructions, self._tool_names(config))

        self._begin(find, config)

    def _begin(self, find: FindReply, config: ResponseConfig) -> None:
        if self._active is not None and not config.out_of_band:
            raise refuse(
                "conversation_already_has_active_response",
                "Conversation already has an active response in progress:"
                f" {self._active.generation.response_id}.",
            )
        read = self._count_read(config)
        cached = Tokens(
            *(
                min(now, before // _CACHED_IN_BLOCKS_OF * _CACHED_IN_BLOCKS_OF)
                for now, before in (
                    (read.text, self._read_before.text),
                    (read.audio, self._read_before.audio),
                )
            )
        )
        self._read_before = read
        generation = Generation(
            None if config.out_of_band else self._conversation,
            self._agent.scenario.pacing,
            read,
            cached,
            config.metadata,
        )
        self._wire.begin_response(generation.response_id, config)
        self._emit(generation.begin())
        task = self._start(
            self._generate(generation, find, config), f"response {generation.response_id}"
        )
        if not config.out_of_band:
            self._active = _Active(generation, task)
            self._input.expect_caller(after_ms=None)

    async def _generate(
        self, generation: Generation, find: FindReply, config: ResponseConfig
    ) -> None:
        """Run a response to its end; cancelling this task stops it between two steps."""
        pacing = self._agent.scenario.pacing
        failure = self._why_no_answer()
        reply = await find() if failure is None else Reply()
        await asyncio.sleep(pacing.think_ms / 1000)
        async for step in self._steps(generation, reply, config):
            self._emit(*step.events)
            await self._outbox.drained()
            await asyncio.sleep(step.wait_ms / 1000)
        if self._active is not None and self._active.generation is generation:
            self._active = None
        self._emit(generation.finish() if failure is None else generation.fail(failure))
        if not config.out_of_band:
            self._input.expect_caller(after_ms=generation.audio_ms)

    async def _steps(
        self, generation: Generation, reply: Reply, config: ResponseConfig
    ) -> AsyncIterator[Step]:
        aloud = self._config.output_audio if config.output_audio is None else config.output_audio
        if reply.say is not None:
            if aloud:
                audio_format = config.output_format or self._config.output_format
                audio = await self._agent.speak(reply.say, audio_format)
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
            after = Reply(reply.mcp.then if calling.worked else reply.mcp.otherwise)
            async for step in self._steps(generation, after, config):
                yield step

    async def _mcp_steps(
        self, calling: McpCalling, use: McpUse, *, may_ask: bool
    ) -> AsyncIterator[Step]:
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

    def _cancel(self, response_id: ResponseId | None) -> None:
        active = self._active
        if active is None or response_id not in (None, active.generation.response_id):
            raise refuse(
                "response_cancel_not_active", "Cancellation failed: no active response found."
            )
        self._cut_active("client_cancelled")

    def _cut_active(self, reason: str) -> None:
        active, self._active = self._active, None
        if active is not None:
            active.task.cancel()
            self._emit(*active.generation.cut(reason))

    async def _heard(self, item_id: ItemId) -> None:
        task = self._hearing.get(item_id)
        if task is not None:
            # Shielded: a cancelled response must not stop the transcription.
            await asyncio.shield(task)

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
            context.add(item_id, known or Entry(item))
        return context

    def _count_read(self, config: ResponseConfig) -> Tokens:
        """Count what a model would read before it answers."""
        items = count_tokens(self._context(config).entries())
        instructions = config.instructions or self._config.instructions or ""
        tools = self._config.tools if config.tools is None else config.tools
        described = sum(
            text_tokens(f"{tool.name}{tool.description}{tool.parameters}")
            for tool in tools
            if isinstance(tool, FunctionTool)
        )
        return Tokens(items.text + text_tokens(instructions) + described, items.audio)

    def _start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = self._tasks.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _tool_names(self, override: ResponseConfig | None = None) -> Sequence[str]:
        """Return the tools that the agent may call."""
        tools, choice = self._config.tools, self._config.tool_choice
        if override is not None:
            tools = tools if override.tools is None else override.tools
            choice = choice if override.tool_choice is None else override.tool_choice
        if choice == "none":
            return ()
        functions = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
        return [*functions, *self._mcp.offered(tools)]
