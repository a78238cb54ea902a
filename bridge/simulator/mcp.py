"""MCP servers, as the simulated service reaches them by itself (GA only, `PROTOCOL.md` section 7).

A scenario says which servers there are, what they offer and what each call gives; nothing goes over
the network. One :class:`McpServers` belongs to one session and changes only between awaits.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from bridge.realtime.ids import ItemId
from bridge.realtime.items import McpApproval, McpToolList
from bridge.realtime.session_config import McpTool, Tool
from bridge.simulator.names import new_name
from bridge.simulator.refusal import refuse

McpError = Literal["protocol_error", "tool_execution_error", "http_error"]
McpName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class McpServerSpec(_Model):
    """An MCP server that can be reached.

    Attributes:
        label: the ``server_label`` under which a session names it.
        tools: what it offers.
    """

    label: McpName
    tools: tuple[McpName, ...] = Field(min_length=1)


class McpCallSpec(_Model):
    """A tool of an MCP server that the agent calls.

    Attributes:
        output: what it gives, as JSON.
        fails: how it fails in place of that.
    """

    server: McpName
    name: McpName
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    output: dict[str, JsonValue] = Field(default_factory=dict)
    fails: McpError | None = None

    @property
    def offered_as(self) -> str:
        """What :meth:`McpServers.offered` calls it."""
        return _offered_as(self.server, self.name)


@dataclass(frozen=True, slots=True)
class McpUse:
    """An MCP call to make, and what is said after it.

    Attributes:
        arguments: JSON text.
        output: JSON text.
        otherwise: said where the call failed or was not approved; None for nothing.
    """

    server: str
    name: str
    arguments: str
    output: str
    fails: McpError | None
    then: str | None
    otherwise: str | None

    @classmethod
    def of(cls, spec: McpCallSpec, then: str | None, otherwise: str | None) -> "McpUse":
        """Make it from a scenario's call."""
        arguments, output = json.dumps(spec.arguments), json.dumps(spec.output)
        return cls(spec.server, spec.name, arguments, output, spec.fails, then, otherwise)


class McpServers:
    """The MCP servers of one session.

    Args:
        known: those that can be reached.
    """

    def __init__(self, known: Sequence[McpServerSpec]) -> None:
        self._known = {server.label: server.tools for server in known}
        self._asked: dict[str, McpTool] = {}
        self._listed: dict[str, tuple[str, ...]] = {}
        self._approvals: dict[ItemId, asyncio.Future[bool]] = {}

    def list_new(self, tools: Sequence[Tool]) -> list[McpToolList]:
        """List the tools of the servers that are new to the session, or set up anew.

        Returns:
            One item each; without tools where the server cannot be reached.
        """
        asked = {tool.server_label: tool for tool in tools if isinstance(tool, McpTool)}
        fresh = [label for label, tool in asked.items() if self._asked.get(label) != tool]
        self._asked = asked
        self._listed = {
            label: _allowed(self._known[label], tool.settings.get("allowed_tools"))
            for label, tool in asked.items()
            if label in self._known
        }
        return [
            McpToolList(
                type="mcp_list_tools",
                item_id=ItemId(new_name("mcpl")),
                server_label=label,
                tools=self._listed.get(label, ()),
            )
            for label in fresh
        ]

    def offered(self, tools: Sequence[Tool]) -> list[str]:
        """Return what the model may call of the servers among ``tools``."""
        labels = [tool.server_label for tool in tools if isinstance(tool, McpTool)]
        return [
            _offered_as(label, name) for label in labels for name in self._listed.get(label, ())
        ]

    def needs_approval(self, use: McpUse) -> bool:
        """Return whether the client is asked first: always, unless the session says otherwise."""
        rule = self._asked[use.server].settings.get("require_approval") or "always"
        if not isinstance(rule, Mapping):
            return rule == "always"
        if use.name in _names(rule.get("always")):
            return True
        return "never" in rule and use.name not in _names(rule["never"])

    async def approved(self, request_id: ItemId) -> bool:
        """Wait for the client's answer to a request."""
        answer = self._approvals.setdefault(request_id, asyncio.get_running_loop().create_future())
        return await answer

    def take(self, approval: McpApproval) -> None:
        """Take the client's answer.

        Raises:
            Refused: nobody asked.
        """
        answer = self._approvals.get(approval.approval_request_id)
        if answer is None:
            raise refuse(
                "invalid_value",
                f"There is no approval request '{approval.approval_request_id}'.",
                "item.approval_request_id",
            )
        if not answer.done():
            answer.set_result(approval.approve)


def _offered_as(label: str, name: str) -> str:
    # A dot stands in no function's name.
    return f"{label}.{name}"


def _allowed(tools: tuple[str, ...], wanted: object) -> tuple[str, ...]:
    if wanted is None or (isinstance(wanted, Mapping) and "tool_names" not in wanted):
        return tools
    names = _names(wanted) if isinstance(wanted, Mapping) else wanted
    return tuple(name for name in tools if isinstance(names, Sequence) and name in names)


def _names(found: object) -> Sequence[str]:
    names = found.get("tool_names") if isinstance(found, Mapping) else None
    return names if isinstance(names, Sequence) else ()
