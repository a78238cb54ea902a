"""Claim: whatever comes, `decode` gives an event or ProtocolError, whose text shows no payload."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from tests.realtime import golden
from tests.realtime.broken import LINES, MARK, broken_line, json_values
from tests.realtime.golden import DIALECTS
from tests.realtime.official import DialectName, Event

both = pytest.mark.parametrize("name", DIALECTS)


def decode_must_be_clean(name: DialectName, frame: str | bytes) -> None:
    try:
        outcome = repr(DIALECTS[name].decode(frame))
    except ProtocolError as error:
        outcome = str(error).replace(MARK, "\ud800")
    outcome.encode()  # fails on lone surrogates, and so on a payload that shows in an error


@both
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_decode_any_bytes(name: DialectName, frame: str | bytes) -> None:
    decode_must_be_clean(name, frame)


@both
@given(json_values)
def test_decode_any_json(name: DialectName, value: object) -> None:
    decode_must_be_clean(name, json.dumps(value))


@both
@given(st.data(), json_values)
def test_decode_any_payload_of_a_known_type(
    name: DialectName, data: st.DataObject, value: object
) -> None:
    line: Event = data.draw(st.sampled_from(LINES[name]))
    body = value if isinstance(value, dict) else {}
    decode_must_be_clean(name, json.dumps({**body, "type": line["type"]}))


@both
@settings(max_examples=400)
@given(st.data())
def test_decode_golden_line_with_one_value_changed(name: DialectName, data: st.DataObject) -> None:
    decode_must_be_clean(name, broken_line(data, name))


@both
@given(st.data())
def test_decode_golden_line_cut_or_overwritten(name: DialectName, data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(golden.lines(name, "server"))).encode())
    start = data.draw(st.integers(0, len(raw)))
    raw[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=8))
    decode_must_be_clean(name, bytes(raw))
