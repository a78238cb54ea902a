"""The audit's chain: each entry's hash covers the one before, so that none can be changed alone.

The stream `bridge:audit` is append-only. An entry has ``at_ms actor action target detail previous
hash``; ``hash`` is SHA-256 over ``previous`` and the other fields, as JSON with sorted names.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

FIRST = ""
"""What the first entry has for ``previous``."""


def chained(entry: Mapping[str, str], previous: str) -> dict[str, str]:
    """Return an entry with ``previous`` and its ``hash``."""
    return {**entry, "previous": previous, "hash": _digest(entry, previous)}


def first_break(entries: Iterable[Mapping[str, str]]) -> int | None:
    """Return the index of the first entry that does not continue the one before; None if all do.

    Args:
        entries: oldest first; the first one is believed as to its ``previous``.
    """
    expected: str | None = None
    for index, entry in enumerate(entries):
        fields = {name: entry[name] for name in entry.keys() - {"previous", "hash"}}
        previous = entry.get("previous", "")
        if expected is not None and previous != expected:
            return index
        if entry.get("hash") != _digest(fields, previous):
            return index
        expected = entry.get("hash")
    return None


def _digest(entry: Mapping[str, str], previous: str) -> str:
    text = json.dumps([previous, sorted(entry.items())], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
