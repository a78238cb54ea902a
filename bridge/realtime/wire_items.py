"""Items and their content parts on the wire (`PROTOCOL.md` section 6).

Reading takes the part names of every dialect, since servers mix them (a GA ``item.retrieved`` was
seen with ``audio``); writing takes the names of one.
"""

import binascii
from collections.abc import Callable, Mapping
from typing import assert_never

from bridge.realtime.ids import ItemId, ToolCallId
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
    Role,
)
from bridge.realtime.wire import (
    FieldError,
    WireObject,
    default_to,
    each,
    given,
    nested,
    optional,
    optional_str,
    require_base64,
    require_bool,
    require_enum,
    require_str,
)

PartNames = Mapping[PartKind, str]
"""What a dialect calls the parts that a client may create; kinds that it cannot create are absent
(no client can create assistant audio)."""

_KINDS = {
    "input_text": PartKind.INPUT_TEXT,
    "input_audio": PartKind.INPUT_AUDIO,
    "input_image": PartKind.INPUT_IMAGE,
    "text": PartKind.OUTPUT_TEXT,
    "audio": PartKind.OUTPUT_AUDIO,
    "output_text": PartKind.OUTPUT_TEXT,
    "output_audio": PartKind.OUTPUT_AUDIO,
}
_TEXT_KEYS = {
    PartKind.INPUT_TEXT: "text",
    PartKind.OUTPUT_TEXT: "text",
    PartKind.INPUT_AUDIO: "transcript",
    PartKind.OUTPUT_AUDIO: "transcript",
}

_AUDIO_KINDS = frozenset({PartKind.INPUT_AUDIO, PartKind.OUTPUT_AUDIO})

_optional_status = optional(require_enum(ItemStatus))
_optional_base64 = optional(require_base64)
_require_role = require_enum(Role)


def read_part(obj: WireObject) -> ContentPart:
    """Read a part of a kind that we know.

    Raises:
        FieldError: of another kind, or its text is not text.
    """
    part = _read_known_part(obj)
    if part is None:
        raise FieldError("type", "is no content part known here")
    return part


def _read_known_part(obj: WireObject) -> ContentPart | None:
    kind = _KINDS.get(require_str(obj, "type"))
    if kind is None:
        return None
    if kind is PartKind.INPUT_IMAGE:
        image_url, detail = optional_str(obj, "image_url"), optional_str(obj, "detail")
        return ContentPart(kind, image_url=image_url, detail=detail)
    return ContentPart(
        kind,
        text=optional_str(obj, _TEXT_KEYS[kind]),
        audio=_optional_base64(obj, "audio") if kind in _AUDIO_KINDS else None,
    )


_no_parts: tuple[ContentPart | None, ...] = ()
_read_parts = default_to(_no_parts, each(_read_known_part))


def _read_message(obj: WireObject) -> Message:
    # A kind of part that is yet unknown is no reason to lose the message.
    parts = tuple(part for part in _read_parts(obj, "content") if part is not None)
    return Message(
        role=_require_role(obj, "role"),
        parts=parts,
        item_id=ItemId(require_str(obj, "id")),
        status=_optional_status(obj, "status"),
        phase=optional_str(obj, "phase"),
    )


def _read_function_call(obj: WireObject) -> FunctionCall:
    return FunctionCall(
        call_id=ToolCallId(require_str(obj, "call_id")),
        name=require_str(obj, "name"),
        arguments=require_str(obj, "arguments"),
        item_id=ItemId(require_str(obj, "id")),
        status=_optional_status(obj, "status"),
    )


def _read_function_call_output(obj: WireObject) -> FunctionCallOutput:
    return FunctionCallOutput(
        call_id=ToolCallId(require_str(obj, "call_id")),
        output=require_str(obj, "output"),
        item_id=ItemId(require_str(obj, "id")),
    )


def _read_opaque(obj: WireObject) -> OpaqueItem:
    return OpaqueItem(type=require_str(obj, "type"), item_id=ItemId(require_str(obj, "id")))


_read_names = each(lambda tool: require_str(tool, "name"))
_no_names: tuple[str, ...] = ()
_read_tool_names = default_to(_no_names, _read_names)
_optional_item_id = optional(lambda obj, key: ItemId(require_str(obj, key)))
_read_error_type = optional(nested(lambda error: require_str(error, "type")))


def _read_mcp_tool_list(obj: WireObject) -> McpToolList:
    return McpToolList(
        type=require_str(obj, "type"),
        item_id=ItemId(require_str(obj, "id")),
        server_label=require_str(obj, "server_label"),
        tools=_read_tool_names(obj, "tools"),
    )


def _read_mcp_call(obj: WireObject) -> McpCall:
    return McpCall(
        type=require_str(obj, "type"),
        item_id=ItemId(require_str(obj, "id")),
        server_label=require_str(obj, "server_label"),
        name=require_str(obj, "name"),
        arguments=require_str(obj, "arguments"),
        output=optional_str(obj, "output"),
        error_type=_read_error_type(obj, "error"),
        approval_request_id=_optional_item_id(obj, "approval_request_id"),
    )


def _read_mcp_approval_request(obj: WireObject) -> McpApprovalRequest:
    return McpApprovalRequest(
        type=require_str(obj, "type"),
        item_id=ItemId(require_str(obj, "id")),
        server_label=require_str(obj, "server_label"),
        name=require_str(obj, "name"),
        arguments=require_str(obj, "arguments"),
    )


def _read_mcp_approval(obj: WireObject) -> McpApproval:
    return McpApproval(
        item_id=ItemId(require_str(obj, "id")),
        approval_request_id=ItemId(require_str(obj, "approval_request_id")),
        approve=require_bool(obj, "approve"),
        reason=optional_str(obj, "reason"),
    )


_ITEMS: Mapping[str, Callable[[WireObject], Item]] = {
    "message": _read_message,
    "function_call": _read_function_call,
    "function_call_output": _read_function_call_output,
    "mcp_list_tools": _read_mcp_tool_list,
    "mcp_call": _read_mcp_call,
    "mcp_approval_request": _read_mcp_approval_request,
    "mcp_approval_response": _read_mcp_approval,
}


def read_item(obj: WireObject) -> Item:
    """Read an item that the server sent; one of a kind yet unknown is carried as opaque."""
    return _ITEMS.get(require_str(obj, "type"), _read_opaque)(obj)


def _encode_part(part: ContentPart, names: PartNames) -> WireObject:
    name = names.get(part.kind)
    if name is None:
        raise ValueError(f"a client cannot create {part.kind} parts in this dialect; send text")
    if part.kind is PartKind.INPUT_AUDIO:
        if part.audio is None:
            raise ValueError("a client cannot create caller audio without its bytes; send text")
        audio = binascii.b2a_base64(part.audio, newline=False).decode("ascii")
        return given(type=name, audio=audio, transcript=part.text)
    return given(type=name, text=part.text, image_url=part.image_url, detail=part.detail)


def encode_item(item: Item, names: PartNames) -> WireObject:
    """Spell an item that we create.

    Raises:
        ValueError: it holds what no client may create, or is opaque.
    """
    match item:
        case Message():
            # `phase` is the server's own mark and no part of what a client may send.
            return given(
                type="message",
                id=item.item_id,
                status=item.status,
                role=item.role,
                content=[_encode_part(part, names) for part in item.parts],
            )
        case FunctionCall():
            return given(
                type="function_call",
                id=item.item_id,
                status=item.status,
                call_id=item.call_id,
                name=item.name,
                arguments=item.arguments,
            )
        case FunctionCallOutput():
            return given(
                type="function_call_output",
                id=item.item_id,
                call_id=item.call_id,
                output=item.output,
            )
        case OpaqueItem():
            raise ValueError(f"an item of type {item.type} is only carried, it cannot be created")
        case _:
            assert_never(item)


def encode_input_item(item: Item, encode: Callable[[Item], WireObject]) -> WireObject:
    """Spell an item of one response's own input; those only carried go by reference.

    Args:
        encode: the dialect's own for an item that is created.
    """
    if isinstance(item, OpaqueItem) and item.item_id and not isinstance(item, McpApproval):
        return {"type": "item_reference", "id": item.item_id}
    return encode(item)
