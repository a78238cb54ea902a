"""Beta settings become GA settings that a strict server takes (`PROTOCOL.md` sections 4 and 9)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ConfigError
from bridge.realtime.conversion import convert_session
from bridge.simulator import beta_shapes, ga_shapes
from tests.realtime.official import assert_official

Json = dict[str, Any]  # Any: JSON

BETA: Json = {
    "modalities": ["text", "audio"],
    "model": "gpt-4o-realtime-preview",
    "instructions": "Be kind.",
    "voice": "sage",
    "speed": 1.1,
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.6,
        "prefix_padding_ms": 200,
        "silence_duration_ms": 400,
        "create_response": True,
    },
    "tools": [
        {
            "type": "function",
            "name": "look_up",
            "description": "Finds an order.",
            "parameters": {"type": "object"},
        }
    ],
    "tool_choice": "look_up",
    "temperature": 0.8,
    "max_response_output_tokens": 500,
    "tracing": "auto",
}
"""Every field that the beta has."""

GA: Json = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "Be kind.",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "whisper-1", "language": "en"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": BETA["turn_detection"],
        },
        "output": {"voice": "sage", "speed": 1.1, "format": {"type": "audio/pcm", "rate": 24000}},
    },
    "tools": BETA["tools"],
    "tool_choice": {"type": "function", "name": "look_up"},
    "max_output_tokens": 500,
    "tracing": "auto",
}


def dropped(content: Json) -> dict[str, str]:
    changes = convert_session(content).changes
    return {change.beta: change.why for change in changes if change.ga is None}


def test_every_field_of_the_beta_goes_where_the_mapping_says() -> None:
    converted = convert_session(BETA)
    assert converted.content == GA
    moves = {change.beta: change.ga for change in converted.changes}
    assert moves == {
        "(none)": "session.type",
        "session.modalities": "session.output_modalities",
        "session.model": None,
        "session.voice": "session.audio.output.voice",
        "session.speed": "session.audio.output.speed",
        "session.input_audio_format": "session.audio.input.format",
        "session.output_audio_format": "session.audio.output.format",
        "session.input_audio_transcription": "session.audio.input.transcription",
        "session.input_audio_noise_reduction": "session.audio.input.noise_reduction",
        "session.turn_detection": "session.audio.input.turn_detection",
        "session.tool_choice": "session.tool_choice",
        "session.temperature": None,
        "session.max_response_output_tokens": "session.max_output_tokens",
    }


def test_no_field_of_the_beta_is_unknown_to_the_converter() -> None:
    shapes = (beta_shapes.ClientSecretShape, beta_shapes.TranscriptionSessionShape)
    fields = sorted({name for shape in shapes for name in shape.model_fields})
    assert len(fields) > 10
    assert [field for field in fields if not is_known(field)] == []
    assert not is_known("nonsense")


def is_known(field: str) -> bool:
    try:
        why = dropped({field: None}).values()
    except ConfigError as error:  # a null where a value is needed
        return f"session.{field} is not" in str(error)
    return "no dialect" not in " ".join(why)


def test_event_stays_an_event() -> None:
    event = {"type": "session.update", "event_id": "e1", "session": {"instructions": "x"}}
    assert convert_session(event).content == {
        "type": "session.update",
        "event_id": "e1",
        "session": {"type": "realtime", "instructions": "x"},
    }


def test_transcription_session_is_an_update_of_its_own_kind_without_output() -> None:
    session = {"input_audio_format": "pcm16", "turn_detection": None, "modalities": ["text"]}
    event = {"type": "transcription_session.update", "session": session}
    content = convert_session(event).content
    assert content == {
        "type": "session.update",
        "session": {
            "type": "transcription",
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None}
            },
        },
    }
    assert dropped(event) == {"session.modalities": "a session that transcribes has no output"}


def test_claims_in_circulation_are_answered() -> None:
    session = {
        "mcp_servers": True,
        "image_input": True,
        "async_functions": True,
        "turn_detection": {
            "type": "server_vad",
            "prefix_padding": 1,
            "silence_duration": 2,
            "create_response": False,
        },
    }
    content = convert_session(session).content
    assert content == {
        "type": "realtime",
        "audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}},
    }
    told = dropped(session)
    assert told["session.turn_detection.prefix_padding"].startswith(
        "the field is prefix_padding_ms"
    )
    assert told["session.turn_detection.silence_duration"].startswith(
        "the field is silence_duration_ms"
    )
    assert "entry of `tools`" in told["session.mcp_servers"]
    assert len(told) == 5


@pytest.mark.parametrize(
    ("session", "place"),
    [
        ({"voice": 3}, "session.voice"),
        ({"modalities": ["audio", "video"]}, "session.modalities"),
        ({"input_audio_format": "opus"}, "session.input_audio_format"),
        ({"speed": 2}, "session.speed"),
        ({"turn_detection": {"type": "server_vad", "threshold": True}}, "threshold"),
        ({"turn_detection": {"type": "loudness"}}, "session.turn_detection.type"),
        ({"tools": [{"type": "function"}]}, "session.tools[0].name"),
        ({"tools": {}}, "session.tools"),
        ({"max_response_output_tokens": 0}, "session.max_response_output_tokens"),
        ({"type": "realtime", "audio": {}}, "GA form already"),
        ([], "the file's content"),
        ({"type": "session.update"}, "session"),
    ],
)
def test_what_no_beta_server_would_take_is_refused_with_its_place(session: Any, place: str) -> None:
    with pytest.raises(ConfigError, match=place.replace("[", r"\[")):
        convert_session(session)


formats = st.sampled_from(["pcm16", "g711_ulaw", "g711_alaw"])
words = st.text("abcdefghij_", min_size=1, max_size=12)
flags = st.booleans()
vads = (
    st.none()
    | st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={
            "threshold": st.floats(0, 1),
            "prefix_padding_ms": st.integers(0, 10_000),
            "silence_duration_ms": st.integers(0, 60_000),
            "create_response": flags,
            "interrupt_response": flags,
        },
    )
    | st.fixed_dictionaries(
        {"type": st.just("semantic_vad")},
        optional={
            "eagerness": st.sampled_from(["low", "medium", "high", "auto"]),
            "create_response": flags,
            "interrupt_response": flags,
        },
    )
)
tools = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function"), "name": words},
        optional={
            "description": st.text(max_size=20),
            "parameters": st.just({"type": "object", "properties": {}}),
        },
    ),
    max_size=3,
)
inputs: dict[str, st.SearchStrategy[Any]] = {
    "input_audio_format": formats,
    "input_audio_transcription": st.none()
    | st.fixed_dictionaries({"model": words}, optional={"language": words, "prompt": words}),
    "input_audio_noise_reduction": st.none()
    | st.fixed_dictionaries({"type": st.sampled_from(["near_field", "far_field"])}),
    "turn_detection": vads,
    "modalities": st.sampled_from([["text"], ["text", "audio"], ["audio", "text"]]),
}
talk: dict[str, st.SearchStrategy[Any]] = {
    **inputs,
    "model": words,
    "instructions": st.text(max_size=30),
    "voice": st.sampled_from(["alloy", "ash", "ballad", "coral", "echo", "sage", "verse"]),
    "output_audio_format": formats,
    "speed": st.floats(0.25, 1.5),
    "tools": tools,
    "tool_choice": st.sampled_from(["auto", "none", "required"]) | words,
    "temperature": st.floats(0.6, 1.2),
    "max_response_output_tokens": st.integers(1, 4096) | st.just("inf"),
    "tracing": st.none() | st.just("auto") | st.just({"workflow_name": "w"}),
}
anything = st.recursive(
    st.none() | flags | st.integers(-10, 10) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
junk = st.dictionaries(st.sampled_from(["foo", "mcp_servers", "id", "expires_at"]), anything)


@given(st.fixed_dictionaries({}, optional=talk))
def test_what_the_beta_takes_is_taken_by_ga(session: Json) -> None:
    beta_shapes.SessionShape.model_validate(session)
    content = convert_session(session).content
    ga_shapes.SessionShape.model_validate(content)
    assert_official("ga", "client", {"type": "session.update", "session": content})


@given(st.fixed_dictionaries({}, optional=inputs))
def test_what_the_beta_transcribes_is_taken_by_ga(session: Json) -> None:
    event = {"type": "transcription_session.update", "session": session}
    ga_shapes.TranscriptionUpdate.model_validate(convert_session(event).content)


@given(st.fixed_dictionaries({}, optional=talk), junk)
def test_what_no_dialect_knows_is_told_and_left_out(session: Json, strange: Json) -> None:
    converted = convert_session({**session, **strange})
    assert converted.content == convert_session(session).content
    told = {change.beta for change in converted.changes if change.ga is None}
    assert {f"session.{key}" for key in strange} <= told


@given(st.dictionaries(st.sampled_from([*BETA, "include"]), anything, max_size=4))
def test_any_json_is_converted_or_refused(session: Json) -> None:
    try:
        content = convert_session(session).content
    except ConfigError:
        return
    assert content["type"] == "realtime"
