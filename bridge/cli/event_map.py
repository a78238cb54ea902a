"""The event map: every canonical event and command, its wire names, and its handlers.

Generated from the dialects' own tables and the core's dispatch, so that it cannot disagree with
them. Pure; built on demand (`bridge check --event-map`), never during a call.
"""

import enum
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bridge.engine.core import IGNORED, LIFECYCLE, TALK
from bridge.realtime import beta, ga, live
from bridge.realtime.commands import Command
from bridge.realtime.events import QuietEvent, ServerEvent, UnknownEvent
from bridge.realtime.wire_tables import Tables

TABLES: Mapping[str, Tables] = MappingProxyType(
    {"beta": beta.TABLES, "ga": ga.TABLES, "live": live.TABLES}
)
"""The dialects of the map, in the order of its columns."""

ANY_OTHER = "(any other)"
"""The wire name of :class:`UnknownEvent`."""

OF_A_FLAVOUR = "(a flavour's own)"
"""The wire name of :class:`QuietEvent`."""

NOT_ACTED_ON = "not acted on: "
_SERVER = "the server"
_NEVER_SENT = "never sent over a WebSocket"
_ABSENT = "not in this dialect"


class Direction(enum.StrEnum):
    """The side that sends it."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class MappedEvent:
    """A canonical event or command, with its names in each dialect.

    Attributes:
        canonical: class name.
        names: dialect -> wire types; empty where the dialect has none.
        listener: function that handles it, or why nothing does.
    """

    direction: Direction
    canonical: str
    names: Mapping[str, tuple[str, ...]]
    listener: str


def core_listeners() -> dict[type, str]:
    """Name what the core does with each of its inputs, by the tables it dispatches with."""
    handled = {
        kind: f"{handler.__module__.removeprefix('bridge.')}.{handler.__name__}"
        for kind, handler in {**LIFECYCLE, **TALK}.items()
    }
    return {**handled, **{kind: NOT_ACTED_ON + reason for kind, reason in IGNORED.items()}}


def build_event_map(
    listeners: Mapping[type, str], tables: Mapping[str, Tables] = TABLES
) -> tuple[MappedEvent, ...]:
    """Join the dialects' tables with those who listen.

    Args:
        listeners: canonical event -> who handles it; may hold more (other inputs of the core).
        tables: dialect -> its tables.

    Returns:
        The events in their order in :data:`ServerEvent`, then the commands.

    Raises:
        ValueError: an event has no listener.
    """
    events: tuple[type, ...] = typing.get_args(ServerEvent)
    unheard = [kind.__name__ for kind in events if not listeners.get(kind)]
    if unheard:
        raise ValueError(
            f"no listener for {', '.join(unheard)}: add a handler, or a reason to leave it alone, "
            "to the dispatch tables in bridge/engine/core.py"
        )
    return (
        *(
            MappedEvent(
                Direction.SERVER, kind.__name__, _event_names(kind, tables), listeners[kind]
            )
            for kind in events
        ),
        *(_command_row(kind, tables) for kind in typing.get_args(Command)),
    )


def event_map() -> tuple[MappedEvent, ...]:
    """Build the map of the bridge as it is."""
    return build_event_map(core_listeners())


def _event_names(kind: type, tables: Mapping[str, Tables]) -> dict[str, tuple[str, ...]]:
    if kind is UnknownEvent:
        return dict.fromkeys(tables, (ANY_OTHER,))
    if kind is QuietEvent:
        return dict.fromkeys(tables, (OF_A_FLAVOUR,))
    return {
        dialect: tuple(name for name, row in table.events.items() if row.kind is kind)
        for dialect, table in tables.items()
    }


def _command_row(kind: type, tables: Mapping[str, Tables]) -> MappedEvent:
    rows = {dialect: table.commands.get(kind) for dialect, table in tables.items()}
    sent = any(row is not None and row.sent for row in rows.values())
    names = {dialect: () if row is None else row.wire_types for dialect, row in rows.items()}
    return MappedEvent(Direction.CLIENT, kind.__name__, names, _SERVER if sent else _NEVER_SENT)


_INTRODUCTION = """\
# Event map

Which wire event of each Realtime dialect becomes which canonical event, and what handles it.
Generated from the tables themselves: `python -m bridge check --event-map > deploy/EVENT_MAP.md`.
"""


def to_markdown(rows: Sequence[MappedEvent]) -> str:
    """Write the map as a Markdown page, with a line end at its end."""
    return "\n".join(
        [
            _INTRODUCTION,
            "## From the server\n",
            *_table(rows, Direction.SERVER, "Handled by"),
            "\n## From the bridge\n",
            *_table(rows, Direction.CLIENT, "Goes to"),
            "",
        ]
    )


def _table(rows: Sequence[MappedEvent], direction: Direction, last_column: str) -> Iterator[str]:
    shown = [row for row in rows if row.direction is direction]
    dialects = list(shown[0].names) if shown else []
    head = ["Canonical", *dialects, last_column]
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in shown:
        names = ["<br>".join(f"`{name}`" for name in row.names[d]) or _ABSENT for d in dialects]
        handler = row.listener
        shown_handler = f"`{handler}`" if handler.startswith("engine.") else handler
        yield f"| {' | '.join([f'`{row.canonical}`', *names, shown_handler])} |"


def to_json(rows: Sequence[MappedEvent]) -> str:
    """Write the map as one JSON object: ``{"events": [...], "commands": [...]}``.

    A dialect that has no name for an event gives it an empty list.
    """
    keys = {Direction.SERVER: "events", Direction.CLIENT: "commands"}
    return json.dumps(
        {
            key: [
                {"canonical": row.canonical, "names": dict(row.names), "listener": row.listener}
                for row in rows
                if row.direction is direction
            ]
            for direction, key in keys.items()
        },
        indent=2,
    )
