"""The markers beside a recording: events with their places in it, one JSON object a line.

``<recording>.markers.jsonl`` lies beside ``<recording>.wav``. Its first line says which call it is
(:data:`HEADER_SCHEMA`), each other one what happened (:data:`MARKER_SCHEMA`). A line is written
when it happens, so a process that is killed leaves all but what it had in hand. A reader passes
over a line that is torn, and over kinds and fields that it doesn't know: new ones come without a
new version.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SCHEMA_NAME = "recording-markers/v1"
SUFFIX = ".markers.jsonl"

_DAYS = {"type": ["integer", "null"], "minimum": 1}

HEADER_SCHEMA: Mapping[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "The first line of a recording's markers",
    "type": "object",
    "required": ["schema", "call_id", "route", "caller", "called", "started_at_ms", "channels"],
    "properties": {
        "schema": {"const": SCHEMA_NAME},
        "call_id": {"type": "string"},
        "route": {"type": "string", "description": "the dialplan's name"},
        "caller": {"type": "string", "description": "as SIP named them"},
        "asserted": {"type": "string", "description": "as the network knows them"},
        "called": {"type": "string"},
        "started_at_ms": {
            "type": "integer",
            "description": "wall time of the recording's first sample, ms since the Unix epoch",
        },
        "channels": {"const": ["caller", "agent"], "description": "left, right"},
        "keep_days": {
            "type": "object",
            "properties": {"audio": _DAYS, "transcript": _DAYS, "events": _DAYS},
        },
    },
}

MARKER_SCHEMA: Mapping[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A marker of a recording",
    "type": "object",
    "required": ["at_ms", "kind"],
    "properties": {
        "at_ms": {"type": "integer", "minimum": 0, "description": "into the recording"},
        "kind": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "text": {"type": "string", "description": "what was said, redacted"},
    },
    "additionalProperties": {"type": ["string", "integer"]},
}

Header = Mapping[str, object]
Marker = dict[str, str | int]


class Markers(NamedTuple):
    """What a file of markers holds; an empty header where its first line is not there."""

    header: Header
    markers: tuple[Marker, ...]


def encode_header(fields: Header) -> bytes:
    """Return the first line."""
    return _line({"schema": SCHEMA_NAME, **fields, "channels": ["caller", "agent"]})


def encode_marker(at_ms: int, kind: str, fields: Mapping[str, str | int]) -> bytes:
    """Return a marker's line."""
    return _line({"at_ms": at_ms, "kind": kind, **fields})


def decode(content: bytes) -> Markers:
    """Read a file's content."""
    read: list[dict[str, object]] = []
    for line in content.splitlines():
        try:
            found = json.loads(line)
        except ValueError:  # torn by a full disk or a kill
            continue
        if isinstance(found, dict):
            read.append(found)
    header = read[0] if read and "schema" in read[0] else {}
    markers = (each for each in read if "kind" in each and isinstance(each.get("at_ms"), int))
    return Markers(header, tuple(markers))  # type: ignore[arg-type]  # values as MARKER_SCHEMA has it


def without_texts(content: bytes) -> bytes:
    """Return a file's content without what was said."""
    found = decode(content)
    lines = [_line(found.header)] if found.header else []
    lines += [_line({k: v for k, v in each.items() if k != "text"}) for each in found.markers]
    return b"".join(lines)


class MarkerWriter:
    """A file of markers that grows line by line, each on its way to the disk at once.

    Raises:
        OSError: the file can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def append(self, line: bytes) -> None:
        """Add a line.

        Raises:
            OSError: the disk refused.
        """
        os.write(self._file, line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _line(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"
