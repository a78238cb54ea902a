"""Tools in session templates: servers that the service calls by itself, and the choice of tools."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import StringConstraints, field_validator, model_validator

from bridge.config.parts import HeaderName, Part, Text
from bridge.config.secret_places import SecretPlace, Variable

ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class FunctionChoiceTemplate(Part):
    """This function and no other.

    Attributes:
        type: `function`.
        name: of one of the agent's tools.
    """

    type: Literal["function"]
    name: ToolName

    @field_validator("name")
    @classmethod
    def _is_no_mode(cls, name: str) -> str:
        if name in ("auto", "none", "required"):
            raise ValueError(f"is what a choice without a name is called: {name} (rename the tool)")
        return name


class McpChoiceTemplate(Part):
    """A tool of this server and no other.

    Attributes:
        type: `mcp`.
        server_label: of one of the servers.
        name: of the tool; null for any of its.
    """

    type: Literal["mcp"]
    server_label: ToolName
    name: ToolName | None = None


class McpFilterTemplate(Part):
    """Some of a server's tools.

    Attributes:
        tool_names: these.
        read_only: those that change nothing.
    """

    tool_names: tuple[ToolName, ...] | None = None
    read_only: bool | None = None


class McpApprovalsTemplate(Part):
    """The tools that wait for approval, and those that don't.

    Attributes:
        always: these do.
        never: these don't.
    """

    always: McpFilterTemplate | None = None
    never: McpFilterTemplate | None = None


class McpTemplate(Part):
    """A tool server that the service calls by itself; GA alone.

    Attributes:
        type: `mcp`.
        server_label: what the model and the records call it.
        server_url: where it is; one of the three.
        connector_id: a connector of the service's.
        tunnel_id: a tunnel of the service's.
        authorization_env: environment variable with its access token, sent as `authorization`.
        headers: name -> `{env: VARIABLE}` or `{file: PATH}`, whose value is sent.
        allowed_tools: names, or a filter; null for all.
        require_approval: `always`, `never`, or by tools.
        approve: names that the bridge approves where the service asks; others are refused. It is
            not sent.
        server_description: for the model.
        defer_loading: its tools are found by search.
        allowed_callers: `direct`, `programmatic`.
    """

    why_not: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"authorization": "a secret is never written down: `authorization_env` names its variable"}
    )

    type: Literal["mcp"]
    server_label: ToolName
    server_url: Text | None = None
    connector_id: Text | None = None
    tunnel_id: Text | None = None
    authorization_env: Variable | None = None
    headers: dict[HeaderName, SecretPlace] | None = None
    allowed_tools: tuple[ToolName, ...] | McpFilterTemplate | None = None
    require_approval: Literal["always", "never"] | McpApprovalsTemplate | None = None
    approve: tuple[ToolName, ...] = ()
    server_description: Text | None = None
    defer_loading: bool | None = None
    allowed_callers: tuple[Literal["direct", "programmatic"], ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_no_function(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("type") == "function":
            raise ValueError(
                "is a function, which the bridge runs: it belongs to the dialplan's agent.tools"
            )
        return value

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        # The service refuses the session for either (`PROTOCOL.md` section 5).
        places = (self.server_url, self.connector_id, self.tunnel_id)
        if sum(place is not None for place in places) != 1:
            raise ValueError("should have exactly one of server_url, connector_id and tunnel_id")
        names = {name.lower() for name in self.headers or {}}
        if self.authorization_env is not None and "authorization" in names:
            raise ValueError("has both authorization_env and headers.Authorization: keep one")
        return self

    @property
    def secret_places(self) -> Iterator[SecretPlace]:
        """The variables and files that it names."""
        if self.authorization_env is not None:
            yield SecretPlace(env=self.authorization_env)
        yield from (self.headers or {}).values()
