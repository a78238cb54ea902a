"""Canonical commands to client events of both dialects, against golden lines."""

import base64
import json
import typing

import pytest

from bridge.realtime.commands import (
    AppendAudio,
    ClearOutput,
    Command,
    CommitInput,
    CreateItem,
    CreateResponse,
    UpdateSession,
)
from bridge.realtime.ga import GaDialect
from bridge.realtime.items import ContentPart, Message, OpaqueItem, PartKind, Role
from bridge.realtime.session_config import McpToolChoice, ResponseConfig, SessionConfig
from bridge.realtime.wire_rows import UNSAID
from tests.realtime import golden
from tests.realtime.examples import (
    AGENT_ITEM,
    COMMANDS,
    FULL,
    RARE,
    SMALL,
    TRANSCRIPTION,
    UNSAYABLE,
    WEATHER,
)
from tests.realtime.golden import DIALECTS
from tests.realtime.official import DialectName, Event, assert_official

GOLDEN: dict[DialectName, dict[str, Event]] = {
    name: {obj["event_id"]: obj for obj in golden.objects(name, "client")} for name in DIALECTS
}
both = pytest.mark.parametrize("name", DIALECTS)


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name in DIALECTS for example in GOLDEN[name]]
)
def test_encode_matches_golden_line(name: DialectName, example: str) -> None:
    frame = DIALECTS[name].encode(COMMANDS[example], event_id=example)
    assert json.loads(frame) == GOLDEN[name][example]


@both
def test_golden_lines_cover_every_command(name: DialectName) -> None:
    assert GOLDEN[name].keys() == COMMANDS.keys() - UNSAYABLE[name]
    covered = {type(COMMANDS[example]) for example in GOLDEN[name]}
    assert covered == set(typing.get_args(Command)) - {ClearOutput} - UNSAID.keys()


@pytest.mark.parametrize("example", sorted(UNSAYABLE["beta"]))
def test_encode_what_beta_cannot_say_is_refused(example: str) -> None:
    with pytest.raises(ValueError, match="creat"):
        DIALECTS["beta"].encode(COMMANDS[example])


@both
def test_encode_without_event_id_has_none(name: DialectName) -> None:
    encode = DIALECTS[name].encode
    assert json.loads(encode(CommitInput())) == {"type": "input_audio_buffer.commit"}
    assert "event_id" not in json.loads(encode(AppendAudio(b"ab")))
    assert "event_id" not in json.loads(encode(UpdateSession(SMALL)))


@both
def test_encode_append_escapes_the_event_id(name: DialectName) -> None:
    frame = json.loads(DIALECTS[name].encode(AppendAudio(b"\x00\x01" * 480), event_id='a"b\\c'))
    assert frame["event_id"] == 'a"b\\c'
    assert base64.b64decode(frame["audio"], validate=True) == b"\x00\x01" * 480


@both
def test_encode_clear_output_is_refused(name: DialectName) -> None:
    with pytest.raises(ValueError, match="WebRTC"):
        DIALECTS[name].encode(ClearOutput())


@both
@pytest.mark.parametrize(
    "item",
    [
        Message(Role.ASSISTANT, (ContentPart(PartKind.OUTPUT_AUDIO, text="Hello."),)),
        Message(Role.USER, (ContentPart(PartKind.INPUT_AUDIO, text="Hello."),)),
        OpaqueItem("mcp_list_tools", AGENT_ITEM),
    ],
)
def test_encode_item_that_no_client_can_create(
    name: DialectName, item: Message | OpaqueItem
) -> None:
    with pytest.raises(ValueError, match="creat") as caught:
        DIALECTS[name].encode(CreateItem(item))
    assert "Hello" not in str(caught.value)


@both
def test_encode_not_a_number_is_refused(name: DialectName) -> None:
    with pytest.raises(ValueError, match="JSON"):
        DIALECTS[name].encode(UpdateSession(SessionConfig(speed=float("nan"))))


def test_encode_bare_truncation_ratio_is_a_retention_ratio() -> None:
    frame = json.loads(DIALECTS["ga"].encode(UpdateSession(SessionConfig(truncation=0.8))))
    wanted = {"type": "retention_ratio", "retention_ratio": 0.8}
    assert frame["session"]["truncation"] == wanted


def test_ga_lacks_only_the_temperature() -> None:
    ga = DIALECTS["ga"]
    assert [*ga.unsupported(FULL)] == ["temperature"]
    assert ga.unsupported(SMALL) == {}
    assert ga.unsupported(RARE) == {}


def test_ga_server_that_takes_a_temperature_gets_it() -> None:
    takes = GaDialect(["temperature"])
    assert takes.unsupported(FULL) == {}
    told = json.loads(takes.encode(UpdateSession(FULL)))["session"]
    without = json.loads(DIALECTS["ga"].encode(UpdateSession(FULL)))["session"]
    assert told == {**without, "temperature": FULL.temperature}


@both
def test_each_dropped_field_has_its_reason(name: DialectName) -> None:
    for config in (FULL, RARE, SMALL, TRANSCRIPTION, SessionConfig(tools=(WEATHER,))):
        assert all(len(why) > 20 for why in DIALECTS[name].unsupported(config).values())


OFF = frozenset({"noise_reduction", "transcription", "tracing"})


@both
def test_what_is_switched_off_is_null_and_what_is_not_set_is_absent(name: DialectName) -> None:
    plain = json.loads(DIALECTS[name].encode(UpdateSession(SessionConfig())))["session"]
    event = json.loads(DIALECTS[name].encode(UpdateSession(SessionConfig(switched_off=OFF))))
    assert_official(name, "client", event)
    places = {
        "ga": ("audio.input.noise_reduction", "audio.input.transcription", "tracing"),
        "beta": ("input_audio_noise_reduction", "input_audio_transcription", "tracing"),
    }
    session = event["session"]
    for place in places[name]:
        *above, last = place.split(".")
        holder, before = session, plain
        for key in above:
            holder, before = holder[key], before[key]
        assert holder.pop(last) is None
        assert last not in before
    assert session == plain


@both
def test_limit_of_the_model_is_asked_for_by_its_word(name: DialectName) -> None:
    event = json.loads(DIALECTS[name].encode(UpdateSession(SessionConfig(max_output_tokens="inf"))))
    assert_official(name, "client", event)
    assert "inf" in event["session"].values()


def test_beta_names_what_came_with_ga() -> None:
    beta = DIALECTS["beta"]
    assert set(beta.unsupported(FULL)) == {
        "turn_detection.idle_timeout_ms",
        "tools[1]",
        "reasoning_effort",
        "parallel_tool_calls",
        "truncation",
        "include",
    }
    assert set(beta.unsupported(RARE)) == {
        "voice",
        "transcription.languages",
        "transcription.keywords",
        "transcription.delay",
        "noise_reduction_strength",
        "tool_choice",
        "truncation",
        "prompt",
    }
    assert [*beta.unsupported(SMALL)] == ["truncation"]
    assert beta.unsupported(SessionConfig()) == {}


def test_beta_names_tools_that_are_all_dropped() -> None:
    assert DIALECTS["beta"].unsupported(SessionConfig(tools=(WEATHER,))).keys() == {"tools"}


@both
def test_transcription_session_names_what_it_has_no_use_for(name: DialectName) -> None:
    assert DIALECTS[name].unsupported(TRANSCRIPTION).keys() == {"instructions"}


def test_beta_drops_from_a_response_what_came_with_ga() -> None:
    config = ResponseConfig(tools=(WEATHER,), tool_choice=McpToolChoice("weather"))
    frame = json.loads(DIALECTS["beta"].encode(CreateResponse(config)))
    assert frame["response"] == {"tools": []}


def test_handshake_names_beta_and_not_ga() -> None:
    assert DIALECTS["beta"].handshake_headers() == {"OpenAI-Beta": "realtime=v1"}
    assert DIALECTS["ga"].handshake_headers() == {}
    assert [dialect.name for dialect in DIALECTS.values()] == ["beta", "ga"]
