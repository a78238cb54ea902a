"""The machinery of a dialect's two tables, dialect-free.

A decode table maps wire types to rows built by :func:`event`, an encode table maps command classes
to rows, most of them built by :func:`command`. Both are checked when they are built, at import.
"""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bridge.realtime.commands import Command
from bridge.realtime.events import QuietEvent, ServerEvent, UnknownEvent
from bridge.realtime.wire import Reader, WireObject, optional_str

C = TypeVar("C", bound=Command)


@dataclass(frozen=True, slots=True)
class EventRow:
    """What one wire type becomes.

    Attributes:
        read: reads the arguments of ``kind`` off the wire.
    """

    kind: type[ServerEvent]
    read: Callable[[WireObject], dict[str, Any]]  # Any: a reader each, matched with the class


@dataclass(frozen=True, slots=True)
class CommandRow:
    """How one command is said.

    Attributes:
        wire_types: more than one where it depends on the command.
        payload: gives what stands beside the type; a ``type`` in it takes the place of the first of
            ``wire_types``.
        sent: False where the dialect has a name for it, but no connection of ours may say it.
    """

    wire_types: tuple[str, ...]
    payload: Callable[[Any], WireObject]  # Any: the table's key fixes the command's class
    sent: bool = True


EventTable = Mapping[str, EventRow]
CommandTable = Mapping[type[object], CommandRow]


@dataclass(frozen=True, slots=True)
class Tables:
    """A dialect's two tables.

    Args:
        absent: canonical events that the dialect has no name for.
        unsaid: commands that it has no word for, with what it has in their place.

    Raises:
        TypeError: an event is neither in the table nor named as absent, or both; or a command has
            neither a row nor a reason.
    """

    events: EventTable
    commands: CommandTable
    absent: frozenset[type[ServerEvent]] = frozenset()
    unsaid: Mapping[type[object], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        decoded = {row.kind for row in self.events.values()} | {UnknownEvent, QuietEvent}
        unsure = (set(typing.get_args(ServerEvent)) ^ decoded) ^ self.absent
        unsure |= (set(typing.get_args(Command)) ^ self.commands.keys()) ^ self.unsaid.keys()
        if unsure:
            names = ", ".join(sorted(kind.__name__ for kind in unsure))
            raise TypeError(f"give each a row in this dialect, or name it as absent: {names}")

    @property
    def unsayable(self) -> frozenset[type[object]]:
        """The commands that no connection may say."""
        silent = {kind for kind, row in self.commands.items() if not row.sent}
        return frozenset(self.unsaid) | silent


def event(kind: type[ServerEvent], **readers: Reader[object]) -> EventRow:
    """Build a row of a decode table: canonical fields, each with its reader.

    Args:
        kind: canonical event class; ``event_id`` is read for every class.
        readers: field name -> reader; the wire's key is the field's name, or see :func:`at`.

    Raises:
        TypeError: a field that the class does not have, or a required one without a reader.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if not required <= readers.keys() <= fields.keys():
        raise TypeError(f"readers of {kind.__name__} don't match its fields")
    items = (*readers.items(), ("event_id", optional_str))
    return EventRow(kind, lambda obj: {name: read(obj, name) for name, read in items})


def command(
    kind: type[C], wire_type: str, payload: Callable[[C], WireObject]
) -> tuple[type[C], CommandRow]:
    """Build a row of an encode table: command class, wire type, what stands beside the type."""
    return kind, CommandRow((wire_type,), payload)
