"""Conversation items as the server writes them (`PROTOCOL.md` section 6)."""

from typing import assert_never

from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    McpApproval,
    McpApprovalRequest,
    McpCall,
    McpToolList,
    Message,
    OpaqueItem,
    PartKind,
)
from bridge.simulator.dialects import DialectTable
from bridge.simulator.wire import WireObject

# content_part events say text and audio in both dialects, whatever items say.
_PART_EVENT_TYPES = {PartKind.OUTPUT_TEXT: "text", PartKind.OUTPUT_AUDIO: "audio"}
_AUDIO_KINDS = frozenset({PartKind.INPUT_AUDIO, PartKind.OUTPUT_AUDIO})
# Of a failed MCP call: what its type says beside it.
_MCP_ERRORS: dict[str, WireObject] = {
    "protocol_error": {"code": -32603, "message": "The MCP server answered with an error."},
    "http_error": {"code": 502, "message": "The MCP server could not be reached."},
    "tool_execution_error": {"message": "The tool failed."},
}


def write_item(item: Item, dialect: DialectTable) -> WireObject:
    """Write an item as it stands."""
    status: ItemStatus | None = None
    match item:
        case Message():
            status = item.status
            kind: WireObject = {
                "type": "message",
                "role": item.role.value,
                "content": [_item_part(part, dialect) for part in item.parts],
            }
        case FunctionCall():
            status = item.status
            kind = {
                "type": "function_call",
                "call_id": item.call_id,
                "name": item.name,
                "arguments": item.arguments,
            }
        case FunctionCallOutput():
            kind = {
                "type": "function_call_output",
                "call_id": item.call_id,
                "output": item.output,
            }
        case OpaqueItem():
            return {"id": item.item_id, "type": item.type, **_mcp_fields(item)}
        case _:
            assert_never(item)
    standing = (status or ItemStatus.COMPLETED).value
    return {"id": item.item_id, **dialect.item, "status": standing, **kind}


def _mcp_fields(item: OpaqueItem) -> WireObject:
    """Return the rest of an MCP item, which unlike others has no status."""
    match item:
        case McpToolList():
            tools = [{"name": name, "input_schema": {"type": "object"}} for name in item.tools]
            return {"server_label": item.server_label, "tools": tools}
        case McpCall():
            error = item.error_type
            return {
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
                "approval_request_id": item.approval_request_id,
                "output": item.output,
                "error": {"type": error, **_MCP_ERRORS[error]} if error is not None else None,
            }
        case McpApprovalRequest():
            return {
                "server_label": item.server_label,
                "name": item.name,
                "arguments": item.arguments,
            }
        case McpApproval():
            return {
                "approval_request_id": item.approval_request_id,
                "approve": item.approve,
                "reason": item.reason,
            }
        case _:
            return {}


def write_event_part(part: ContentPart) -> WireObject:
    """Write a part of an answer as its own events have it."""
    field = "transcript" if part.kind in _AUDIO_KINDS else "text"
    return {"type": _PART_EVENT_TYPES[part.kind], field: part.text}


def _item_part(part: ContentPart, dialect: DialectTable) -> WireObject:
    kind = dialect.parts[part.kind]
    if part.kind in _AUDIO_KINDS:
        return {"type": kind, "transcript": part.text}
    if part.kind is PartKind.INPUT_IMAGE:
        return {"type": kind, "image_url": part.image_url}
    return {"type": kind, "text": part.text}
