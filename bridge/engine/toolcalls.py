"""Tool calls of the model: run once, answered together, never for a cancelled response.

The wire announces a call in three places (`protocol.md` section 7); only OutputItemDone counts.
``end_call`` is built in: it runs nothing and ends the call once the goodbye was heard.
"""

import json

from bridge.engine.effects import RunTool
from bridge.engine.inputs import Timer, ToolFinished
from bridge.engine.policy import CLOSING_GRACE_MS
from bridge.engine.requests import request_response
from bridge.engine.state import CallState, Effects, ToolRound
from bridge.realtime.commands import CreateItem
from bridge.realtime.events import OutputItemDone
from bridge.realtime.ids import ResponseId, ToolCallId
from bridge.realtime.items import FunctionCall, FunctionCallOutput, ItemStatus

END_CALL_TOOL = "end_call"

_FINISHED = (ItemStatus.COMPLETED, None)
"""A server that leaves the status out means a whole item; a cut one says so."""


def on_output_item_done(call: CallState, event: OutputItemDone, now_ns: int) -> Effects:
    """Start the tool of a finished function call of the active response."""
    item = event.item
    if not isinstance(item, FunctionCall) or item.status not in _FINISHED:
        return
    if not call.session.responses.active_is(event.response_id):
        return
    tools = call.tool_rounds.setdefault(event.response_id, ToolRound())
    if item.call_id in tools.seen:
        return
    tools.seen.add(item.call_id)
    if item.name == END_CALL_TOOL:
        call.ending = item.call_id
        goodbye_ms = call.transcript.given_ms(event.response_id)
        yield from call.start_timer(Timer.CLOSING, CLOSING_GRACE_MS + goodbye_ms)
    elif item.name in call.policy.tools:
        tools.pending.add(item.call_id)
        yield RunTool(item.call_id, item.name, item.arguments)
    else:
        yield from call.send(
            _output(item.call_id, json.dumps({"error": f"unknown tool {item.name}"}))
        )


def on_tool_finished(call: CallState, event: ToolFinished, now_ns: int) -> Effects:
    """Give a tool's output to the model; with the last one of its response, ask it to go on."""
    for response_id, tools in call.tool_rounds.items():
        if event.call_id in tools.pending:
            tools.pending.remove(event.call_id)
            yield from call.send(_output(event.call_id, event.output))
            yield from _go_on(call, response_id)
            return


def on_response_over(call: CallState, response_id: ResponseId, *, answer: bool) -> Effects:
    """Note that a response will call no more tools.

    Args:
        call: the call.
        response_id: the response.
        answer: False where it was cancelled or failed: its calls stay unanswered.
    """
    tools = call.tool_rounds.get(response_id)
    if tools is None:
        return
    if not answer:
        del call.tool_rounds[response_id]
        return
    tools.response_over = True
    yield from _go_on(call, response_id)


def keep_call(call: CallState, *, answer: bool) -> Effects:
    """Take ``end_call`` back because the caller spoke over the goodbye.

    Args:
        call: the call.
        answer: tell the model, as its response was complete; a cancelled one is not answered.
    """
    if call.ending is None:
        return
    call_id, call.ending = call.ending, None
    yield from call.stop_timer(Timer.CLOSING)
    if answer:
        yield from call.send(
            _output(call_id, json.dumps({"error": "not ended: the caller went on speaking"}))
        )


def _go_on(call: CallState, response_id: ResponseId) -> Effects:
    tools = call.tool_rounds[response_id]
    if tools.response_over and not tools.pending:
        del call.tool_rounds[response_id]
        yield from request_response(call)


def _output(call_id: ToolCallId, output: str) -> CreateItem:
    return CreateItem(FunctionCallOutput(call_id, output))
