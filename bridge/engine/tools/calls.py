"""Tool calls of the model: checked, run once, answered together, never for a cancelled response.

The wire announces a call in three places (`PROTOCOL.md` section 7); only OutputItemDone counts.
Built-in tools are rows of :data:`BUILT_IN`; the rest is run outside (`bridge/tools/`). Whatever is
wrong with a call becomes an output, so that the model can mend it or speak about it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bridge.engine.agent.pictures import show_picture, without_picture
from bridge.engine.agent.requests import request_response
from bridge.engine.effects import (
    PauseRecording,
    RecordingHold,
    ResumeRecording,
    RunTool,
    SendDigits,
)
from bridge.engine.handoff.asking import NoHumanError, human_wanted
from bridge.engine.handoff.transfer import want_handoff
from bridge.engine.inputs import ToolFinished
from bridge.engine.keypad.collecting import begin_collection
from bridge.engine.keypad.secret_digits import conceal, reveal
from bridge.engine.news import CallbackWanted, ToolAnswered, ToolAsked, ToolRefused
from bridge.engine.policy import CLOSING_GRACE_MS
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.tools import mcp
from bridge.engine.tools.arguments import BadArgumentsError, parse_arguments
from bridge.engine.tools.rounds import answer_together
from bridge.engine.tools.state import ToolRound
from bridge.engine.voice.speech import say
from bridge.realtime.commands import CreateItem
from bridge.realtime.duplex_events import DelegatedItemDone
from bridge.realtime.events import OutputItemDone
from bridge.realtime.ids import ResponseId, ToolCallId
from bridge.realtime.items import FunctionCall, Item, ItemStatus, McpApproval
from bridge.realtime.items import McpApprovalRequest as ApprovalRequest
from bridge.routing.tools import ToolPolicy

END_CALL_TOOL = "end_call"
TRANSFER_TOOL = "transfer_to_human"

_FINISHED = (ItemStatus.COMPLETED, None)
"""A server that leaves the status out means a whole item; a cut one says so."""

_NEEDS_NO_LISTING = MappingProxyType(
    {END_CALL_TOOL: ToolPolicy({"type": "object"}, filler=None, background=False)}
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool whose arguments are good."""

    call_id: ToolCallId
    response_id: ResponseId
    name: str
    arguments: Mapping[str, object]

    def text(self, name: str) -> str | None:
        """Return an argument that is text, if it was given."""
        value = self.arguments.get(name)
        return value if isinstance(value, str) else None


_FROM_TOOL = "[the picture that your tool gave with its output]"

BuiltIn = Callable[[CallState, ToolCall, int], Effects]


def on_output_item_done(call: CallState, event: OutputItemDone, now_ns: int) -> Effects:
    """Start the tool of a finished function call of the active response; answer an MCP server."""
    yield from mcp.on_call_done(call, event, now_ns)
    if call.session.responses.active_is(event.response_id):
        yield from _take_item(call, event.response_id, event.item, now_ns)


def on_delegated_item_done(call: CallState, event: DelegatedItemDone, now_ns: int) -> Effects:
    """Start the tool of a function call of the service's backend, whatever the voice says."""
    item, delegated = event.item, call.session.delegated
    response_id = delegated.response_of(event.delegation_id)
    if isinstance(item, ApprovalRequest) and item.item_id is not None:
        delegated.calls.add(ToolCallId(item.item_id))
    if isinstance(item, FunctionCall) and item.status in _FINISHED:
        delegated.calls.add(item.call_id)
        call.session.responses.expect_none()  # a tool is what is waited for now
        yield from call.stop_timer(Timer.RESPONSE)
        call.log.feed(OutputItemDone(response_id, 0, item))
    yield from _take_item(call, response_id, item, now_ns)


def _take_item(call: CallState, response_id: ResponseId, item: Item, now_ns: int) -> Effects:
    if isinstance(item, ApprovalRequest):
        yield from _approve(call, response_id, item)
    if not isinstance(item, FunctionCall) or item.status not in _FINISHED:
        return
    tools = call.tool_rounds.setdefault(response_id, ToolRound())
    if item.call_id in tools.seen:
        return
    tools.seen.add(item.call_id)
    policy = call.policy.tools.get(item.name, _NEEDS_NO_LISTING.get(item.name))
    if policy is None:
        yield from _refuse(call, item, f"unknown tool {item.name}", "unknown")
        return
    try:
        arguments = parse_arguments(item.arguments, policy.schema)
    except BadArgumentsError as error:
        yield from _refuse(call, item, str(error), "bad_arguments")
        return
    wanted = ToolCall(item.call_id, response_id, item.name, arguments)
    yield ToolAsked(wanted.call_id, wanted.name, wanted.arguments)
    yield from BUILT_IN.get(item.name, _run)(call, wanted, now_ns)


def on_tool_finished(call: CallState, event: ToolFinished, now_ns: int) -> Effects:
    """Give a tool's output to the model; with the last one of its response, ask it to go on."""
    if event.call_id in call.background:
        call.background.remove(event.call_id)
        yield from _answer(call, event)
        if event.call_id not in call.session.delegated.calls:
            yield from request_response(call)
        return
    for response_id, tools in call.tool_rounds.items():
        if event.call_id in tools.pending:
            tools.pending.remove(event.call_id)
            yield from _answer(call, event)
            yield from answer_together(call, response_id)
            return


def _run(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    policy = call.policy.tools[wanted.name]
    if policy.background:
        call.background.add(wanted.call_id)
        if policy.filler is not None:
            yield from say(call, policy.filler)
    else:
        call.tool_rounds[wanted.response_id].pending.add(wanted.call_id)
        call.tool_filler = policy.filler
    yield RunTool(wanted.call_id, wanted.name, reveal(call.keypad, wanted.arguments))


def _end_call(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    """End the call once the goodbye was heard."""
    call.ending = wanted.call_id
    if wanted.call_id in call.session.delegated.calls:  # else its backend would wait for ever
        yield from call.answer_tool(wanted.call_id, {"ending": "as soon as you have said goodbye"})
    goodbye_ms = call.transcript.given_ms(wanted.response_id)
    yield from call.start_timer(Timer.CLOSING, CLOSING_GRACE_MS + goodbye_ms)


def _send_dtmf(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    """Press the keys; the output says whether the far end takes them."""
    call.tool_rounds[wanted.response_id].pending.add(wanted.call_id)
    yield SendDigits(wanted.call_id, wanted.text("digits") or "")


def _collect_digits(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    yield from begin_collection(call, wanted.call_id, wanted.arguments)


def _transfer_to_human(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    """Hand the call over; the output says how it went, once that is known."""
    try:
        handoff = human_wanted(
            call,
            now_ns,
            reason=wanted.name,
            target=wanted.text("target"),
            summary=wanted.text("summary") or "",
            call_id=wanted.call_id,
        )
    except NoHumanError as error:
        yield from call.answer_tool(wanted.call_id, {"error": str(error)})
        return
    # Whatever becomes of its response, the caller gets to a person, and the model hears of it.
    call.background.add(wanted.call_id)
    yield from want_handoff(call, handoff)


def _schedule_callback(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    yield CallbackWanted(wanted.text("when") or "", wanted.text("number"), wanted.text("reason"))
    yield from call.answer_tool(wanted.call_id, {"noted": True})


def _pause_recording(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    yield PauseRecording(RecordingHold.AGENT)
    yield from call.answer_tool(wanted.call_id, {"recording": "paused"})


def _resume_recording(call: CallState, wanted: ToolCall, now_ns: int) -> Effects:
    yield ResumeRecording(RecordingHold.AGENT)
    yield from call.answer_tool(wanted.call_id, {"recording": "as before"})


BUILT_IN: Mapping[str, BuiltIn] = MappingProxyType(
    {
        END_CALL_TOOL: _end_call,
        TRANSFER_TOOL: _transfer_to_human,
        "send_dtmf": _send_dtmf,
        "pause_recording": _pause_recording,
        "resume_recording": _resume_recording,
        "collect_digits": _collect_digits,
        "schedule_callback": _schedule_callback,
    }
)
"""Tools that the engine itself carries out."""


def _approve(call: CallState, response_id: ResponseId, request: ApprovalRequest) -> Effects:
    """Answer an MCP server's question by the dialplan's policy; the server goes on by itself."""
    tools = call.tool_rounds.setdefault(response_id, ToolRound())
    if request.item_id is None or request.item_id in tools.approvals:
        return
    tools.approvals.add(request.item_id)
    approve = request.name in call.policy.agent.mcp_approved
    if not approve:
        mcp.refuse(call, request)
        yield ToolRefused(request.name, "not_approved")
    yield from call.send(
        CreateItem(McpApproval(approval_request_id=request.item_id, approve=approve))
    )


def _refuse(call: CallState, item: FunctionCall, why: str, reason: str) -> Effects:
    yield ToolRefused(item.name, reason)
    yield from call.give_output(item.call_id, _error(why))


def _answer(call: CallState, event: ToolFinished) -> Effects:
    shown = event.picture if call.session.service.takes_pictures else None
    output = event.output if shown is event.picture else without_picture(event.output)
    output = conceal(call.keypad, output)
    yield ToolAnswered(event.call_id, output)
    yield from call.give_output(event.call_id, output)
    if shown is not None:
        yield from show_picture(call, shown, _FROM_TOOL, tool_call=event.call_id)


def _error(why: str) -> str:
    return json.dumps({"error": why})
