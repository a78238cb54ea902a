"""Conversation items, dialect-free (`PROTOCOL.md` section 6).

Content part kinds are ours (:class:`PartKind`); each dialect's table knows what they are called on
its wire.
"""

import enum
from dataclasses import dataclass, field

from bridge.realtime.ids import ItemId, ToolCallId


class Role(enum.StrEnum):
    """Who a message is from."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class ItemStatus(enum.StrEnum):
    """How far an item has come."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class PartKind(enum.StrEnum):
    """What a content part holds."""

    INPUT_TEXT = "input_text"
    INPUT_AUDIO = "input_audio"
    INPUT_IMAGE = "input_image"
    OUTPUT_TEXT = "output_text"
    OUTPUT_AUDIO = "output_audio"


@dataclass(frozen=True, slots=True)
class ContentPart:
    """One content part of a message.

    Attributes:
        text: text of a text part, transcript of an audio part (None = not known yet).
        image_url: data URI of an image part.
        detail: of an image: ``auto``, ``low`` or ``high``.
        audio: bytes of an audio part, where the wire has them (retrieved items, and caller audio
            that we create); in the session's format.
    """

    kind: PartKind
    text: str | None = None
    image_url: str | None = field(default=None, repr=False)
    detail: str | None = None
    audio: bytes | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message item. ``item_id`` may be None only on items that we create."""

    role: Role
    parts: tuple[ContentPart, ...]
    item_id: ItemId | None = None
    status: ItemStatus | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The model's call of a tool. ``arguments`` is JSON text, as the model wrote it."""

    call_id: ToolCallId
    name: str
    arguments: str
    item_id: ItemId | None = None
    status: ItemStatus | None = None


@dataclass(frozen=True, slots=True)
class FunctionCallOutput:
    """What a tool gave back; ``output`` is text (JSON by custom)."""

    call_id: ToolCallId
    output: str
    item_id: ItemId | None = None


@dataclass(frozen=True, slots=True)
class OpaqueItem:
    """An item that the engine only carries along: MCP items (subclasses), kinds yet unknown."""

    type: str
    item_id: ItemId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpToolList(OpaqueItem):
    """The names of the tools that an MCP server offers (GA only, like all MCP items)."""

    server_label: str
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class McpCall(OpaqueItem):
    """A tool call that the Realtime server makes by itself.

    Attributes:
        error_type: ``protocol_error``, ``tool_execution_error``, ``http_error``, or None.
        approval_request_id: the request by which we were asked for it, if we were.
    """

    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error_type: str | None = None
    approval_request_id: ItemId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpApprovalRequest(OpaqueItem):
    """The server asks whether it may make an MCP call."""

    server_label: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class McpApproval(OpaqueItem):
    """The answer to such a request: the one MCP item that a client creates."""

    type: str = "mcp_approval_response"
    approval_request_id: ItemId
    approve: bool
    reason: str | None = None


Item = Message | FunctionCall | FunctionCallOutput | OpaqueItem
