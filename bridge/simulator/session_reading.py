"""Reads session and response objects of either dialect, once they have their shape."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from bridge.realtime.items import Item
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
from bridge.simulator import beta_shapes as beta
from bridge.simulator import ga_shapes as ga
from bridge.simulator import shapes
from bridge.simulator.dialects import DIALECTS, DialectTable

_FORMATS: Mapping[object, AudioFormat] = {
    written["type"] if isinstance(written, dict) else written: audio_format
    for dialect in DIALECTS.values()
    for audio_format, written in dialect.formats.items()
}


def at_place(shape: object, place: str) -> Any:  # Any: its shape has checked what stands there
    """Return what stands under keys with dots between them; None where one is missing."""
    for key in place.split("."):
        shape = getattr(shape, key, None)
    return shape


def read_session(session: BaseModel, dialect: DialectTable, kind: SessionKind) -> SessionConfig:
    """Return a session's settings."""
    places = dialect.places
    transcription = at_place(session, places.transcription)
    heard = SessionConfig(
        input_format=_format_of(at_place(session, places.input_format)),
        transcription=(
            Transcription(transcription.model or "", transcription.language, transcription.prompt)
            if transcription
            else None
        ),
        turn_detection=_detection_of(at_place(session, places.turn_detection)),
    )
    if kind is SessionKind.TRANSCRIPTION:
        return replace(heard, kind=kind, turn_detection=_without_answers(heard.turn_detection))
    limit = at_place(session, places.limit)
    return replace(
        heard,
        instructions=at_place(session, "instructions"),
        voice=_voice_of(at_place(session, places.voice)),
        speed=at_place(session, places.speed),
        output_audio="audio" in at_place(session, places.modalities),
        output_format=_format_of(at_place(session, places.output_format)),
        tools=_tools_of(at_place(session, "tools")),
        tool_choice=_choice_of(at_place(session, "tool_choice")),
        max_output_tokens=limit if isinstance(limit, int) else None,
        temperature=at_place(session, "temperature"),
    )


def read_response(
    asked: beta.ResponseShape | ga.ResponseShape,
    dialect: DialectTable,
    items: tuple[Item, ...] | None,
) -> ResponseConfig:
    """Return what a response is asked to be.

    Args:
        items: that it is to be made from; None: the conversation.
    """
    places = dialect.places
    modalities, given = at_place(asked, places.modalities), at_place(asked, places.output_format)
    voice, tools = at_place(asked, places.voice), asked.tools
    limit = at_place(asked, places.limit) or asked.max_output_tokens
    return ResponseConfig(
        instructions=asked.instructions,
        output_audio=None if modalities is None else "audio" in modalities,
        voice=None if voice is None else _voice_of(voice),
        output_format=None if given is None else _format_of(given),
        tools=None if tools is None else _tools_of(tools),
        tool_choice=_choice_of(asked.tool_choice),
        temperature=at_place(asked, "temperature"),
        max_output_tokens=limit if isinstance(limit, int) else None,
        metadata=asked.metadata or {},
        input=items,
        out_of_band=asked.conversation == "none",
    )


def _format_of(written: str | ga.Format) -> AudioFormat:
    return _FORMATS[written if isinstance(written, str) else written.type]


def _voice_of(voice: str | ga.CustomVoice) -> str:
    return voice if isinstance(voice, str) else voice.id


def _detection_of(
    shape: beta.ServerVadShape | ga.ServerVadShape | shapes.SemanticVadShape | None,
) -> TurnDetection:
    match shape:
        case None:
            return ManualTurns()
        case shapes.SemanticVadShape():
            return SemanticVad(shape.eagerness, shape.create_response, shape.interrupt_response)
        case _:
            return ServerVad(**shape.model_dump(exclude={"type"}))


def _without_answers(detection: TurnDetection | None) -> TurnDetection | None:
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


def _tools_of(tools: Sequence[shapes.FunctionShape | ga.McpShape]) -> tuple[Tool, ...]:
    return tuple(
        FunctionTool(each.name, each.description or "", each.parameters)
        if isinstance(each, shapes.FunctionShape)
        else McpTool(each.server_label, each.model_dump(exclude={"type", "server_label"}))
        for each in tools
    )


def _choice_of(
    choice: str | ga.FunctionChoice | ga.McpChoice | None,
) -> str | McpToolChoice | None:
    match choice:
        case ga.FunctionChoice():
            return choice.name
        case ga.McpChoice():
            return McpToolChoice(choice.server_label, choice.name)
        case _:
            return choice
