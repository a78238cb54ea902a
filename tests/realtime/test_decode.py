"""What holds for decoding in every dialect."""

import json
import typing

import pytest
from pydantic import TypeAdapter

from bridge.errors import ProtocolError
from bridge.realtime import beta, ga
from bridge.realtime.commands import ContinueDelegated
from bridge.realtime.event_values import ApiError
from bridge.realtime.events import (
    ErrorReported,
    QuietEvent,
    ServerEvent,
    SessionCreated,
    SpeechStarted,
    TranscriptDelta,
    UnknownEvent,
)
from bridge.realtime.wire_rows import LIVE_ALONE, UNSAID
from bridge.realtime.wire_tables import Tables
from tests.realtime import golden
from tests.realtime.golden import DIALECTS
from tests.realtime.official import CLASSES, DialectName

TABLES: dict[DialectName, Tables] = {"beta": beta.TABLES, "ga": ga.TABLES}
SPEECH_STARTED = golden.server_line("ga", 17)
both = pytest.mark.parametrize("name", DIALECTS)
every_line = pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name in DIALECTS for line in golden.lines(name, "server")]
)


@every_line
def test_decoded_fields_have_their_declared_types(name: DialectName, line: str) -> None:
    event = DIALECTS[name].decode(line)
    for field, declared in typing.get_type_hints(type(event)).items():
        TypeAdapter(declared).validate_python(getattr(event, field), strict=True)


@both
def test_golden_lines_cover_every_wire_event_and_canonical_event(name: DialectName) -> None:
    kinds = {obj["type"] for obj in golden.objects(name, "server")}
    assert kinds == TABLES[name].events.keys()
    decoded = {type(DIALECTS[name].decode(line)) for line in golden.lines(name, "server")}
    assert decoded | TABLES[name].absent == set(typing.get_args(ServerEvent)) - {
        UnknownEvent,
        QuietEvent,
    }


@both
def test_tables_have_every_event_of_the_official_types(name: DialectName) -> None:
    # PROTOCOL.md section 3: the one event on the beta's wire that is in no SDK union.
    unlisted = {"transcription_session.created"} if name == "beta" else set()
    assert TABLES[name].events.keys() == CLASSES[name, "server"].keys() | unlisted
    said = {kind for row in TABLES[name].commands.values() for kind in row.wire_types}
    assert said == CLASSES[name, "client"].keys()


def test_tables_refuse_a_canonical_event_that_a_dialect_forgot() -> None:
    events = {kind: row for kind, row in ga.TABLES.events.items() if row.kind is not SpeechStarted}
    with pytest.raises(TypeError, match="SpeechStarted"):
        Tables(events, ga.TABLES.commands, LIVE_ALONE, UNSAID)
    Tables(events, ga.TABLES.commands, LIVE_ALONE | {SpeechStarted}, UNSAID)


def test_tables_refuse_an_event_that_is_there_and_absent() -> None:
    with pytest.raises(TypeError, match="SpeechStarted"):
        Tables(ga.TABLES.events, ga.TABLES.commands, LIVE_ALONE | {SpeechStarted}, UNSAID)


def test_tables_refuse_a_command_that_a_dialect_forgot() -> None:
    unsaid = {kind: why for kind, why in UNSAID.items() if kind is not ContinueDelegated}
    with pytest.raises(TypeError, match="ContinueDelegated"):
        Tables(ga.TABLES.events, ga.TABLES.commands, LIVE_ALONE, unsaid)


@both
def test_decode_name_of_the_other_dialect_is_unknown(name: DialectName) -> None:
    other: DialectName = "ga" if name == "beta" else "beta"
    foreign = TABLES[other].events.keys() - TABLES[name].events.keys()
    assert foreign
    for line in golden.lines(other, "server"):
        if json.loads(line)["type"] in foreign:
            assert isinstance(DIALECTS[name].decode(line), UnknownEvent)


@both
def test_decode_takes_bytes_as_well(name: DialectName) -> None:
    decode = DIALECTS[name].decode
    assert decode(SPEECH_STARTED.encode()) == decode(SPEECH_STARTED)


@both
def test_decode_unknown_type_keeps_only_type_and_size(name: DialectName) -> None:
    frame = '{"type":"response.hologram.delta","event_id":"event_1","delta":"grüße"}'
    assert DIALECTS[name].decode(frame) == UnknownEvent(
        "response.hologram.delta", len(frame.encode()), event_id="event_1"
    )


@both
def test_decode_unknown_type_is_cut(name: DialectName) -> None:
    event = DIALECTS[name].decode(json.dumps({"type": "x" * 10_000}))
    assert isinstance(event, UnknownEvent)
    assert len(event.type) == 100


@both
@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"type":7}',
        '{"type":NaN}',
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
def test_decode_what_is_no_event(name: DialectName, frame: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        DIALECTS[name].decode(frame)


@both
def test_decode_missing_field_is_called_missing(name: DialectName) -> None:
    with pytest.raises(ProtocolError, match=r"speech_started: item_id is missing"):
        DIALECTS[name].decode('{"type":"input_audio_buffer.speech_started","audio_start_ms":0}')


@pytest.mark.parametrize(("name", "number"), [("beta", 31), ("ga", 32)])
def test_decode_lone_surrogate_can_be_encoded(name: DialectName, number: int) -> None:
    line = golden.server_line(name, number).replace("Your order", r"caf\u00e9 \ud83d")
    event = DIALECTS[name].decode(line)
    assert isinstance(event, TranscriptDelta)
    assert event.delta == "café \ufffd"


@both
def test_decode_error_of_a_compatible_server(name: DialectName) -> None:
    event = DIALECTS[name].decode('{"type":"error","error":{"code":429,"message":null}}')
    assert event == ErrorReported(ApiError("error", "", "429"))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("ends", ["tomorrow", -1, 4_000_000_000.5, True, {}, None])
def test_decode_end_of_a_session_that_makes_no_sense_is_none(
    name: DialectName, ends: object
) -> None:
    frame = json.dumps({"type": "session.created", "session": {"id": "sess_1", "expires_at": ends}})
    event = DIALECTS[name].decode(frame)
    assert isinstance(event, SessionCreated)
    assert event.session.expires_at_s is None
