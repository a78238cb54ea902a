"""Asserts on decoding, for both dialects."""

import dataclasses
import json

import pytest

from bridge.errors import ProtocolError
from bridge.realtime.dialect import Dialect
from bridge.realtime.events import ServerEvent


def without_id(event: ServerEvent) -> ServerEvent:
    return dataclasses.replace(event, event_id=None)


def assert_decodes(dialect: Dialect, line: str, expected: ServerEvent) -> None:
    event = dialect.decode(line)
    assert without_id(event) == expected
    assert event.event_id == json.loads(line).get("event_id")


def assert_refused(dialect: Dialect, line: str, path: str, wrong: object) -> None:
    """Decoding must fail where `path` of the line is `wrong`, and show the path, not the value."""
    root = json.loads(line)
    *parents, last = path.split(".")
    at = root
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[int(last) if isinstance(at, list) else last] = wrong
    with pytest.raises(ProtocolError) as caught:
        dialect.decode(json.dumps(root))
    shown = path.replace(".0", "[0]")
    assert caught.value.event_type == root["type"]
    assert str(caught.value).startswith(f"{root['type']}: {shown}")
    assert "ü" not in str(caught.value)
    assert "robot" not in str(caught.value)
