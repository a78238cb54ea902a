"""Reads client events of either dialect, each by the reader for its type.

A reader checks the event against a shape and returns a command.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from bridge.realtime import commands as c
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    McpApproval,
    Message,
    OpaqueItem,
    PartKind,
    Role,
)
from bridge.realtime.session_config import AudioFormat, SessionKind
from bridge.simulator import beta_shapes as beta
from bridge.simulator import ga_shapes as ga
from bridge.simulator import shapes
from bridge.simulator.dialects import DialectTable
from bridge.simulator.formats import WireFormat, wire_format
from bridge.simulator.names import new_name
from bridge.simulator.pictures import look_at
from bridge.simulator.refusal import EventRefused, refuse
from bridge.simulator.session_reading import read_response
from bridge.simulator.wire import ClientRequest, WireObject

_LARGEST_APPEND_BYTES = 15 * 1024 * 1024

T = TypeVar("T")
_Reader = Callable[[WireObject], c.Command]

_WRITTEN_PARTS = {
    "input_text": PartKind.INPUT_TEXT,
    "text": PartKind.OUTPUT_TEXT,
    "output_text": PartKind.OUTPUT_TEXT,
}


def read_request(text: str, readers: Mapping[str, Callable[[WireObject], T]]) -> ClientRequest[T]:
    """Read one client event with the reader for its type.

    Raises:
        EventRefused: with the event's own ``event_id``, if it has one.
    """
    event = parse_event(text)
    name = event.get("event_id")
    event_id = name if isinstance(name, str) else None
    try:
        return ClientRequest(_reader_for(event, readers)(event), event_id)
    except EventRefused as refused:
        raise EventRefused(replace(refused.error, client_event_id=event_id)) from None
    except ValidationError as error:
        refusal = shapes.refusal_of(error, event).error
        raise EventRefused(replace(refusal, client_event_id=event_id)) from None


def parse_event(text: str) -> WireObject:
    """Parse one client event.

    Raises:
        EventRefused: it is no JSON object.
    """
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise refuse("invalid_json", "We could not parse the JSON body.") from None
    if not isinstance(event, dict):
        raise refuse("invalid_event", "An event must be a JSON object.")
    return event


def _reader_for(
    event: WireObject, readers: Mapping[str, Callable[[WireObject], T]]
) -> Callable[[WireObject], T]:
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
    """Read ``input_audio_buffer.append``."""
    return c.AppendAudio(read_audio(event, wire_format(audio_format)))


def read_audio(event: WireObject, audio_format: WireFormat) -> bytes:
    """Take audio out of base64 and check that it is whole samples."""
    text = shapes.Append.model_validate(event).audio
    try:
        audio = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refuse("invalid_value", "Invalid 'audio': not base64.", "audio") from None
    if len(audio) > _LARGEST_APPEND_BYTES:
        raise refuse("invalid_value", "Invalid 'audio': more than 15 MiB.", "audio")
    if len(audio) % audio_format.sample_bytes:
        raise refuse("invalid_value", "Invalid 'audio': half a 16-bit sample.", "audio")
    return audio


def _read_item_create(dialect: DialectTable, event: WireObject) -> c.Command:
    asked = dialect.shapes.item_create.model_validate(event)
    return c.CreateItem(_read_item(asked.item, dialect, "item"), _name_of(asked.previous_item_id))


def _read_response_create(dialect: DialectTable, event: WireObject) -> c.Command:
    asked = dialect.shapes.response_create.model_validate(event).response
    if asked is None:
        asked = dialect.shapes.response()
    items = None
    if asked.input is not None:
        items = tuple(
            _read_item(item, dialect, f"response.input[{place}]")
            for place, item in enumerate(asked.input)
        )
    return c.CreateResponse(read_response(asked, dialect, items))


def _read_item(
    shape: beta.InputItemShape | ga.InputItemShape, dialect: DialectTable, param: str
) -> Item:
    """Turn an item into the canonical one.

    Args:
        param: where the item stands in the event.
    """
    item_id = _name_of(shape.id)
    match shape:
        case shapes.FunctionCallShape():
            call_id = ToolCallId(shape.call_id or new_name("call"))
            return FunctionCall(call_id, shape.name, shape.arguments, item_id, ItemStatus.COMPLETED)
        case shapes.FunctionOutputShape():
            return FunctionCallOutput(ToolCallId(shape.call_id), shape.output, item_id)
        case shapes.ReferenceShape():
            return OpaqueItem(shape.type, item_id)
        case ga.ApprovalShape():
            request_id = ItemId(shape.approval_request_id)
            return McpApproval(
                item_id=item_id,
                approval_request_id=request_id,
                approve=shape.approve,
                reason=shape.reason,
            )
        case beta.MessageShape() | ga.MessageShape():
            role = Role(shape.role)
            _check_parts(shape, dialect.client_parts[role], param)
            parts = tuple(map(_read_part, shape.content))
            return Message(role, parts, item_id, ItemStatus.COMPLETED)


def _check_parts(
    shape: beta.MessageShape | ga.MessageShape, allowed: frozenset[str], param: str
) -> None:
    for place, part in enumerate(shape.content):
        if part.type not in allowed:
            supported = ", ".join(f"'{each}'" for each in sorted(allowed))
            raise refuse(
                "invalid_value",
                f"Invalid value: '{part.type}'. Supported values for the role '{shape.role}' are:"
                f" {supported}.",
                f"{param}.content[{place}].type",
            )


def _read_part(shape: beta.PartShape | ga.PartShape) -> ContentPart:
    match shape:
        case shapes.InputAudioPart():
            return ContentPart(PartKind.INPUT_AUDIO, shape.transcript)
        case ga.InputImagePart():
            look_at(shape.image_url)
            return ContentPart(PartKind.INPUT_IMAGE, image_url=shape.image_url, detail=shape.detail)
        case _:
            return ContentPart(_WRITTEN_PARTS[shape.type], shape.text)


def _name_of(written: str | None) -> ItemId | None:
    """Return an item's id, if the client gave one."""
    return ItemId(written) if written is not None else None


def _bare(command: c.Command) -> _Reader:
    def read(event: WireObject) -> c.Command:
        shapes.Bare.model_validate(event)
        return command

    return read


def _named(make: Callable[[ItemId], c.Command]) -> _Reader:
    def read(event: WireObject) -> c.Command:
        return make(ItemId(shapes.ItemNamed.model_validate(event).item_id))

    return read


def _read_truncate(event: WireObject) -> c.Command:
    asked = shapes.ItemTruncate.model_validate(event)
    return c.TruncateItem(ItemId(asked.item_id), asked.content_index, asked.audio_end_ms)


def _read_cancel(event: WireObject) -> c.Command:
    response_id = shapes.ResponseCancel.model_validate(event).response_id
    return c.CancelResponse(ResponseId(response_id) if response_id is not None else None)


_INPUT_READERS: Mapping[str, _Reader] = {
    "input_audio_buffer.commit": _bare(c.CommitInput()),
    "input_audio_buffer.clear": _bare(c.ClearInput()),
}

_TALK_READERS: Mapping[str, _Reader] = {
    "conversation.item.retrieve": _named(c.RetrieveItem),
    "conversation.item.truncate": _read_truncate,
    "conversation.item.delete": _named(c.DeleteItem),
    "response.cancel": _read_cancel,
    "output_audio_buffer.clear": _bare(c.ClearOutput()),
}


def readers_for(dialect: DialectTable, kind: SessionKind) -> Mapping[str, _Reader]:
    """Return the readers of the events that change no settings and bring no audio.

    A session that only transcribes takes none that is about items and responses.
    """
    if kind is SessionKind.TRANSCRIPTION:
        return _INPUT_READERS
    return {
        **_INPUT_READERS,
        "conversation.item.create": partial(_read_item_create, dialect),
        "response.create": partial(_read_response_create, dialect),
        **_TALK_READERS,
    }
