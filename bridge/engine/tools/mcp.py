"""Tools that the Realtime service runs by itself at MCP servers: their listing and their calls.

    mcp_list_tools.failed                      -> ToolsNotListed
    mcp_call.in_progress -> completed | failed -> ServerToolBegan, ServerToolEnded

The service answers them to its model alone, so they are only followed. The wire names the server
and the tool in items, and the events name the items (`PROTOCOL.md` section 7; GA only). A call
whose end never comes, as its response was cancelled or its session lost, ends as ``cancelled``.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bridge.engine.news import ServerToolBegan, ServerToolEnded, ToolsNotListed
from bridge.engine.state import CallState, Effects
from bridge.engine.tools.state import McpRun
from bridge.realtime.event_values import Phase
from bridge.realtime.events import (
    ItemAdded,
    McpCallChanged,
    McpToolsListed,
    OutputItemAdded,
    OutputItemDone,
)
from bridge.realtime.ids import ResponseId
from bridge.realtime.items import McpApprovalRequest, McpCall, McpToolList

FAILED = "mcp_failed"
CANCELLED = "cancelled"

_RESULTS: Mapping[Phase, str] = MappingProxyType({Phase.COMPLETED: "ok", Phase.FAILED: FAILED})


def on_item_added(call: CallState, event: ItemAdded, now_ns: int) -> Effects:
    """Note which server a listing is of."""
    if isinstance(event.item, McpToolList) and event.item.item_id is not None:
        call.mcp.servers[event.item.item_id] = event.item.server_label
    yield from ()


def on_tools_listed(call: CallState, event: McpToolsListed, now_ns: int) -> Effects:
    """Report a server whose tools the model will not have."""
    if event.phase is Phase.IN_PROGRESS:
        return
    server = call.mcp.servers.pop(event.item_id, "")
    if event.phase is Phase.FAILED:
        yield ToolsNotListed(server)


def on_output_item_added(call: CallState, event: OutputItemAdded, now_ns: int) -> Effects:
    """Note which tool a call is of."""
    item = event.item
    if isinstance(item, McpCall) and item.item_id is not None:
        call.mcp.runs[item.item_id] = McpRun(item.name, item.server_label, event.response_id)
    yield from ()


def on_call_changed(call: CallState, event: McpCallChanged, now_ns: int) -> Effects:
    """Begin or end a call; meanwhile a silent response does not stand still."""
    response = call.session.responses.active
    if event.phase is Phase.IN_PROGRESS:
        if response is not None:
            response.mcp_calls.add(event.item_id)
        run = call.mcp.runs.get(event.item_id)
        if run is not None and run.began_ns is None:
            run.began_ns = now_ns
            yield ServerToolBegan(run.name, run.server)
        return
    if response is not None:
        response.mcp_calls.discard(event.item_id)
    run = call.mcp.runs.pop(event.item_id, None)
    if run is not None:
        yield from _end(run, _RESULTS[event.phase], now_ns)


def on_call_done(call: CallState, event: OutputItemDone, now_ns: int) -> Effects:
    """End a call whose item is whole, if no event has said so."""
    item = event.item
    if isinstance(item, McpCall) and item.item_id is not None:
        run = call.mcp.runs.pop(item.item_id, None)
        if run is not None:
            yield from _end(run, "ok" if item.error_type is None else item.error_type, now_ns)


def refuse(call: CallState, request: McpApprovalRequest) -> None:
    """Note that a call is refused: its failure is that refusal, and is not reported twice."""
    for run in call.mcp.runs.values():
        if (run.name, run.server) == (request.name, request.server_label) and run.began_ns is None:
            run.refused = True
            return


def end_calls(call: CallState, now_ns: int, response_id: ResponseId | None = None) -> Effects:
    """End the calls that nobody waits for any more.

    Args:
        call: the call.
        now_ns: monotonic.
        response_id: those of a response that is over; None for all, as the session is gone.
    """
    for item_id, run in list(call.mcp.runs.items()):
        if response_id is None or run.response_id == response_id:
            del call.mcp.runs[item_id]
            if run.began_ns is not None:
                yield from _end(run, CANCELLED, now_ns)


def _end(run: McpRun, result: str, now_ns: int) -> Effects:
    if run.refused:
        return
    began_ns = now_ns if run.began_ns is None else run.began_ns
    if run.began_ns is None:
        yield ServerToolBegan(run.name, run.server)
    yield ServerToolEnded(run.name, run.server, result, now_ns - began_ns)
