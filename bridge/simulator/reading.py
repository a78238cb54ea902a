"""Reads client events of either dialect by that dialect's table of readers.

A reader gets the connection's wire and the event, checks it against a shape and returns a command.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pydantic import ValidationError

from bridge.realtime import commands as c
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    Message,
    OpaqueItem,
    Part,
    Role,
)
from bridge.realtime.session_config import AudioFormat, SemanticVad, ServerVad, TurnDetection
from bridge.simulator import shapes
from bridge.simulator.names import new_name
from bridge.simulator.refusal import Refused, refuse
from bridge.simulator.wire import Request, WireObject

_LARGEST_APPEND_BYTES = 15 * 1024 * 1024
_PCM_SAMPLE_BYTES = 2

W = TypeVar("W")


def read_request(
    text: str, readers: Mapping[str, Callable[[W, WireObject], c.Command]], wire: W
) -> Request:
    """Read one client event with the reader for its type.

    Raises:
        Refused: with the event's own ``event_id``, if it has one.
    """
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise refuse("invalid_json", "We could not parse the JSON body.") from None
    if not isinstance(event, dict):
        raise refuse("invalid_event", "An event must be a JSON object.")
    name = event.get("event_id")
    event_id = name if isinstance(name, str) else None
    try:
        return Request(_reader_for(event, readers)(wire, event), event_id)
    except Refused as refused:
        raise Refused(replace(refused.error, client_event_id=event_id)) from None
    except ValidationError as error:
        told = shapes.refusal_of(error, event).error
        raise Refused(replace(told, client_event_id=event_id)) from None


def _reader_for(
    event: WireObject, readers: Mapping[str, Callable[[W, WireObject], c.Command]]
) -> Callable[[W, WireObject], c.Command]:
    kind = event.get("type")
    if kind is None:
        raise refuse("invalid_event", "The event has no 'type'.", "type")
    reader = readers.get(kind) if isinstance(kind, str) else None
    if reader is None:
        supported = ", ".join(f"'{each}'" for each in readers)
        what = f"Invalid value: '{kind}'. Supported values are: {supported}."
        raise refuse("invalid_value", what, "type")
    return reader


def read_append(event: WireObject, audio_format: AudioFormat) -> c.Command:
    """Take audio out of base64 and check that it is whole samples."""
    text = shapes.Append.model_validate(event).audio
    try:
        audio = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refuse("invalid_value", "Invalid 'audio': not base64.", "audio") from None
    if len(audio) > _LARGEST_APPEND_BYTES:
        raise refuse("invalid_value", "Invalid 'audio': more than 15 MiB.", "audio")
    if audio_format is AudioFormat.PCM_24KHZ and len(audio) % _PCM_SAMPLE_BYTES:
        raise refuse("invalid_value", "Invalid 'audio': half a 16-bit sample.", "audio")
    return c.AppendAudio(audio)


def read_plain_item(
    shape: shapes.FunctionCallShape | shapes.FunctionOutputShape | shapes.ReferenceShape,
) -> Item:
    """Turn an item that is no message into the canonical one."""
    item_id = name_of(shape.id)
    match shape:
        case shapes.FunctionCallShape():
            call_id = ToolCallId(shape.call_id or new_name("call"))
            return FunctionCall(call_id, shape.name, shape.arguments, item_id, ItemStatus.COMPLETED)
        case shapes.FunctionOutputShape():
            return FunctionCallOutput(ToolCallId(shape.call_id), shape.output, item_id)
        case shapes.ReferenceShape():
            return OpaqueItem(shape.type, item_id)


def read_message(
    shape: shapes.MessageBase,
    content: Sequence[tuple[str, Part]],
    allowed: Mapping[Role, frozenset[str]],
    param: str,
) -> Message:
    """Turn a message into the canonical one.

    Args:
        content: each part, with its type as the client wrote it.
        allowed: the types of part that each role may write.
        param: where the message stands in the event.
    """
    role = Role(shape.role)
    for place, (kind, _) in enumerate(content):
        if kind not in allowed[role]:
            supported = ", ".join(f"'{each}'" for each in sorted(allowed[role]))
            raise refuse(
                "invalid_value",
                f"Invalid value: '{kind}'. Supported values for the role '{role}' are:"
                f" {supported}.",
                f"{param}.content[{place}].type",
            )
    parts = tuple(part for _, part in content)
    return Message(role, parts, name_of(shape.id), ItemStatus.COMPLETED)


def name_of(written: str | None) -> ItemId | None:
    """Return an item's id, if the client gave one."""
    return ItemId(written) if written is not None else None


def without_answers(detection: TurnDetection | None) -> TurnDetection | None:
    """Return turn detection for a session that never responds."""
    match detection:
        case ServerVad():
            return replace(
                detection, create_response=False, interrupt_response=False, idle_timeout_ms=None
            )
        case SemanticVad():
            return replace(detection, create_response=False, interrupt_response=False)
        case _:
            return detection


def _bare(command: c.Command) -> Callable[[object, WireObject], c.Command]:
    def read(_: object, event: WireObject) -> c.Command:
        shapes.Bare.model_validate(event)
        return command

    return read


def _named(make: Callable[[ItemId], c.Command]) -> Callable[[object, WireObject], c.Command]:
    def read(_: object, event: WireObject) -> c.Command:
        return make(ItemId(shapes.ItemNamed.model_validate(event).item_id))

    return read


def _read_truncate(_: object, event: WireObject) -> c.Command:
    asked = shapes.ItemTruncate.model_validate(event)
    return c.TruncateItem(ItemId(asked.item_id), asked.content_index, asked.audio_end_ms)


def _read_cancel(_: object, event: WireObject) -> c.Command:
    response_id = shapes.ResponseCancel.model_validate(event).response_id
    return c.CancelResponse(ResponseId(response_id) if response_id is not None else None)


INPUT_READERS: Mapping[str, Callable[[object, WireObject], c.Command]] = {
    "input_audio_buffer.commit": _bare(c.CommitInput()),
    "input_audio_buffer.clear": _bare(c.ClearInput()),
}
"""What a session that only transcribes takes too."""

TALK_READERS: Mapping[str, Callable[[object, WireObject], c.Command]] = {
    "conversation.item.retrieve": _named(c.RetrieveItem),
    "conversation.item.truncate": _read_truncate,
    "conversation.item.delete": _named(c.DeleteItem),
    "response.cancel": _read_cancel,
    "output_audio_buffer.clear": _bare(c.ClearOutput()),
}
"""What only a session that talks takes."""
