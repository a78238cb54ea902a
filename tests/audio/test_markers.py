"""The markers beside a recording: as their schema says, and readable whatever a kill left."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audio.markers import (
    HEADER_SCHEMA,
    MARKER_SCHEMA,
    MarkerWriter,
    decode,
    encode_header,
    encode_marker,
    without_texts,
)

HEADER = {
    "call_id": "c_1",
    "route": "support",
    "caller": "sip:+15550100@trunk.example",
    "called": "support",
    "started_at_ms": 1,
    "keep_days": {"audio": 30, "transcript": None, "events": None},
}
TURN = {"speaker": "caller", "text": "Grüße\nand more"}
LINES = encode_header(HEADER), encode_marker(0, "answered", {}), encode_marker(20, "turn", TURN)


def test_lines_are_as_the_schemas_say() -> None:
    header, *markers = (json.loads(line) for line in LINES)
    jsonschema.validate(header, HEADER_SCHEMA)
    for marker in markers:
        jsonschema.validate(marker, MARKER_SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"at_ms": -1, "kind": "turn"}, MARKER_SCHEMA)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "call.markers.jsonl"
    writer = MarkerWriter(path)
    for number, line in enumerate(LINES, 1):
        writer.append(line)
        assert len(path.read_bytes().splitlines()) == number  # at once, for whoever kills us next
    writer.close()
    found = decode(path.read_bytes())
    assert {**HEADER, "schema": "recording-markers/v1"}.items() <= found.header.items()
    assert found.markers == (
        {"at_ms": 0, "kind": "answered"},
        {"at_ms": 20, "kind": "turn", **TURN},
    )


@given(st.integers(0, sum(map(len, LINES))))
def test_a_torn_file_is_read_up_to_where_it_is_torn(length: int) -> None:
    whole = b"".join(LINES)
    found = decode(whole[:length])
    assert len(found.markers) == max(whole[: length + 1].count(b"\n") - 1, 0)


def test_a_file_can_lose_its_words_and_nothing_else() -> None:
    left = decode(without_texts(b"".join(LINES)))
    assert left.header == decode(b"".join(LINES)).header
    assert left.markers[1] == {"at_ms": 20, "kind": "turn", "speaker": "caller"}
    assert without_texts(without_texts(b"".join(LINES))) == without_texts(b"".join(LINES))
