"""Claim: whatever comes, `decode` gives an event or ProtocolError, whose text shows no payload."""

import copy
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.realtime.ga import GaDialect
from tests.realtime import golden

GA = GaDialect()
MARK = "Geheimnis"
LINES = golden.objects("server.jsonl")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.just(MARK),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)


def decode_must_be_clean(frame: str | bytes) -> None:
    try:
        outcome = repr(GA.decode(frame))
    except ProtocolError as error:
        outcome = str(error).replace(MARK, "\ud800")
    outcome.encode()  # fails on lone surrogates, and so on a payload that shows in an error


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_decode_any_bytes(frame: str | bytes) -> None:
    decode_must_be_clean(frame)


@given(json_values)
def test_decode_any_json(value: object) -> None:
    decode_must_be_clean(json.dumps(value))


@given(st.sampled_from(LINES), json_values)
def test_decode_any_payload_of_a_known_type(line: dict[str, object], value: object) -> None:
    body = value if isinstance(value, dict) else {}
    decode_must_be_clean(json.dumps({**body, "type": line["type"]}))


@settings(max_examples=400)
@given(st.data())
def test_decode_golden_line_with_one_value_changed(data: st.DataObject) -> None:
    root = copy.deepcopy(data.draw(st.sampled_from(LINES)))
    at: object = root
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))  # type: ignore[arg-type]  # a list
        key = data.draw(st.sampled_from([key for key in keys if key != "type" or at is not root]))
        inner = at[key]  # type: ignore[index]  # a dict or a list
        if not inner or not isinstance(inner, dict | list) or data.draw(st.booleans()):
            break
        at = inner
    if isinstance(at, dict) and data.draw(st.booleans()):
        del at[key]
    else:
        at[key] = data.draw(json_values)  # type: ignore[index]  # a dict or a list
    decode_must_be_clean(json.dumps(root))


@given(st.sampled_from(golden.lines("server.jsonl")), st.data())
def test_decode_golden_line_cut_or_overwritten(line: str, data: st.DataObject) -> None:
    raw = bytearray(line.encode())
    start = data.draw(st.integers(0, len(raw)))
    raw[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=8))
    decode_must_be_clean(bytes(raw))
