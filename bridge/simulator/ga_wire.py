"""The GA dialect on the server's side: one connection's session object, and requests read.

Requests are a table, :data:`_READERS` (`protocol.md` sections 2, 4, 5, 6); events are written by
:mod:`bridge.simulator.ga_events`.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence

from pydantic import ValidationError

from bridge.realtime import commands as c
from bridge.realtime import events as e
from bridge.realtime.ids import ItemId, ResponseId, ToolCallId
from bridge.realtime.items import (
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemStatus,
    Message,
    OpaqueItem,
    Part,
    PartKind,
    Role,
)
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    ManualTurns,
    McpTool,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionInfo,
    Tool,
    Transcription,
    TurnDetection,
)
from bridge.simulator import ga_shapes as ga
from bridge.simulator.ga_events import SessionState, write_event
from bridge.simulator.names import new_name
from bridge.simulator.refusal import refuse
from bridge.simulator.wire import Request, WireObject

_LARGEST_APPEND_BYTES = 15 * 1024 * 1024
_SESSION_LIMIT_S = 3600
_FORMATS = {
    "audio/pcm": AudioFormat.PCM_24KHZ,
    "audio/pcmu": AudioFormat.PCMU,
    "audio/pcma": AudioFormat.PCMA,
}
_CLIENT_PARTS = {
    Role.SYSTEM: {"input_text"},
    Role.USER: {"input_text", "input_audio", "input_image"},
    Role.ASSISTANT: {"output_text"},
}
_PCM_SAMPLE_BYTES = 2


class GaWire:
    """One GA connection.

    Args:
        model: from the URL.
        now_s: Unix time, seconds.
    """

    def __init__(self, model: str, now_s: int) -> None:
        self._conversation_id = new_name("conv")
        self._session_id = new_name("sess")
        self._expires_at_s = now_s + _SESSION_LIMIT_S
        self._spoke = False
        self._take(ga.SessionShape(type="realtime", model=model))

    @property
    def config(self) -> SessionConfig:
        """The settings in force."""
        return self._config

    @property
    def info(self) -> SessionInfo:
        """Who the session is."""
        config = self.config
        return SessionInfo(
            session_id=self._session_id,
            model=self._session.model,
            expires_at_s=self._expires_at_s,
            voice=config.voice,
            input_format=config.input_format,
            output_format=config.output_format,
        )

    def decode(self, text: str) -> Request:
        """Read one client event (:meth:`bridge.simulator.wire.Wire.decode`)."""
        try:
            event = json.loads(text)
        except ValueError:
            raise refuse("invalid_json", "We could not parse the JSON body.") from None
        if not isinstance(event, dict):
            raise refuse("invalid_event", "An event must be a JSON object.")
        kind = event.get("type")
        if kind is None:
            raise refuse("invalid_event", "The event has no 'type'.", "type")
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            supported = ", ".join(f"'{each}'" for each in _READERS)
            raise refuse(
                "invalid_value",
                f"Invalid value: '{kind}'. Supported values are: {supported}.",
                "type",
            )
        try:
            command = reader(self, event)
        except ValidationError as error:
            raise ga.refusal_of(error, event) from None
        event_id = event.get("event_id")
        return Request(command, event_id if isinstance(event_id, str) else None)

    def encode(self, event: e.ServerEvent) -> list[WireObject]:
        """Write an event (:meth:`bridge.simulator.wire.Wire.encode`)."""
        if isinstance(event, e.AudioDelta):
            # From now on the voice is fixed.
            self._spoke = True
        written = write_event(event, self._state)
        return [{**each, "event_id": new_name("event")} for each in written]

    def read_update(self, event: WireObject) -> c.Command:
        """Merge a ``session.update`` into the session, whole or not at all."""
        asked = ga.SessionUpdate.model_validate(event).session
        if asked.type != "realtime":
            raise refuse(
                "invalid_value",
                "Invalid value: 'transcription'. This session is of type 'realtime'.",
                "session.type",
            )
        merged = _merge(self._session.model_dump(), asked.model_dump(exclude_unset=True))
        changed = ga.SessionShape.model_validate(merged)
        if changed.model != self._session.model:
            raise refuse(
                "invalid_value", "The model of a session cannot be changed.", "session.model"
            )
        if self._spoke and changed.audio.output.voice != self._session.audio.output.voice:
            raise refuse(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                "session.audio.output.voice",
            )
        self._take(changed)
        return c.UpdateSession(self._config)

    def read_append(self, event: WireObject) -> c.Command:
        """Take audio out of base64 and check that it is whole samples."""
        text = ga.Append.model_validate(event).audio
        try:
            audio = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise refuse("invalid_value", "Invalid 'audio': not base64.", "audio") from None
        if len(audio) > _LARGEST_APPEND_BYTES:
            raise refuse("invalid_value", "Invalid 'audio': more than 15 MiB.", "audio")
        pcm = self.config.input_format is AudioFormat.PCM_24KHZ
        if pcm and len(audio) % _PCM_SAMPLE_BYTES:
            raise refuse("invalid_value", "Invalid 'audio': half a 16-bit sample.", "audio")
        return c.AppendAudio(audio)

    def _take(self, session: ga.SessionShape) -> None:
        """Put a session's settings in force."""
        self._session = session
        self._config = _config_of(session)
        named: WireObject = {
            "object": "realtime.session",
            "id": self._session_id,
            "expires_at": self._expires_at_s,
        }
        # Only reasoning models have these two.
        rare = {"reasoning", "parallel_tool_calls"}
        usual = session.model_dump(exclude=rare)
        set_rarely = session.model_dump(include=rare, exclude_none=True)
        self._state = SessionState({**named, **usual, **set_rarely}, self._conversation_id)


def _merge(old: WireObject, new: WireObject) -> WireObject:
    """Lay ``new`` over ``old``: ``audio`` and its two sides by key, everything else whole."""
    merged = {**old, **new}
    sides, asked = old.get("audio"), new.get("audio")
    if isinstance(sides, dict) and isinstance(asked, dict):
        merged["audio"] = {
            side: {**sides[side], **asked.get(side, {})} for side in ("input", "output")
        }
    return merged


def _config_of(session: ga.SessionShape) -> SessionConfig:
    given, taken = session.audio.output, session.audio.input
    transcription = taken.transcription
    limit = session.max_output_tokens
    return SessionConfig(
        instructions=session.instructions,
        voice=given.voice if isinstance(given.voice, str) else given.voice.id,
        speed=given.speed,
        output_audio=session.output_modalities == ["audio"],
        input_format=_FORMATS[taken.format.type],
        output_format=_FORMATS[given.format.type],
        transcription=(
            Transcription(transcription.model or "", transcription.language, transcription.prompt)
            if transcription
            else None
        ),
        turn_detection=_detection_of(taken.turn_detection),
        tools=_tools_of(session.tools),
        tool_choice=_choice_of(session.tool_choice),
        max_output_tokens=limit if isinstance(limit, int) else None,
    )


def _detection_of(shape: ga.ServerVadShape | ga.SemanticVadShape | None) -> TurnDetection:
    match shape:
        case ga.ServerVadShape():
            return ServerVad(
                threshold=shape.threshold,
                prefix_padding_ms=shape.prefix_padding_ms,
                silence_duration_ms=shape.silence_duration_ms,
                create_response=shape.create_response,
                interrupt_response=shape.interrupt_response,
                idle_timeout_ms=shape.idle_timeout_ms,
            )
        case ga.SemanticVadShape():
            return SemanticVad(shape.eagerness, shape.create_response, shape.interrupt_response)
        case None:
            return ManualTurns()


def _tools_of(shapes: Sequence[ga.FunctionShape | ga.McpShape]) -> tuple[Tool, ...]:
    return tuple(
        FunctionTool(shape.name, shape.description or "", shape.parameters)
        if isinstance(shape, ga.FunctionShape)
        else McpTool(shape.server_label)
        for shape in shapes
    )


def _choice_of(choice: str | ga.FunctionChoice | ga.McpChoice) -> str:
    match choice:
        case ga.FunctionChoice():
            return choice.name
        case ga.McpChoice():
            return choice.server_label
        case _:
            return choice


def _read_item_create(_: GaWire, event: WireObject) -> c.Command:
    asked = ga.ItemCreate.model_validate(event)
    previous = asked.previous_item_id
    return c.CreateItem(
        _read_item(asked.item, "item"), ItemId(previous) if previous is not None else None
    )


def _read_truncate(_: GaWire, event: WireObject) -> c.Command:
    asked = ga.ItemTruncate.model_validate(event)
    return c.TruncateItem(ItemId(asked.item_id), asked.content_index, asked.audio_end_ms)


def _read_response_create(_: GaWire, event: WireObject) -> c.Command:
    asked = ga.ResponseCreate.model_validate(event).response or ga.ResponseShape()
    limit, modalities = asked.max_output_tokens, asked.output_modalities
    return c.CreateResponse(
        ResponseConfig(
            instructions=asked.instructions,
            output_audio=None if modalities is None else modalities == ["audio"],
            tools=None if asked.tools is None else _tools_of(asked.tools),
            tool_choice=None if asked.tool_choice is None else _choice_of(asked.tool_choice),
            max_output_tokens=limit if isinstance(limit, int) else None,
            metadata=asked.metadata or {},
            input=(
                None
                if asked.input is None
                else tuple(
                    _read_item(item, f"response.input[{place}]")
                    for place, item in enumerate(asked.input)
                )
            ),
            out_of_band=asked.conversation == "none",
        )
    )


def _read_cancel(_: GaWire, event: WireObject) -> c.Command:
    response_id = ga.ResponseCancel.model_validate(event).response_id
    return c.CancelResponse(ResponseId(response_id) if response_id is not None else None)


def _bare(command: c.Command) -> Callable[[GaWire, WireObject], c.Command]:
    def read(_: GaWire, event: WireObject) -> c.Command:
        ga.Bare.model_validate(event)
        return command

    return read


def _named(make: Callable[[ItemId], c.Command]) -> Callable[[GaWire, WireObject], c.Command]:
    def read(_: GaWire, event: WireObject) -> c.Command:
        return make(ItemId(ga.ItemNamed.model_validate(event).item_id))

    return read


_READERS: Mapping[str, Callable[[GaWire, WireObject], c.Command]] = {
    "session.update": GaWire.read_update,
    "input_audio_buffer.append": GaWire.read_append,
    "input_audio_buffer.commit": _bare(c.CommitInput()),
    "input_audio_buffer.clear": _bare(c.ClearInput()),
    "conversation.item.create": _read_item_create,
    "conversation.item.retrieve": _named(c.RetrieveItem),
    "conversation.item.truncate": _read_truncate,
    "conversation.item.delete": _named(c.DeleteItem),
    "response.create": _read_response_create,
    "response.cancel": _read_cancel,
    "output_audio_buffer.clear": _bare(c.ClearOutput()),
}


def _read_item(
    shape: ga.MessageShape | ga.FunctionCallShape | ga.FunctionOutputShape | ga.ReferenceShape,
    param: str,
) -> Item:
    item_id = ItemId(shape.id) if shape.id is not None else None
    match shape:
        case ga.MessageShape():
            role = Role(shape.role)
            parts = tuple(
                _read_part(part, role, f"{param}.content[{place}].type")
                for place, part in enumerate(shape.content)
            )
            return Message(role, parts, item_id, ItemStatus.COMPLETED)
        case ga.FunctionCallShape():
            call_id = ToolCallId(shape.call_id or new_name("call"))
            return FunctionCall(call_id, shape.name, shape.arguments, item_id, ItemStatus.COMPLETED)
        case ga.FunctionOutputShape():
            return FunctionCallOutput(ToolCallId(shape.call_id), shape.output, item_id)
        case ga.ReferenceShape():
            return OpaqueItem(shape.type, item_id)


def _read_part(
    shape: ga.InputTextPart | ga.InputAudioPart | ga.InputImagePart | ga.OutputTextPart,
    role: Role,
    param: str,
) -> Part:
    if shape.type not in _CLIENT_PARTS[role]:
        raise refuse(
            "invalid_value",
            f"Invalid value: '{shape.type}'. A message of role '{role}' cannot hold it.",
            param,
        )
    match shape:
        case ga.InputAudioPart():
            return Part(PartKind.INPUT_AUDIO, shape.transcript)
        case ga.InputImagePart():
            return Part(PartKind.INPUT_IMAGE, image_url=shape.image_url)
        case _:
            return Part(PartKind(shape.type), shape.text)
