"""The state of the model's tool calls, those that an MCP server runs among them."""

from dataclasses import dataclass, field

from bridge.realtime.ids import ItemId, ResponseId, ToolCallId


@dataclass(slots=True)
class ToolRound:
    """The tool calls of one response; answered together.

    Attributes:
        seen: calls that were begun or refused.
        pending: calls whose output is awaited before the model is asked to go on.
        approvals: questions of an MCP server that were answered.
    """

    seen: set[ToolCallId] = field(default_factory=set)
    pending: set[ToolCallId] = field(default_factory=set)
    approvals: set[ItemId] = field(default_factory=set)
    response_over: bool = False


@dataclass(slots=True)
class McpRun:
    """A tool call that the server makes by itself.

    Attributes:
        response_id: of the response that it is part of.
        began_ns: None before the server runs it.
        refused: the bridge did not approve it.
    """

    name: str
    server: str
    response_id: ResponseId
    began_ns: int | None = None
    refused: bool = False


@dataclass(slots=True)
class McpBook:
    """The servers and calls that MCP items have named, for the events that name the items.

    Attributes:
        servers: labels of the servers whose listings are under way.
        runs: calls that have not ended.
    """

    servers: dict[ItemId, str] = field(default_factory=dict)
    runs: dict[ItemId, McpRun] = field(default_factory=dict)
