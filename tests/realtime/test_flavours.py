"""Flavours as data: what a server is asked and told, and what is made of what it says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.realtime.commands import (
    AppendAudio,
    CreateItem,
    CreateResponse,
    ProbeSession,
    UpdateSession,
)
from bridge.realtime.dialects import DIALECTS, dialect_of
from bridge.realtime.events import (
    AudioDelta,
    ConversationCreated,
    ItemAdded,
    QuietEvent,
    ResponseDone,
    ServerEvent,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TranscriptDone,
    UnknownEvent,
)
from bridge.realtime.flavour import without
from bridge.realtime.flavours import FLAVOURS
from bridge.realtime.ids import ItemId, ToolCallId
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.session_config import (
    FunctionTool,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Transcription,
)

Wire = dict[str, Any]  # Any: JSON

CONFIG = SessionConfig(
    instructions="Be kind.",
    voice="eve",
    speed=1.1,
    transcription=Transcription("w-1", "en", keywords=("Northwind",)),
    noise_reduction="near_field",
    turn_detection=ServerVad(0.5, 300, 500, create_response=False, interrupt_response=False),
    tools=(FunctionTool("look", "Looks.", {"type": "object"}),),
    tool_choice="auto",
    max_output_tokens=700,
    temperature=0.7,
    tracing="auto",
    switched_off=frozenset({"tracing"}),
)
COMMANDS = (
    UpdateSession(CONFIG),
    UpdateSession(replace(CONFIG, turn_detection=SemanticVad("low"))),
    ProbeSession(),
    CreateResponse(),
    AppendAudio(bytes(8)),
    CreateItem(FunctionCallOutput(ToolCallId("call_1"), "{}")),
)


def spoken_by(flavour: str) -> str:
    return next(iter(FLAVOURS[flavour].dialects), "ga")


def sent(flavour: str, command: Any, dialect: str = "") -> Wire:  # Any: one of the union
    spoken = dialect or spoken_by(flavour)
    frame: Wire = json.loads(dialect_of(spoken, flavour).encode(command, "cmd_1"))
    return frame


def read(flavour: str, **event: object) -> ServerEvent:
    spoken = spoken_by(flavour)
    return dialect_of(spoken, flavour).decode(json.dumps(event))


@pytest.mark.parametrize("name", list(DIALECTS))
@pytest.mark.parametrize("command", COMMANDS)
def test_the_default_changes_not_a_byte(name: str, command: Any) -> None:
    plain = DIALECTS[name]()
    if type(command) in plain.capabilities.unsayable:
        with pytest.raises(ValueError, match="Live"):
            dialect_of(name, "openai").encode(command, "cmd_1")
        return
    assert dialect_of(name, "openai").encode(command, "cmd_1") == plain.encode(command, "cmd_1")
    assert dialect_of(name, "azure").encode(command, "cmd_1") == plain.encode(command, "cmd_1")


def test_xai_has_voice_and_turns_on_top_and_is_asked_nothing_that_it_lacks() -> None:
    assert sent("xai", UpdateSession(CONFIG))["session"] == {
        "instructions": "Be kind.",
        "voice": "eve",
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
        },
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"language_hint": "en", "keyterms": ["Northwind"]},
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.1},
        },
        "tools": [
            {
                "type": "function",
                "name": "look",
                "description": "Looks.",
                "parameters": {"type": "object"},
            }
        ],
    }
    assert sent("xai", ProbeSession())["session"] == {}


def test_qwen_has_the_betas_shape_with_words_of_its_own_and_no_header_of_the_betas() -> None:
    session = sent("qwen", UpdateSession(CONFIG))["session"]
    assert (session["input_audio_format"], session["output_audio_format"]) == ("pcm", "pcm")
    assert session["tools"] == [
        {
            "type": "function",
            "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}},
        }
    ]
    assert session["max_tokens"] == 700
    assert session["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "silence_duration_ms": 500,
    }
    unknown = {"tool_choice", "speed", "tracing", "input_audio_noise_reduction"}
    assert not unknown & session.keys()
    assert dialect_of("beta", "qwen").handshake_headers() == {}
    assert dialect_of("beta", "azure").handshake_headers() == {"OpenAI-Beta": "realtime=v1"}


def test_vllm_omni_is_asked_in_the_words_that_it_documents() -> None:
    session = sent("vllm-omni", UpdateSession(replace(CONFIG, model="m")))["session"]
    assert session["model"] == "m"
    assert session["voice"] == "eve"
    assert session["input_audio_transcription"] == {"model": "w-1", "language": "en"}
    assert session["max_response_output_tokens"] == 700
    assert session["temperature"] == 0.7
    assert session["audio"].keys() == {"input", "output"}
    assert session["audio"]["input"].keys() == {"format"}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            Message(Role.SYSTEM, (ContentPart(PartKind.INPUT_TEXT, "The line is back."),)),
            "(Note to the agent) The line is back.",
        ),
        (
            Message(Role.ASSISTANT, (ContentPart(PartKind.OUTPUT_TEXT, "On Monday."),)),
            "(The agent said) On Monday.",
        ),
        (
            FunctionCall(ToolCallId("c"), "look", '{"x": 1}'),
            '(The agent called the function look) {"x": 1}',
        ),
        (
            Message(Role.USER, (ContentPart(PartKind.INPUT_TEXT, "Where is it?"),)),
            "Where is it?",
        ),
    ],
)
def test_talk_that_is_given_back_is_the_users_where_nobody_elses_is_taken(
    item: Item, words: str
) -> None:
    created = sent("vllm-omni", CreateItem(item))["item"]
    assert (created["type"], created["role"]) == ("message", "user")
    assert created["content"] == [{"type": "input_text", "text": words}]


def test_every_setting_that_is_not_sent_is_named_with_its_reason() -> None:
    named = dialect_of("beta", "qwen").unsupported(CONFIG)
    assert named["turn_detection.create_response"].startswith("it answers each")
    assert {"speed", "tool_choice", "transcription.keywords"} <= named.keys()
    semantic = replace(CONFIG, turn_detection=SemanticVad())
    assert "turn_detection" in dialect_of("ga", "xai").unsupported(semantic)
    assert "turn_detection" not in sent("xai", UpdateSession(semantic))["session"]
    assert "temperature" not in dialect_of("ga", "inworld").unsupported(CONFIG)
    assert "temperature" in dialect_of("ga", "localai").unsupported(CONFIG)


def test_what_a_server_confirms_is_read_at_its_own_places_and_compared() -> None:
    dialect = dialect_of("ga", "xai")
    event = read(
        "xai",
        type="session.updated",
        session={
            "id": "sess_1",
            "voice": "ara",
            "turn_detection": {"type": "server_vad", "threshold": 0.5},
            "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}},
        },
    )
    assert isinstance(event, SessionUpdated)
    assert [each.field for each in dialect.differences(CONFIG, event.session)] == ["voice"]
    nested = {"type": "function", "function": {"name": "other"}}
    event = read(
        "qwen",
        type="session.updated",
        session={"id": "sess_1", "input_audio_format": "wav", "tools": [nested]},
    )
    assert isinstance(event, SessionUpdated)
    found = dialect_of("beta", "qwen").differences(CONFIG, event.session)
    assert [each.field for each in found] == ["input_format", "tools"]


def test_server_that_confirms_less_differs_in_nothing() -> None:
    event = read("localai", type="session.updated", session={"id": "s", "audio": {"input": {}}})
    assert isinstance(event, SessionUpdated)
    assert dialect_of("ga", "localai").differences(CONFIG, event.session) == ()


def test_pings_and_events_without_their_content_say_nothing_of_the_talk() -> None:
    assert read("xai", type="ping", timestamp=1) == QuietEvent("ping")
    assert isinstance(read("openai", type="ping", timestamp=1), UnknownEvent)
    item = {"response_id": "r", "item_id": "i"}
    done = "response.output_audio_transcript.done"
    assert read("xai", type=done, **item) == QuietEvent(done)
    assert isinstance(read("xai", type=done, transcript="Hi.", **item), TranscriptDone)
    args = "response.function_call_arguments.done"
    assert read("xai", type=args, call_id="c", name="n", arguments="{}") == QuietEvent(args)
    message = {"id": "i", "type": "message", "role": "user", "content": []}
    twin = "conversation.item.created"
    assert read("vllm-omni", type=twin, item=message) == QuietEvent(twin)
    assert isinstance(read("openai", type=twin, item=message), ItemAdded)


def test_speech_may_come_without_its_time_and_without_its_item() -> None:
    started = read("xai", type="input_audio_buffer.speech_started", item_id="i")
    assert started == SpeechStarted(ItemId("i"), None)
    stopped = read("localai", type="input_audio_buffer.speech_stopped", item_id="")
    assert stopped == SpeechStopped(ItemId(""), None)


def test_session_may_begin_with_its_conversation() -> None:
    event = read("xai", type="conversation.created", conversation={"id": "conv_1"})
    assert event == ConversationCreated("conv_1")
    assert type(event) in FLAVOURS["xai"].opens_with


def test_usage_is_counted_by_qwens_names() -> None:
    usage = {"total_tokens": 30, "input_tokens_details": {"audio_tokens": 20}}
    usage["output_tokens_details"] = {"audio_tokens": 8, "text_tokens": 2}
    event = read(
        "qwen", type="response.done", response={"id": "r", "status": "completed", "usage": usage}
    )
    assert isinstance(event, ResponseDone)
    assert event.usage is not None
    counted = (event.usage.input_audio, event.usage.output_audio, event.usage.output_text)
    assert counted == (20, 8, 2)


def test_audio_is_read_as_ever() -> None:
    text = "AAAA" * 400
    body = {"response_id": "r", "item_id": "i", "delta": text}
    for flavour, kind in (("xai", "response.output_audio.delta"), ("qwen", "response.audio.delta")):
        event = read(flavour, type=kind, **body)
        assert isinstance(event, AudioDelta)
        assert len(event.audio) == 1200


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("voice", replace(CONFIG, voice=None)),
        ("transcription.keywords", replace(CONFIG, transcription=Transcription("w-1", "en"))),
        ("transcription.model", CONFIG),
        ("turn_detection.eagerness", CONFIG),
        ("no_such_field", CONFIG),
    ],
)
def test_setting_is_left_out_by_its_path(path: str, left: SessionConfig) -> None:
    assert without(CONFIG, path) == left
