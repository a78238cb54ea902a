"""The generated event map: complete, and the page in deploy/ is the current one."""

import importlib
import json
import typing
from pathlib import Path

import pytest

from bridge.cli.event_map import (
    ANY_OTHER,
    NOT_ACTED_ON,
    OF_A_FLAVOUR,
    TABLES,
    Direction,
    MappedEvent,
    build_event_map,
    core_listeners,
    event_map,
    to_json,
    to_markdown,
)
from bridge.realtime.commands import ClearOutput, Command
from bridge.realtime.events import AudioDelta, ItemDone, ServerEvent

PAGE = Path(__file__).parents[2] / "deploy" / "EVENT_MAP.md"
ROWS = event_map()


def row(kind: type) -> MappedEvent:
    return next(row for row in ROWS if row.canonical == kind.__name__)


def test_map_has_every_event_and_command_once() -> None:
    kinds = [*typing.get_args(ServerEvent), *typing.get_args(Command)]
    assert [row.canonical for row in ROWS] == [kind.__name__ for kind in kinds]


@pytest.mark.parametrize("kind", typing.get_args(ServerEvent))
def test_event_has_a_listener_and_each_name_or_none_on_purpose(kind: type[ServerEvent]) -> None:
    entry = row(kind)
    for dialect, tables in TABLES.items():
        assert bool(entry.names[dialect]) != (kind in tables.absent)
    if entry.listener.startswith(NOT_ACTED_ON):
        assert entry.listener.removeprefix(NOT_ACTED_ON)
        return
    module, function = entry.listener.rsplit(".", 1)
    handler = getattr(importlib.import_module(f"bridge.{module}"), function)
    assert typing.get_type_hints(handler)["event"] is kind


def test_names_come_from_the_tables() -> None:
    assert row(AudioDelta).names == {
        "beta": ("response.audio.delta",),
        "ga": ("response.output_audio.delta",),
        "live": (),
    }
    assert row(ItemDone).names == {
        "beta": (),
        "ga": ("conversation.item.done",),
        "live": (),
    }
    named = {name for entry in ROWS for name in entry.names["ga"]} - {ANY_OTHER, OF_A_FLAVOUR}
    said = {kind for command in TABLES["ga"].commands.values() for kind in command.wire_types}
    assert named == TABLES["ga"].events.keys() | said


def test_event_without_a_listener_is_refused() -> None:
    listeners = core_listeners()
    del listeners[AudioDelta]
    with pytest.raises(ValueError, match=r"AudioDelta.*bridge/engine/core\.py"):
        build_event_map(listeners)


def test_command_that_no_connection_says_is_marked() -> None:
    assert row(ClearOutput).listener == "never sent over a WebSocket"


def test_json_has_every_row() -> None:
    told = json.loads(to_json(ROWS))
    assert told.keys() == {"events", "commands"}
    assert len(told["events"]) + len(told["commands"]) == len(ROWS)
    assert told["events"][0] == {
        "canonical": "SessionCreated",
        "names": {
            "beta": ["session.created", "transcription_session.created"],
            "ga": ["session.created"],
            "live": ["session.started"],
        },
        "listener": "not acted on: left to the session layer",
    }


def test_markdown_says_what_a_dialect_lacks() -> None:
    page = to_markdown(ROWS)
    assert "| `ItemDone` | not in this dialect | `conversation.item.done` |" in page
    assert page.count("\n| `") == len(ROWS)


def test_markdown_of_one_direction_leaves_the_other_empty() -> None:
    commands = [entry for entry in ROWS if entry.direction is Direction.CLIENT]
    assert "`AudioDelta`" not in to_markdown(commands)


def test_page_in_deploy_is_current() -> None:
    command = "python -m bridge check --event-map > deploy/EVENT_MAP.md"
    page = PAGE.read_text(encoding="utf-8")
    assert page == to_markdown(ROWS), f"the event map has changed; run: {command}"
