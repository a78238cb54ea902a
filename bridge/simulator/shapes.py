"""Client events as both dialects have them, strictly, and refusals in the server's own words.

Unknown keys, wrong types and values out of range are refused (`PROTOCOL.md` section 2). A
validation error becomes an API error in :func:`refusal_of`.
"""

import re
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from bridge.simulator.refusal import EventRefused, refuse

Voice = Literal["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse"]
"""The voices that both dialects have."""

_KEY = re.compile(r"[a-z_]+")


class Shape(BaseModel):
    """An object whose every key is known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SparseShape(Shape):
    """An object that is written with the keys that somebody set, and no others.

    A client's types may take a key's absence, but not its being null.
    """

    @model_serializer(mode="wrap")
    def _set_alone(self, write: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        fields: dict[str, JsonValue] = write(self)
        return {key: value for key, value in fields.items() if value is not None}


class Passed(BaseModel):
    """An object whose inside is not looked at."""

    model_config = ConfigDict(extra="allow")


class SemanticVadShape(Shape):
    """``turn_detection`` by meaning."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class FunctionShape(SparseShape):
    """A tool that the client runs."""

    type: Literal["function"]
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class InputTextPart(Shape):
    """Text from the client."""

    type: Literal["input_text"]
    text: str


class InputAudioPart(Shape):
    """Audio from the client, in one piece."""

    type: Literal["input_audio"]
    audio: str
    transcript: str | None = None


class ItemBase(Shape):
    """The keys that every item may have."""

    id: str | None = Field(None, min_length=1, max_length=64)
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None


class MessageBase(ItemBase):
    """A message, but for its content."""

    type: Literal["message"]
    role: Literal["system", "user", "assistant"]


class FunctionCallShape(ItemBase):
    """A function call that the client puts into the history."""

    type: Literal["function_call"]
    call_id: str | None = None
    name: str
    arguments: str


class FunctionOutputShape(ItemBase):
    """A function's output."""

    type: Literal["function_call_output"]
    call_id: str
    output: str


class ReferenceShape(Shape):
    """An item that is there already; only in ``response.input``."""

    type: Literal["item_reference"]
    id: str


class EventShape(Shape):
    """The keys that every client event may have."""

    type: str
    event_id: str | None = Field(None, max_length=512)


class Append(EventShape):
    """``input_audio_buffer.append``."""

    audio: str


class Bare(EventShape):
    """An event without payload."""


class ItemNamed(EventShape):
    """``conversation.item.retrieve`` and ``.delete``."""

    item_id: str


class ItemTruncate(EventShape):
    """``conversation.item.truncate``."""

    item_id: str
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ResponseCancel(EventShape):
    """``response.cancel``."""

    response_id: str | None = None


class ExpiresAfter(Shape):
    """``expires_after`` of a client secret (`PROTOCOL.md` section 1)."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int | None = Field(None, ge=10, le=7200)


def refusal_of(error: ValidationError, event: object) -> EventRefused:
    """Put a validation error into the server's words; the first mistake counts.

    Args:
        error: of one of the shapes.
        event: what the client sent.
    """
    detail = error.errors(include_url=False)[0]
    param = _path(detail["loc"], event)
    match detail["type"]:
        case "extra_forbidden":
            return refuse("unknown_parameter", f"Unknown parameter: '{param}'.", param)
        case "missing":
            what = f"Missing required parameter: '{param}'."
            return refuse("missing_required_parameter", what, param)
        case "union_tag_not_found":
            param += ".type"
            what = f"Missing required parameter: '{param}'."
            return refuse("missing_required_parameter", what, param)
        case "union_tag_invalid":
            ctx = detail["ctx"]
            what = f"Invalid value: '{ctx['tag']}'. Supported values are: {ctx['expected_tags']}."
            return refuse("invalid_value", what, f"{param}.type")
        case "literal_error":
            expected = detail["ctx"]["expected"].replace(" or ", ", ")
            what = f"Invalid value: '{detail['input']}'. Supported values are: {expected}."
            return refuse("invalid_value", what, param)
        case _:
            return refuse("invalid_value", f"Invalid value: '{param}': {detail['msg']}.", param)


def _path(location: tuple[int | str, ...], event: object) -> str:
    """Write a location as a JSON path.

    pydantic puts the tag of a union between the keys: the object's own type, or the name of a
    class, neither of which the client wrote as a key.
    """
    path, here, tagged = "", event, False
    for place, part in enumerate(location):
        last = place == len(location) - 1
        if isinstance(part, int):
            here = here[part] if isinstance(here, list) and part < len(here) else None
            path, tagged = f"{path}[{part}]", False
        elif isinstance(here, dict) and part == here.get("type") and not tagged:
            tagged = True
        elif isinstance(here, dict) and (part in here or (last and _KEY.fullmatch(part))):
            here = here.get(part)
            path, tagged = (f"{path}.{part}" if path else part), False
    return path
