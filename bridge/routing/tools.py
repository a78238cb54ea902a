"""The tools of a dialplan: built in, webhooks of the operator's, and MCP servers.

A declaration holds what the model is sent (name, description, JSON Schema) and what the bridge does
when the model calls. Arguments are checked against the schema before anything runs.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import Field, field_validator, model_validator

from bridge.config.parts import Part, Text
from bridge.config.secret_places import SecretPlace
from bridge.config.tool_templates import ToolName
from bridge.realtime.session_config import FunctionTool, McpTool
from bridge.routing.parts import AtHand, Phrase

_ANY: dict[str, object] = {"type": "object", "properties": {}}
"""Models add arguments that nobody asked for; a tool that takes none can leave them unread."""

TRANSFER_TOOL = "transfer_to_human"
COLLECT_TOOL = "collect_digits"
SEND_DTMF_TOOL = "send_dtmf"

BUILT_IN: dict[str, tuple[str, dict[str, object]]] = {
    "end_call": (
        "Hang up. Say goodbye first. Call it only when the caller said goodbye or needs nothing"
        " more.",
        {
            "type": "object",
            "properties": {"reason": {"type": "string", "description": "why the call is over"}},
        },
    ),
    TRANSFER_TOOL: (
        "Put the caller through to a person. Call it at once when the caller asks for one, and when"
        " you could not help twice. Say that you are doing it.",
        {
            "type": "object",
            "properties": {
                "target": {
                    "type": "string",
                    "description": "which of the dialplan's handoff targets; leave out for the"
                    " first",
                },
                "summary": {
                    "type": "string",
                    "maxLength": 1000,
                    "description": "what the caller wants and what was said so far, for the person",
                },
            },
            "required": ["summary"],
            "additionalProperties": False,
        },
    ),
    SEND_DTMF_TOOL: (
        "Press keys on the line, for a machine at the other end.",
        {
            "type": "object",
            "properties": {"digits": {"type": "string", "pattern": "^[0-9*#A-Dw]{1,32}$"}},
            "required": ["digits"],
            "additionalProperties": False,
        },
    ),
    COLLECT_TOOL: (
        "Have the caller key in digits; the output comes when they have. Sensitive digits are never"
        " shown to you: you get a reference, which you pass to another tool in their place.",
        {
            "type": "object",
            "properties": {
                "what": {
                    "type": "string",
                    "description": "which digits; the caller is asked for them by the phone system"
                    " itself, so do not ask before",
                },
                "purpose": {"type": "string", "maxLength": 200},
                "max_digits": {"type": "integer", "minimum": 1, "maximum": 32},
                "min_digits": {"type": "integer", "minimum": 1, "maximum": 32},
                "sensitive": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
    ),
    "pause_recording": (
        "Pause the recording of this call. Call it before the caller says what must not be kept,"
        " such as a card number.",
        _ANY,
    ),
    "resume_recording": (
        "Let the recording go on. Call it as soon as the sensitive part is over.",
        _ANY,
    ),
    "schedule_callback": (
        "Note that the caller wants to be called back.",
        {
            "type": "object",
            "properties": {
                "when": {"type": "string", "maxLength": 100, "description": "as the caller said"},
                "number": {"type": "string", "pattern": "^[+]?[0-9 ()-]{4,24}$"},
                "reason": {"type": "string", "maxLength": 500},
            },
            "required": ["when"],
            "additionalProperties": False,
        },
    ),
}
"""Tools that the bridge has code for: what the model is sent unless the dialplan says otherwise."""


class Webhook(Part):
    """An HTTP endpoint of the operator's that does the tool's work.

    Attributes:
        url: POSTed to, with JSON.
        secret_env: environment variable with the key that signs the request.
        timeout_s: of one attempt.
        retries: further attempts after a connection that failed, a timeout, a 408, 429 or 5xx;
            all of them within ``deadline_s``.
        max_response_bytes: a longer answer is an error.
        allow_private: lets the URL lead to a private or loopback address.
    """

    url: Text
    secret_env: Text | None = None
    timeout_s: float = Field(5.0, gt=0, le=60)
    retries: int = Field(2, ge=0, le=5)
    max_response_bytes: int = Field(65_536, ge=64, le=1_048_576)
    allow_private: bool = False

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("should be an http:// or https:// URL")
        if parts.username or parts.password:
            raise ValueError("must not hold a password; requests are signed with secret_env")
        return url


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """A tool that the model may call.

    Attributes:
        schema: JSON Schema of its arguments.
        filler: said in the place of the first tone while the caller waits for it.
        background: the talk goes on meanwhile.
    """

    schema: Mapping[str, object]
    filler: str | None
    background: bool


class ToolDeclaration(Part):
    """A tool that the agent may call.

    Attributes:
        description: for the model; built-in tools have one.
        parameters: JSON Schema of the arguments, an object.
        webhook: what does the work; None for built-in tools.
        deadline_s: from the call to an output; after it the output says that it failed.
        filler: said to the caller when the tool takes longer than a moment.
        background: the talk goes on meanwhile; the model is told the result when it comes.
    """

    name: ToolName
    description: Text | None = None
    parameters: dict[str, object] | None = None
    webhook: Webhook | None = None
    deadline_s: float = Field(15.0, gt=0, le=600)
    filler: Phrase | None = None
    background: bool = False

    @field_validator("parameters")
    @classmethod
    def _is_object_schema(cls, parameters: dict[str, object] | None) -> dict[str, object] | None:
        if parameters is None:
            return None
        if parameters.get("type") != "object":
            raise ValueError("should be a JSON Schema with 'type: object'")
        try:
            Draft202012Validator.check_schema(parameters)
        except SchemaError as error:
            place = "/".join(str(part) for part in error.absolute_path)
            raise ValueError(f"is no JSON Schema, at '{place}': {error.message}") from None
        return parameters

    @model_validator(mode="after")
    def _somebody_does_it(self) -> Self:
        if self.name in BUILT_IN:
            if self.webhook is not None:
                raise ValueError(f"'{self.name}' is built in and takes no webhook")
        elif self.webhook is None:
            known = ", ".join(BUILT_IN)
            raise ValueError(f"'{self.name}' has no webhook, and is none of the built in: {known}")
        elif self.description is None:
            raise ValueError(f"'{self.name}' needs a description: the model chooses by it")
        return self

    @property
    def description_for_model(self) -> str:
        """Its description, for the model."""
        if self.description is not None:
            return self.description
        return BUILT_IN[self.name][0]

    @property
    def schema_of_arguments(self) -> dict[str, object]:
        """The JSON Schema that arguments must meet."""
        if self.parameters is not None:
            return self.parameters
        return BUILT_IN[self.name][1] if self.name in BUILT_IN else _ANY

    def policy(self, at_hand: AtHand) -> ToolPolicy:
        """Return how the core treats calls of it."""
        return ToolPolicy(self.schema_of_arguments, at_hand(self.filler), self.background)


class McpServer(Part):
    """A tool server that the Realtime service calls by itself (GA arms; `PROTOCOL.md` section 5).

    Attributes:
        approval: ``always`` has every call wait for the bridge's approval, ``never`` none.
        approve: names that are approved where approval is ``always``; others are refused.
        authorization_env: environment variable with the token for the server.
    """

    label: ToolName
    url: Text
    description: Text | None = None
    allowed_tools: tuple[ToolName, ...] | None = None
    approval: Literal["always", "never"] = "always"
    approve: tuple[ToolName, ...] = ()
    authorization_env: Text | None = None

    def entry(self) -> dict[str, object]:
        """Return it in the words of a session template."""
        words = {
            "type": "mcp",
            "server_label": self.label,
            "server_url": self.url,
            "require_approval": self.approval,
            "server_description": self.description,
            "allowed_tools": None if self.allowed_tools is None else list(self.allowed_tools),
            "authorization_env": self.authorization_env,
        }
        return {key: value for key, value in words.items() if value is not None}


def function_tool(
    declaration: ToolDeclaration, targets: Sequence[str] = (), digits: Sequence[str] = ()
) -> FunctionTool:
    """Return the description of a tool for the model.

    Args:
        declaration: the tool.
        targets: to whom calls may be handed; the tool for that names them.
        digits: what may be collected; the tool for that names it, and then describes nothing else.
    """
    schema: dict[str, Any] = copy.deepcopy(declaration.schema_of_arguments)  # of any depth
    properties = schema["properties"] if declaration.parameters is None else {}
    if "target" in properties:
        properties["target"]["enum"] = list(targets)
    if "what" in properties:
        properties["what"]["enum"] = list(digits)
        shown = ["what"] if digits else ["max_digits", "min_digits", "purpose", "sensitive"]
        schema["properties"] = {name: properties[name] for name in shown}
        schema["required"] = ["what"] if digits else ["max_digits", "purpose"]
    return FunctionTool(declaration.name, declaration.description_for_model, schema)


_NOT_SENT = frozenset({"type", "server_label", "approve", "authorization_env", "headers"})


def mcp_tool(entry: Mapping[str, Any], secrets: Mapping[str, str]) -> McpTool:
    """Return a tool server's description for the Realtime service (`PROTOCOL.md` section 4).

    Args:
        entry: as in a session template.
        secrets: what was read, by :attr:`~bridge.config.secret_places.SecretPlace.key`.
    """
    settings = {key: value for key, value in entry.items() if key not in _NOT_SENT}
    authorization = secrets.get(entry.get("authorization_env") or "")
    if authorization is not None:
        settings["authorization"] = authorization
    if headers := entry.get("headers"):
        places = {name: SecretPlace.model_validate(each) for name, each in headers.items()}
        settings["headers"] = {name: secrets.get(each.key, "") for name, each in places.items()}
    settings = {key: value for key, value in settings.items() if value is not None}
    return McpTool(entry["server_label"], settings)


def fillers(declarations: tuple[ToolDeclaration, ...]) -> Iterator[str]:
    """Yield what is said while tools run."""
    yield from filter(None, (declaration.filler for declaration in declarations))
