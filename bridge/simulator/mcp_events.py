"""MCP items and events as the GA dialect writes them (`PROTOCOL.md` sections 3 and 6)."""

import secrets

from bridge.realtime import events as e
from bridge.realtime.items import McpApproval, McpApprovalRequest, McpCall, McpToolList
from bridge.simulator.wire import WireObject

McpItem = McpToolList | McpCall | McpApprovalRequest | McpApproval
McpEvent = e.McpToolsListed | e.McpArgumentsDelta | e.McpArgumentsDone | e.McpCallChanged

# Of a failed call: what its type says beside it.
_ERRORS: dict[str, WireObject] = {
    "protocol_error": {"code": -32603, "message": "The MCP server answered with an error."},
    "http_error": {"code": 502, "message": "The MCP server could not be reached."},
    "tool_execution_error": {"message": "The tool failed."},
}


def write_mcp_item(item: McpItem) -> WireObject:
    """Write an MCP item; unlike others it has no status."""
    head: WireObject = {"id": item.item_id, "type": item.type}
    match item:
        case McpToolList():
            tools = [{"name": name, "input_schema": {"type": "object"}} for name in item.tools]
            return {**head, "server_label": item.server_label, "tools": tools}
        case McpCall():
            error = item.error_type
            return {
                **head,
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
                "approval_request_id": item.approval_request_id,
                "output": item.output,
                "error": {"type": error, **_ERRORS[error]} if error is not None else None,
            }
        case McpApprovalRequest():
            return {
                **head,
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
            }
        case McpApproval():
            return {
                **head,
                "approval_request_id": item.approval_request_id,
                "approve": item.approve,
                "reason": item.reason,
            }


def write_mcp_event(event: McpEvent) -> WireObject:
    """Write an MCP event."""
    match event:
        case e.McpToolsListed(item_id=item_id, phase=phase):
            return {"type": f"mcp_list_tools.{phase}", "item_id": item_id}
        case e.McpCallChanged(item_id=item_id, output_index=index, phase=phase):
            fields: WireObject = {"item_id": item_id, "output_index": index}
            return {"type": f"response.mcp_call.{phase}", **fields}
        case e.McpArgumentsDelta(delta=delta):
            hidden = {"delta": delta, "obfuscation": secrets.token_urlsafe(8)}
            return {"type": "response.mcp_call_arguments.delta", **_place(event), **hidden}
        case e.McpArgumentsDone(arguments=arguments):
            said: WireObject = {"arguments": arguments}
            return {"type": "response.mcp_call_arguments.done", **_place(event), **said}


def _place(event: e.McpArgumentsDelta | e.McpArgumentsDone) -> WireObject:
    return {
        "response_id": event.response_id,
        "item_id": event.item_id,
        "output_index": event.output_index,
    }
