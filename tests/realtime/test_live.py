"""The Live dialect before the official types: what is said, what is read, what is not there."""

import json
import typing
from dataclasses import replace

import pytest
from openai.types.live.session_config import SessionConfig as OfficialSession

from bridge.errors import ProtocolError
from bridge.realtime import commands as say
from bridge.realtime import duplex_events as duplex
from bridge.realtime import events
from bridge.realtime.confirmed import Harm
from bridge.realtime.event_values import Usage
from bridge.realtime.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    McpApproval,
    Message,
    PartKind,
    Role,
)
from bridge.realtime.live import TABLES, LiveDialect
from bridge.realtime.live_session import MAX_APPEND_TOKENS, MAX_INPUT_ITEMS, tokens_of
from bridge.realtime.session_config import (
    Backend,
    FunctionTool,
    McpTool,
    ResponseConfig,
    SemanticVad,
    SessionConfig,
)
from tests.realtime.official import CLASSES, Event, assert_official

LIVE = LiveDialect()
TOOL = FunctionTool("find", "Finds.", {"type": "object", "properties": {}})
FULL = SessionConfig(
    instructions="Be kind.",
    voice="marin",
    backend=Backend("gpt-5.6-luna", "Look things up.", "priority", 300),
    tools=(TOOL,),
    tool_choice="find",
    parallel_tool_calls=False,
    max_output_tokens=900,
    reasoning_effort="low",
)


def note(text: str, role: Role = Role.SYSTEM) -> Message:
    kind = PartKind.OUTPUT_TEXT if role is Role.ASSISTANT else PartKind.INPUT_TEXT
    return Message(role, (ContentPart(kind, text),))


TALK = (
    note("Where is my order?", Role.USER),
    note("It is on its way.", Role.ASSISTANT),
    FunctionCall(typing.cast("typing.Any", "call_1"), "find", "{}"),
    FunctionCallOutput(typing.cast("typing.Any", "call_1"), "nothing"),
    note("The caller pressed 1."),
)
SAID: dict[str, tuple[say.Command, str]] = {
    "full": (say.StartSession(FULL, "gpt-live-1", TALK), "session.start"),
    "small": (say.StartSession(SessionConfig(), "gpt-live-1"), "session.start"),
    "custom voice": (say.StartSession(SessionConfig(voice="voice_1"), "m"), "session.start"),
    "audio": (say.AppendAudio(b"\x01\x02" * 480), "session.input_audio.append"),
    "speak": (say.CreateResponse(ResponseConfig("Greet.")), "session.commentary.append"),
    "answer": (say.CreateResponse(), "session.commentary.append"),
    "note": (say.CreateItem(note("They know.")), "session.instructions.append"),
    "typed": (say.CreateItem(note("1", Role.USER)), "session.thinking.append"),
    "output": (say.CreateItem(TALK[3]), "response.item.create"),
    "approval": (
        say.CreateItem(
            McpApproval(approval_request_id=typing.cast("typing.Any", "m_1"), approve=True)
        ),
        "response.item.create",
    ),
    "decline": (say.DeclineDelegated("item_1"), "session.commentary.append"),
    "go on": (say.ContinueDelegated(), "response.create"),
    "end": (say.EndSession(), "session.close"),
}


def encoded(command: say.Command) -> Event:
    event: Event = json.loads(LIVE.encode(command, "cmd_1"))
    return event


def told(kind: str, **fields: object) -> events.ServerEvent:
    frame: Event = {"type": kind, "event_id": "event_1", **fields}
    assert_official("live", "server", frame)
    return LIVE.decode(json.dumps(frame))


@pytest.mark.parametrize("name", SAID)
def test_what_is_said_is_official(name: str) -> None:
    command, kind = SAID[name]
    event = encoded(command)
    assert (event["type"], event["event_id"]) == (kind, "cmd_1")
    assert_official("live", "client", event)


def test_every_command_is_said_or_has_a_reason() -> None:
    assert {type(command) for command, _ in SAID.values()} == TABLES.commands.keys()
    assert TABLES.commands.keys() | TABLES.unsaid.keys() == set(typing.get_args(say.Command))
    for kind in TABLES.unsaid:
        assert kind in LIVE.capabilities.unsayable
    with pytest.raises(ValueError, match="stops by itself"):
        LIVE.encode(say.CancelResponse())


NOT_OURS = {
    "session.input_audio.append": "reflected to sidebands",
    "session.input_audio.muted": "the bridge sends silence instead, and mutes nothing",
    "session.input_audio.unmuted": "likewise",
    "session.output_audio_fixture.playing": "no fixture is played",
    "session.output_audio_fixture.played": "likewise",
}
"""Events of the official union that no session of ours gets, beside those by their first word."""
NOT_OURS_BY_WORD = ("transport.", "decision.", "session.decision", "decision")


def test_every_event_of_the_official_types_is_read_or_has_a_reason() -> None:
    ours = {name.partition("/")[0] for name in TABLES.events}
    left = CLASSES["live", "server"].keys() - ours - NOT_OURS.keys()
    assert not {
        name
        for name in left
        if "decision" not in name and "transport" not in name and "fixture" not in name
    }


SETTABLE = {"model", "instructions", "audio", "delegation", "input"}
NOT_SETTABLE = {
    "client": "for a browser's data channel: no WebSocket of ours has one",
    "safety_identifier": "an arm's header says it (OpenAI-Safety-Identifier)",
    "store": "recordings are the operator's own, here",
    "triggers": "of Decisions, which the bridge does not follow",
}


def test_every_field_of_the_official_session_is_settable_or_has_a_reason() -> None:
    assert OfficialSession.model_fields.keys() == SETTABLE | NOT_SETTABLE.keys()


def test_the_talk_is_given_as_messages_and_the_oldest_give_way() -> None:
    session = encoded(say.StartSession(FULL, "m", TALK))["session"]
    assert [each["role"] for each in session["input"]] == [
        *("user", "assistant", "developer", "developer", "developer")
    ]
    long = tuple(note(f"turn {number} " + "x" * 400, Role.USER) for number in range(300))
    kept = encoded(say.StartSession(FULL, "m", long))["session"]["input"]
    assert len(kept) <= MAX_INPUT_ITEMS
    assert kept[-1]["content"][0]["text"].startswith("turn 299 ")
    assert sum(tokens_of(each["content"][0]["text"]) for each in kept) <= 8_192


def test_what_is_appended_is_cut_at_the_limit_of_an_append() -> None:
    text = encoded(say.CreateItem(note("wörter über wörter " * 400)))["content"]
    assert 0 < tokens_of(text) <= MAX_APPEND_TOKENS
    assert encoded(say.CreateItem(note("x" * 9_000)))["content"]


def test_what_live_has_no_word_for_is_named_with_its_reason() -> None:
    config = SessionConfig(speed=1.2, turn_detection=SemanticVad(), tools=(TOOL,))
    why = LIVE.unsupported(config)
    assert "backend" in why["tools"]
    assert why.keys() == {"speed", "turn_detection", "tools"}
    assert LIVE.unsupported(FULL) == {}
    with_server = replace(FULL, tools=(TOOL, McpTool("crm")), max_output_tokens="inf")
    assert LIVE.unsupported(with_server).keys() == {"tools[1]", "max_output_tokens"}
    assert encoded(say.StartSession(with_server, "m")) == encoded(
        say.StartSession(replace(FULL, max_output_tokens=None), "m")
    )


def test_session_that_is_confirmed_with_another_voice_is_heard_to_differ() -> None:
    asked = encoded(say.StartSession(FULL, "gpt-live-1"))["session"]
    asked["audio"]["output"]["voice"] = "cedar"
    frame = {"type": "session.started", "session": {"id": "s_1", "expires_at": 9, **asked}}
    event = LIVE.decode(json.dumps(frame))
    assert isinstance(event, events.SessionCreated)
    assert (event.session.session_id, event.session.expires_at_s) == ("s_1", 9)
    assert [(d.field, d.harm) for d in LIVE.differences(FULL, event.session)] == [
        ("voice", Harm.HEARD)
    ]


def test_voice_is_read_the_short_way_and_the_long_one() -> None:
    for times in (1, 400):
        frame = {"type": "session.output_audio.delta", "delta": "AQID" * times}
        assert_official("live", "server", frame)
        assert LIVE.decode(json.dumps(frame)) == duplex.VoiceDelta(b"\x01\x02\x03" * times)
    with pytest.raises(ProtocolError) as caught:
        LIVE.decode('{"type":"session.output_audio.delta","delta":"!"}')
    assert caught.value.loses_audio


def test_words_endings_and_use_are_read() -> None:
    span = {"start_ms": 200, "end_ms": 400}
    heard = told("session.input_transcript.delta", delta=" yes", **span)
    assert heard == duplex.CallerTranscriptDelta(" yes", 200, 400, event_id="event_1")
    said = told("session.output_transcript.delta", delta=" no", **span)
    assert said == duplex.VoiceTranscriptDelta(" no", 200, 400, event_id="event_1")
    used = told("session.usage.updated", usage={"seconds": 15.5})
    assert used == duplex.SessionTimeUsed(15.5, event_id="event_1")
    frame = {"type": "session.closed", "reason": "expired", "usage": {"seconds": 60.0}}
    assert LIVE.decode(json.dumps(frame)) == duplex.SessionClosed("expired", 60.0)


def test_error_names_our_command() -> None:
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "no"}
    event = told("error", error={**error, "client_event_id": "cmd_3"})
    assert isinstance(event, events.ErrorReported)
    assert (event.error.code, event.error.client_event_id) == ("invalid_value", "cmd_3")


def nested(event: Event, delegation: str | None = "item_1") -> events.ServerEvent:
    frame = {"type": "response.event", "delegation_id": delegation, "event": event}
    return LIVE.decode(json.dumps(frame))


def test_backend_is_read_through_its_envelope() -> None:
    created = nested({"type": "response.created", "response": {"id": "resp_1"}})
    assert isinstance(created, duplex.DelegatedCreated)
    assert (created.response_id, created.delegation_id) == ("resp_1", "item_1")
    call = {"type": "function_call", "call_id": "c_1", "name": "find", "arguments": "{}"}
    done = nested({"type": "response.output_item.done", "item": call}, None)
    assert isinstance(done, duplex.DelegatedItemDone)
    assert isinstance(done.item, FunctionCall)
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 3,
        "total_tokens": 12,
    }
    ended = nested({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}})
    assert isinstance(ended, duplex.DelegatedDone)
    assert ended.usage == Usage(input_text=9, cached_text=4, output_text=3, total=12)
    failed = nested(
        {"type": "response.failed", "response": {"id": "r", "error": {"code": "server_error"}}}
    )
    assert isinstance(failed, duplex.DelegatedDone)
    assert failed.error_code == "server_error"
    other = nested({"type": "response.output_text.delta", "delta": "x"})
    assert other == duplex.DelegatedProgressed("response.output_text.delta", "item_1")


@pytest.mark.parametrize("inner", [None, 3, [], {}, {"type": 7}, {"type": "response.completed"}])
def test_envelope_without_sense_is_a_protocol_error(inner: object) -> None:
    with pytest.raises(ProtocolError):
        LIVE.decode(json.dumps({"type": "response.event", "event": inner}))
