"""One client's session: its requests obeyed, its audio cut into turns.

Runs in the server's loop; all state belongs to one connection and changes only between awaits.
What takes time runs in tasks of the session's task group, under names: one for each response
(:mod:`bridge.simulator.responses`), one for each recognition (:mod:`bridge.simulator.hearing`).
"""

import asyncio
from dataclasses import replace
from typing import assert_never

import numpy as np
from aiohttp import WSCloseCode
from numpy.typing import NDArray

from bridge.realtime import commands as c
from bridge.realtime.event_values import ApiError, Phase
from bridge.realtime.events import (
    InputCleared,
    InputCommitted,
    InputTimedOut,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    McpToolsListed,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
)
from bridge.realtime.ids import ItemId
from bridge.realtime.items import (
    ContentPart,
    FunctionCallOutput,
    Item,
    ItemStatus,
    McpApproval,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.session_config import SemanticVad, ServerVad, SessionConfig
from bridge.simulator.agent import SimulatedAgent
from bridge.simulator.channel import Channel
from bridge.simulator.conversation import Conversation, ConversationEntry
from bridge.simulator.dialect_wire import Wire
from bridge.simulator.fault_board import ConnectionFaults
from bridge.simulator.formats import wire_format
from bridge.simulator.hearing import TurnHearing
from bridge.simulator.listening import Idle, InputBuffer, Onset, SpeechPause
from bridge.simulator.mcp import McpServers
from bridge.simulator.names import new_name
from bridge.simulator.outbox import Outbox
from bridge.simulator.refusal import EventRefused, refuse
from bridge.simulator.responses import Responses
from bridge.simulator.scenario import EndsBy

_SHORTEST_COMMIT_MS = 100


class ServerSession:
    """A client's session.

    Args:
        agent: who answers.
        wire: the connection's dialect.
        outbox: takes events for the client.
        tasks: the connection's task group; what the session starts in it ends with :meth:`stop`.
        faults: those of the model.
        ends_by: what the client gets once the session has lasted as long as it may.
    """

    def __init__(
        self,
        agent: SimulatedAgent,
        wire: Wire,
        outbox: Outbox,
        tasks: asyncio.TaskGroup,
        faults: ConnectionFaults,
        ends_by: EndsBy,
    ) -> None:
        self._wire = wire
        self._faults = faults
        self._ends_by = ends_by
        self._channel = Channel(wire, outbox, tasks)
        self._config = wire.config
        self._input = InputBuffer(self._config.input_format.rate_hz, self._config.turn_detection)
        self._conversation = Conversation()
        self._speech_item: ItemId | None = None
        self._mcp = McpServers(agent.scenario.mcp_servers)
        self._hearing = TurnHearing(agent, self._conversation, self._channel)
        self._responses = Responses(
            agent,
            self._channel,
            self._conversation,
            self._hearing,
            self._mcp,
            why_no_answer=faults.why_no_answer,
            expect_caller=lambda after_ms: self._input.expect_caller(after_ms=after_ms),
        )

    def start(self) -> None:
        """Greet the client: ``session.created``, before anything else."""
        self._channel.emit(SessionCreated(self._wire.info))
        self._list_mcp_tools()

    def stop(self) -> None:
        """Cancel what is still running."""
        self._channel.stop()

    def receive(self, text: str) -> None:
        """Take one text frame from the client."""
        try:
            if self._wire.overlooks(text):
                return
            request = self._wire.decode(text)
        except EventRefused as refused:
            self.report(refused.error)
            return
        try:
            self._obey(request.command)
        except EventRefused as refused:
            self.report(replace(refused.error, client_event_id=request.event_id))

    def receive_binary(self) -> None:
        """Refuse a binary frame."""
        self.report(refuse("invalid_event", "Events must be sent as text frames.").error)

    def report(self, error: ApiError) -> None:
        """Send the client an error."""
        self._channel.report(error)

    def expire(self, what: str) -> None:
        """End the session because it has lasted as long as it may.

        Args:
            what: that, in the server's words.
        """
        if self._ends_by != "close":
            self.report(refuse("session_expired", what).error)
        if self._ends_by == "error":
            self._channel.hang_up(WSCloseCode.OK, "")
        else:
            self._channel.hang_up(WSCloseCode.GOING_AWAY, what)

    def _obey(self, command: c.Command) -> None:
        match command:
            case c.AppendAudio(audio=audio):
                self._listen(wire_format(self._config.input_format).decode(audio))
            case c.UpdateSession(config=config):
                self._update(config)
            case c.ProbeSession():
                self._update(self._config)
            case c.CommitInput():
                self._commit_by_hand()
            case c.ClearInput():
                self._input.clear()
                self._speech_item = None
                self._channel.emit(InputCleared())
            case c.CreateResponse(config=config):
                self._responses.respond(config)
            case c.CancelResponse(response_id=response_id):
                self._responses.cancel(response_id)
            case c.ClearOutput():
                raise refuse(
                    "invalid_value",
                    "output_audio_buffer.clear is for WebRTC and SIP connections only.",
                    "type",
                )
            case (c.CreateItem() | c.RetrieveItem() | c.TruncateItem() | c.DeleteItem()) as of_item:
                self._obey_about_item(of_item)
            case c.StartSession() | c.EndSession() | c.DeclineDelegated() | c.ContinueDelegated():
                raise refuse("invalid_event", "There is no such event in this dialect.", "type")
            case _:
                assert_never(command)

    def _obey_about_item(
        self, command: c.CreateItem | c.RetrieveItem | c.TruncateItem | c.DeleteItem
    ) -> None:
        match command:
            case c.CreateItem(item=item, previous_item_id=previous):
                self._create_item(item, previous)
            case c.RetrieveItem(item_id=item_id):
                self._channel.emit(ItemRetrieved(self._conversation.retrieve(item_id)))
            case c.TruncateItem(item_id=item_id, content_index=index, audio_end_ms=end_ms):
                self._conversation.truncate(item_id, index, end_ms)
                self._channel.emit(ItemTruncated(item_id, index, end_ms))
            case c.DeleteItem(item_id=item_id):
                self._conversation.delete(item_id)
                self._channel.emit(ItemDeleted(item_id))
            case _:
                assert_never(command)

    def _update(self, config: SessionConfig) -> None:
        old, self._config = self._config, config
        if (old.input_format, old.turn_detection) != (config.input_format, config.turn_detection):
            self._input = self._input.successor(config.input_format.rate_hz, config.turn_detection)
            self._speech_item = None
        self._channel.emit(SessionUpdated(self._wire.info))
        self._list_mcp_tools()

    def _list_mcp_tools(self) -> None:
        for item in self._mcp.list_new(self._config.tools):
            item_id = item.item_id or ItemId(new_name("mcpl"))
            self._channel.emit(McpToolsListed(item_id, Phase.IN_PROGRESS))
            before = self._conversation.add(item_id, ConversationEntry(item))
            self._channel.emit(ItemAdded(item, before), ItemDone(item, before))
            self._channel.emit(
                McpToolsListed(item_id, Phase.COMPLETED if item.tools else Phase.FAILED)
            )

    def _create_item(self, item: Item, previous: ItemId | None) -> None:
        item_id = item.item_id or ItemId(new_name("item"))
        if isinstance(item, FunctionCallOutput) and not self._conversation.call_of(item.call_id):
            raise refuse("invalid_value", "No function call has this call_id.", "item.call_id")
        if isinstance(item, McpApproval):
            self._mcp.take(item)
        named = replace(item, item_id=item_id)
        before = self._conversation.add(item_id, ConversationEntry(named), previous)
        self._channel.emit(ItemAdded(named, before), ItemDone(named, before))

    # Input audio.

    def _listen(self, samples: NDArray[np.int16]) -> None:
        for event in self._input.feed(samples):
            match event:
                case Onset(start_ms=start_ms):
                    self._speech_item = ItemId(new_name("item"))
                    self._channel.emit(SpeechStarted(self._speech_item, start_ms))
                    if self._turns().interrupt_response is not False:
                        self._responses.interrupt(self._faults.overrun_ms())
                case SpeechPause(end_ms=end_ms, audio=audio):
                    item_id = self._speech_item or ItemId(new_name("item"))
                    self._speech_item = None
                    self._channel.emit(SpeechStopped(item_id, end_ms))
                    self._commit(item_id, audio)
                    if self._turns().create_response is not False:
                        self._responses.answer_turn(item_id)
                case Idle(start_ms=start_ms, end_ms=end_ms, audio=audio):
                    self._prompt_idle_caller(start_ms, end_ms, audio)

    def _prompt_idle_caller(self, start_ms: int, end_ms: int, audio: NDArray[np.int16]) -> None:
        item_id = ItemId(new_name("item"))
        self._channel.emit(InputTimedOut(item_id, start_ms, end_ms))
        self._commit(item_id, audio)
        self._responses.prompt_caller()

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
        message = Message(
            Role.USER, (ContentPart(PartKind.INPUT_AUDIO),), item_id, ItemStatus.COMPLETED
        )
        self._channel.emit(InputCommitted(item_id, self._conversation.last_id))
        before = self._conversation.add(
            item_id, ConversationEntry(message, audio.size * 1000 / rate)
        )
        self._channel.emit(ItemAdded(message, before), ItemDone(message, before))
        self._hearing.begin(item_id, audio, rate)
