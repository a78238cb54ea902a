"""Reads what Redis replies in RESP2, and lays fields out as the words of a command. Pure."""

from collections.abc import Mapping

from bridge.store.client import CommandRefused, Reply

Entry = tuple[str, dict[str, str]]
"""An entry of a stream: its id, which begins with its time in ms since the Unix epoch; fields."""


def listed(reply: Reply | CommandRefused) -> list[Reply]:
    """Return what a list holds; nothing of another reply."""
    return reply if isinstance(reply, list) else []


def texts(reply: Reply | CommandRefused) -> list[str]:
    """Return what a list holds, as texts."""
    return [str(each) for each in listed(reply)]


def pairs(reply: Reply | CommandRefused) -> dict[str, str]:
    """Return a hash, or the fields of a stream's entry."""
    words = texts(reply)
    return dict(zip(words[::2], words[1::2], strict=True))


def entries(reply: Reply | CommandRefused) -> list[Entry]:
    """Return the entries of a stream."""
    return [(str(entry_id), pairs(fields)) for entry_id, fields in map(listed, listed(reply))]


def following(reply: Reply) -> list[Entry]:
    """Return the entries that XREAD has found in one stream."""
    return entries(listed(listed(reply)[0])[1]) if reply else []


def words_of(fields: Mapping[str, str | int]) -> list[str | int]:
    """Return the names and values of fields in turn, as commands have them."""
    return [word for pair in fields.items() for word in pair]
