"""Work that the GPT-Live model delegates: to the application, or to a Responses backend.

One :class:`Delegations` belongs to one session. It decides what is said when work comes back; it
sends nothing by itself (`PROTOCOL.md` section 11).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.realtime.ids import ItemId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    Message,
    PartKind,
    Role,
)
from bridge.simulator.agent import AgentReply, AgentToolUse, SimulatedAgent
from bridge.simulator.conversation import Conversation, ConversationEntry, count_tokens
from bridge.simulator.gpt_live.backend_stream import BackendStream
from bridge.simulator.gpt_live.config import LiveConfig
from bridge.simulator.gpt_live.shapes import (
    BackendMessageShape,
    BackendOutputShape,
    ResponseItemCreate,
)
from bridge.simulator.names import new_name
from bridge.simulator.refusal import refuse
from bridge.simulator.shapes import InputTextPart

_ROLES = {"developer": Role.SYSTEM, "system": Role.SYSTEM, "user": Role.USER}


@dataclass(slots=True)
class Delegation:
    """A piece of delegated work.

    Attributes:
        call: what it calls.
        output: what the client gave back.
        over: whether its result has been made something of.
    """

    delegation_id: str
    call: FunctionCall
    output: str | None = None
    over: bool = False


class Delegations:
    """The delegated work of one session.

    Args:
        agent: knows what follows from a result.
        config: says who has the work.
    """

    def __init__(self, agent: SimulatedAgent, config: LiveConfig) -> None:
        self._agent = agent
        self._config = config
        self._conversation = Conversation()
        self._known: dict[str, Delegation] = {}

    @property
    def tools(self) -> Sequence[str]:
        """What may be called: an application is thought to have everything."""
        if self._config.backend is not None:
            return self._config.functions
        rules = self._agent.scenario.rules
        return tuple(rule.tool.name for rule in rules if rule.tool is not None)

    def begin(self, use: AgentToolUse) -> Delegation:
        """Delegate a call."""
        call_id = ToolCallId(new_name("call"))
        call = FunctionCall(call_id, use.name, use.arguments, ItemId(new_name("fc")))
        work = Delegation(new_name("item"), call)
        self._known[work.delegation_id] = work
        self._add(call)
        return work

    def stream(self, now_s: int) -> BackendStream:
        """Begin a response of the backend.

        Raises:
            EventRefused: there is no backend.
        """
        backend = self._config.backend
        if backend is None:
            raise refuse("invalid_value", "response.create requires Responses delegation.", "type")
        read = count_tokens(self._conversation.entries())
        return BackendStream(backend, now_s, read.text)

    def check(self, delegation_id: str | None) -> None:
        """Look whether context may be given for a delegation.

        Raises:
            EventRefused: there is no such one, or it is the backend's.
        """
        if delegation_id is None:
            return
        if self._config.backend is not None:
            what = "delegation_id must be null with Responses delegation."
            raise refuse("invalid_value", what, "delegation_id")
        if delegation_id not in self._known:
            what = f"There is no delegation '{delegation_id}'."
            raise refuse("invalid_value", what, "delegation_id")

    def words_for(self, delegation_id: str | None, content: str) -> str | None:
        """Return what is said to an application's result: its words, or what its JSON means."""
        work = self._known.get(delegation_id or "")
        if work is None or not _is_json_object(content):
            return content
        work.output = content
        return self._decide(work).say

    def take_item(self, event: Mapping[str, object]) -> None:
        """Take ``response.item.create``.

        Raises:
            EventRefused: there is no backend, or the call of an output.
        """
        if self._config.backend is None:
            what = "response.item.create requires Responses delegation."
            raise refuse("invalid_value", what, "type")
        item = ResponseItemCreate.model_validate(event).item
        match item:
            case BackendOutputShape():
                self._take_output(item)
            case BackendMessageShape(role="assistant", content=content):
                part = ContentPart(PartKind.OUTPUT_TEXT, _text_of(content))
                self._add(Message(Role.ASSISTANT, (part,), status=ItemStatus.COMPLETED))
            case BackendMessageShape():
                part = ContentPart(PartKind.INPUT_TEXT, _text_of(item.content))
                self._add(Message(_ROLES[item.role], (part,), status=ItemStatus.COMPLETED))

    def go_on(self) -> tuple[str | None, AgentReply]:
        """Obey ``response.create``: return the delegation that goes on, if one does, and how.

        Raises:
            EventRefused: a call has no output yet.
        """
        waiting = [each for each in self._known.values() if not each.over]
        work = next((each for each in waiting if each.output is not None), None)
        if work is None and waiting:
            what = f"No tool output found for function call {waiting[0].call.call_id}."
            raise refuse("invalid_value", what, "type")
        if work is None:
            return None, self._agent.decide(self._conversation, None, self.tools)
        work.over = True
        return work.delegation_id, self._decide(work)

    def _take_output(self, item: BackendOutputShape) -> None:
        works = self._known.values()
        work = next((each for each in works if each.call.call_id == item.call_id), None)
        if work is None:
            what = f"No tool call found for function call output with call_id {item.call_id}."
            raise refuse("invalid_value", what, "item.call_id")
        work.output = _text_of(item.output)
        self._add(FunctionCallOutput(work.call.call_id, work.output))

    def _decide(self, work: Delegation) -> AgentReply:
        """Decide what follows from a delegation's own result."""
        context = Conversation()
        for item in (work.call, FunctionCallOutput(work.call.call_id, work.output or "")):
            context.add(ItemId(new_name("item")), ConversationEntry(item))
        return self._agent.decide(context, None, self.tools)

    def _add(self, item: Item) -> None:
        item_id = ItemId(new_name("item"))
        self._conversation.add(item_id, ConversationEntry(item))


def _text_of(content: str | Sequence[InputTextPart]) -> str:
    return content if isinstance(content, str) else "".join(_texts(content))


def _texts(parts: Sequence[InputTextPart]) -> Iterator[str]:
    return (part.text for part in parts)


def _is_json_object(content: str) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False
