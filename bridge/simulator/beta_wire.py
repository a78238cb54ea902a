"""The beta dialect on the server's side: one connection's flat session, and requests read.

Requests are tables of readers, one for each kind of session (`PROTOCOL.md` sections 2, 4, 5, 6);
events are written by :mod:`bridge.simulator.beta_events`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self

from bridge.realtime import commands as c
from bridge.realtime import events as e
from bridge.realtime.items import Item, Part, PartKind, Role
from bridge.realtime.session_config import (
    AudioFormat,
    FunctionTool,
    ManualTurns,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionKind,
    Transcription,
    TurnDetection,
)
from bridge.simulator import beta_shapes as beta
from bridge.simulator import reading, shapes
from bridge.simulator.beta_events import write_event
from bridge.simulator.dialect_wire import DialectWire
from bridge.simulator.refusal import refuse
from bridge.simulator.server_events import SessionState
from bridge.simulator.wire import Identity, WireObject

_FORMATS = {
    "pcm16": AudioFormat.PCM_24KHZ,
    "g711_ulaw": AudioFormat.PCMU,
    "g711_alaw": AudioFormat.PCMA,
}
_CLIENT_PARTS = {
    Role.SYSTEM: frozenset({"input_text"}),
    Role.USER: frozenset({"input_text", "input_audio"}),
    Role.ASSISTANT: frozenset({"text"}),
}

# A session that only transcribes takes these two and does not show them.
_ABOUT_RESPONSES = {"create_response", "interrupt_response"}

_Session = beta.SessionShape | beta.TranscriptionSessionShape


class BetaWire(DialectWire[_Session]):
    """One beta connection.

    Args:
        settings: what the session begins with beside the server's defaults, as in the request for
            its token; already checked.
    """

    def __init__(self, identity: Identity, settings: WireObject | None = None) -> None:
        given = settings or {}
        session: _Session
        if identity.kind is SessionKind.TRANSCRIPTION:
            session = beta.TranscriptionSessionShape.model_validate(given)
        else:
            session = beta.SessionShape.model_validate({**given, "model": identity.model})
        super().__init__(identity, session)

    def read_update(self, event: WireObject) -> c.Command:
        """Lay a ``session.update`` over the session, whole or not at all."""
        old = self._current
        if not isinstance(old, beta.SessionShape):
            raise _wrong_update("realtime", "transcription")
        asked = beta.SessionUpdate.model_validate(event).session
        changed = old.model_copy(
            update={key: getattr(asked, key) for key in asked.model_fields_set}
        )
        self._check_fixed(
            same_model=changed.model == old.model,
            same_voice=changed.voice == old.voice,
            voice="session.voice",
        )
        self._take(changed)
        return c.UpdateSession(self._config)

    def read_transcription_update(self, event: WireObject) -> c.Command:
        """Lay a ``transcription_session.update`` over the session, whole or not at all."""
        old = self._current
        if not isinstance(old, beta.TranscriptionSessionShape):
            raise _wrong_update("transcription", "realtime")
        asked = beta.TranscriptionUpdate.model_validate(event).session
        update = {key: getattr(asked, key) for key in asked.model_fields_set}
        self._take(old.model_copy(update=update))
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
        if isinstance(session, beta.TranscriptionSessionShape):
            return session.model_dump(exclude={"turn_detection": _ABOUT_RESPONSES})
        return session.model_dump()

    @staticmethod
    def _config_of(session: _Session) -> SessionConfig:
        return _config_of(session)


def _wrong_update(this: str, that: str) -> Exception:
    return refuse(
        "invalid_value",
        f"Passing a {this} session update event to a {that} session is not allowed.",
        "type",
    )


def _config_of(session: _Session) -> SessionConfig:
    transcription = session.input_audio_transcription
    heard = SessionConfig(
        input_format=_FORMATS[session.input_audio_format],
        transcription=(
            Transcription(transcription.model or "", transcription.language, transcription.prompt)
            if transcription
            else None
        ),
        turn_detection=_detection_of(session.turn_detection),
    )
    if isinstance(session, beta.TranscriptionSessionShape):
        return replace(
            heard,
            kind=SessionKind.TRANSCRIPTION,
            turn_detection=reading.without_answers(heard.turn_detection),
        )
    limit = session.max_response_output_tokens
    return replace(
        heard,
        instructions=session.instructions,
        voice=session.voice,
        speed=session.speed,
        output_audio="audio" in session.modalities,
        output_format=_FORMATS[session.output_audio_format],
        tools=_tools_of(session.tools),
        tool_choice=session.tool_choice,
        max_output_tokens=limit if isinstance(limit, int) else None,
        temperature=session.temperature,
    )


def _detection_of(shape: beta.ServerVadShape | shapes.SemanticVadShape | None) -> TurnDetection:
    match shape:
        case beta.ServerVadShape():
            return ServerVad(
                threshold=shape.threshold,
                prefix_padding_ms=shape.prefix_padding_ms,
                silence_duration_ms=shape.silence_duration_ms,
                create_response=shape.create_response,
                interrupt_response=shape.interrupt_response,
            )
        case shapes.SemanticVadShape():
            return SemanticVad(shape.eagerness, shape.create_response, shape.interrupt_response)
        case None:
            return ManualTurns()


def _tools_of(tools: Sequence[shapes.FunctionShape]) -> tuple[FunctionTool, ...]:
    return tuple(FunctionTool(each.name, each.description or "", each.parameters) for each in tools)


def _read_item_create(_: object, event: WireObject) -> c.Command:
    asked = beta.ItemCreate.model_validate(event)
    return c.CreateItem(_read_item(asked.item, "item"), reading.name_of(asked.previous_item_id))


def _read_response_create(_: object, event: WireObject) -> c.Command:
    asked = beta.ResponseCreate.model_validate(event).response or beta.ResponseShape()
    limit = asked.max_response_output_tokens or asked.max_output_tokens
    given = asked.output_audio_format
    return c.CreateResponse(
        ResponseConfig(
            instructions=asked.instructions,
            output_audio=None if asked.modalities is None else "audio" in asked.modalities,
            voice=asked.voice,
            output_format=None if given is None else _FORMATS[given],
            tools=None if asked.tools is None else _tools_of(asked.tools),
            tool_choice=asked.tool_choice,
            temperature=asked.temperature,
            max_output_tokens=limit if isinstance(limit, int) else None,
            metadata=asked.metadata or {},
            input=_read_input(asked.input),
            out_of_band=asked.conversation == "none",
        )
    )


def _read_input(items: Sequence[beta.InputItemShape] | None) -> tuple[Item, ...] | None:
    if items is None:
        return None
    return tuple(_read_item(item, f"response.input[{place}]") for place, item in enumerate(items))


def _read_item(shape: beta.InputItemShape, param: str) -> Item:
    if not isinstance(shape, beta.MessageShape):
        return reading.read_plain_item(shape)
    content = [(part.type, _read_part(part)) for part in shape.content]
    return reading.read_message(shape, content, _CLIENT_PARTS, param)


def _read_part(shape: beta.PartShape) -> Part:
    match shape:
        case shapes.InputAudioPart():
            return Part(PartKind.INPUT_AUDIO, shape.transcript)
        case shapes.InputTextPart():
            return Part(PartKind.INPUT_TEXT, shape.text)
        case beta.TextPart():
            return Part(PartKind.OUTPUT_TEXT, shape.text)


_READERS: Mapping[SessionKind, Mapping[str, Callable[[BetaWire, WireObject], c.Command]]] = {
    SessionKind.TRANSCRIPTION: {
        "transcription_session.update": BetaWire.read_transcription_update,
        "session.update": BetaWire.read_update,
        "input_audio_buffer.append": BetaWire.read_append,
        **reading.INPUT_READERS,
    },
    SessionKind.REALTIME: {
        "session.update": BetaWire.read_update,
        "transcription_session.update": BetaWire.read_transcription_update,
        "input_audio_buffer.append": BetaWire.read_append,
        **reading.INPUT_READERS,
        "conversation.item.create": _read_item_create,
        "response.create": _read_response_create,
        **reading.TALK_READERS,
    },
}
