"""The GA dialect on the server's side: one connection's session object, and requests read.

Requests are tables of readers, one for each kind of session (`PROTOCOL.md` sections 2, 4, 5, 6);
events are written by :mod:`bridge.simulator.ga_events`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self

from bridge.realtime import commands as c
from bridge.realtime import events as e
from bridge.realtime.ids import ItemId
from bridge.realtime.items import Item, McpApproval, Part, PartKind, Role
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    ManualTurns,
    McpTool,
    McpToolChoice,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionKind,
    Tool,
    Transcription,
    TurnDetection,
)
from bridge.simulator import ga_shapes as ga
from bridge.simulator import reading, shapes
from bridge.simulator.dialect_wire import DialectWire
from bridge.simulator.ga_events import write_event
from bridge.simulator.server_events import SessionState
from bridge.simulator.wire import Identity, WireObject

_FORMATS = {
    "audio/pcm": AudioFormat.PCM_24KHZ,
    "audio/pcmu": AudioFormat.PCMU,
    "audio/pcma": AudioFormat.PCMA,
}
_CLIENT_PARTS = {
    Role.SYSTEM: frozenset({"input_text"}),
    Role.USER: frozenset({"input_text", "input_audio", "input_image"}),
    Role.ASSISTANT: frozenset({"output_text"}),
}

# Only reasoning models have these two.
_RARE = {"reasoning", "parallel_tool_calls"}

_Session = ga.SessionShape | ga.TranscriptionSessionShape


class GaWire(DialectWire[_Session]):
    """One GA connection.

    Args:
        settings: what the session begins with beside the server's defaults, as ``session`` in a
            client secret's request; already checked.
    """

    def __init__(self, identity: Identity, settings: WireObject | None = None) -> None:
        session: _Session
        if identity.kind is SessionKind.TRANSCRIPTION:
            session = ga.TranscriptionSessionShape(type="transcription")
        else:
            session = ga.SessionShape(type="realtime")
        merged = _merge(session.model_dump(), settings or {})
        if identity.kind is SessionKind.REALTIME:
            merged["model"] = identity.model
        super().__init__(identity, type(session).model_validate(merged))

    def read_update(self, event: WireObject) -> c.Command:
        """Merge a ``session.update`` into the session, whole or not at all."""
        asked: _Session
        if isinstance(self._current, ga.TranscriptionSessionShape):
            asked = ga.TranscriptionUpdate.model_validate(event).session
        else:
            asked = ga.SessionUpdate.model_validate(event).session
        merged = _merge(self._current.model_dump(), asked.model_dump(exclude_unset=True))
        changed = type(self._current).model_validate(merged)
        if isinstance(changed, ga.SessionShape) and isinstance(self._current, ga.SessionShape):
            self._check_fixed(
                same_model=changed.model == self._current.model,
                same_voice=changed.audio.output.voice == self._current.audio.output.voice,
                voice="session.audio.output.voice",
            )
        self._take(changed)
        return c.UpdateSession(self._config)

    @classmethod
    def _readers(
        cls,
    ) -> Mapping[SessionKind, Mapping[str, Callable[[Self, WireObject], c.Command]]]:
        return _READERS

    @staticmethod
    def _write(event: e.ServerEvent, state: SessionState) -> list[WireObject]:
        return write_event(event, state)

    @staticmethod
    def _dump(session: _Session) -> WireObject:
        usual = session.model_dump(exclude=_RARE)
        return {**usual, **session.model_dump(include=_RARE, exclude_none=True)}

    @staticmethod
    def _config_of(session: _Session) -> SessionConfig:
        return _config_of(session)


def _merge(old: WireObject, new: WireObject) -> WireObject:
    """Lay ``new`` over ``old``: ``audio`` and its sides by key, everything else whole."""
    merged = {**old, **new}
    sides, asked = old.get("audio"), new.get("audio")
    if isinstance(sides, dict) and isinstance(asked, dict):
        merged["audio"] = {
            side: {**settings, **asked.get(side, {})} for side, settings in sides.items()
        }
    return merged


def _config_of(session: _Session) -> SessionConfig:
    taken = session.audio.input
    transcription = taken.transcription
    heard = SessionConfig(
        input_format=_FORMATS[taken.format.type],
        transcription=(
            Transcription(transcription.model or "", transcription.language, transcription.prompt)
            if transcription
            else None
        ),
        turn_detection=_detection_of(taken.turn_detection),
    )
    if isinstance(session, ga.TranscriptionSessionShape):
        return replace(
            heard,
            kind=SessionKind.TRANSCRIPTION,
            turn_detection=reading.without_answers(heard.turn_detection),
        )
    given, limit = session.audio.output, session.max_output_tokens
    return replace(
        heard,
        instructions=session.instructions,
        voice=_voice_of(given.voice),
        speed=given.speed,
        output_audio=session.output_modalities == ["audio"],
        output_format=_FORMATS[given.format.type],
        tools=_tools_of(session.tools),
        tool_choice=_choice_of(session.tool_choice),
        max_output_tokens=limit if isinstance(limit, int) else None,
    )


def _voice_of(voice: str | ga.CustomVoice) -> str:
    return voice if isinstance(voice, str) else voice.id


def _detection_of(shape: ga.ServerVadShape | shapes.SemanticVadShape | None) -> TurnDetection:
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
        case shapes.SemanticVadShape():
            return SemanticVad(shape.eagerness, shape.create_response, shape.interrupt_response)
        case None:
            return ManualTurns()


def _tools_of(tools: Sequence[shapes.FunctionShape | ga.McpShape]) -> tuple[Tool, ...]:
    return tuple(
        FunctionTool(each.name, each.description or "", each.parameters)
        if isinstance(each, shapes.FunctionShape)
        else McpTool(each.server_label, each.model_dump(exclude={"type", "server_label"}))
        for each in tools
    )


def _choice_of(choice: str | ga.FunctionChoice | ga.McpChoice) -> str | McpToolChoice:
    match choice:
        case ga.FunctionChoice():
            return choice.name
        case ga.McpChoice():
            return McpToolChoice(choice.server_label, choice.name)
        case _:
            return choice


def _read_item_create(_: object, event: WireObject) -> c.Command:
    asked = ga.ItemCreate.model_validate(event)
    return c.CreateItem(_read_item(asked.item, "item"), reading.name_of(asked.previous_item_id))


def _read_response_create(_: object, event: WireObject) -> c.Command:
    asked = ga.ResponseCreate.model_validate(event).response or ga.ResponseShape()
    limit, modalities = asked.max_output_tokens, asked.output_modalities
    output = asked.audio.output if asked.audio is not None else ga.ResponseAudioOutput()
    return c.CreateResponse(
        ResponseConfig(
            instructions=asked.instructions,
            output_audio=None if modalities is None else modalities == ["audio"],
            voice=None if output.voice is None else _voice_of(output.voice),
            output_format=None if output.format is None else _FORMATS[output.format.type],
            tools=None if asked.tools is None else _tools_of(asked.tools),
            tool_choice=None if asked.tool_choice is None else _choice_of(asked.tool_choice),
            max_output_tokens=limit if isinstance(limit, int) else None,
            metadata=asked.metadata or {},
            input=_read_input(asked.input),
            out_of_band=asked.conversation == "none",
        )
    )


def _read_input(items: Sequence[ga.InputItemShape] | None) -> tuple[Item, ...] | None:
    if items is None:
        return None
    return tuple(_read_item(item, f"response.input[{place}]") for place, item in enumerate(items))


def _read_item(shape: ga.InputItemShape, param: str) -> Item:
    if isinstance(shape, ga.ApprovalShape):
        return McpApproval(
            item_id=ItemId(shape.id),
            approval_request_id=ItemId(shape.approval_request_id),
            approve=shape.approve,
            reason=shape.reason,
        )
    if not isinstance(shape, ga.MessageShape):
        return reading.read_plain_item(shape)
    content = [(part.type, _read_part(part)) for part in shape.content]
    return reading.read_message(shape, content, _CLIENT_PARTS, param)


def _read_part(shape: ga.PartShape) -> Part:
    match shape:
        case shapes.InputAudioPart():
            return Part(PartKind.INPUT_AUDIO, shape.transcript)
        case ga.InputImagePart():
            return Part(PartKind.INPUT_IMAGE, image_url=shape.image_url, detail=shape.detail)
        case _:
            return Part(PartKind(shape.type), shape.text)


_READERS: Mapping[SessionKind, Mapping[str, Callable[[GaWire, WireObject], c.Command]]] = {
    SessionKind.TRANSCRIPTION: {
        "session.update": GaWire.read_update,
        "input_audio_buffer.append": GaWire.read_append,
        **reading.INPUT_READERS,
    },
    SessionKind.REALTIME: {
        "session.update": GaWire.read_update,
        "input_audio_buffer.append": GaWire.read_append,
        **reading.INPUT_READERS,
        "conversation.item.create": _read_item_create,
        "response.create": _read_response_create,
        **reading.TALK_READERS,
    },
}
