"""The audit's chain: each entry's hash covers the one before, so that none can be changed alone.

The stream `bridge:audit` is append-only. An entry has ``at_ms actor action target detail previous
hash``, and what people did in the console ``roles address call_id result``, too; ``detail`` is
JSON. ``hash`` is SHA-256 over ``previous`` and the other fields, as JSON with sorted names.
"""

import hashlib
import json
from collections.abc import Mapping

FIRST = ""
"""What the first entry has for ``previous``."""


def chained(entry: Mapping[str, str], previous: str) -> dict[str, str]:
    """Return an entry with ``previous`` and its ``hash``."""
    return {**entry, "previous": previous, "hash": _digest(entry, previous)}


class ChainCheck:
    """Reads a chain, the oldest entry first, and says where it breaks.

    Args:
        previous: the hash before the first entry; None believes the first entry's word for it.
    """

    def __init__(self, previous: str | None = None) -> None:
        self._expected = previous

    def holds(self, entry: Mapping[str, str]) -> bool:
        """Return whether an entry is as it was written, and continues the one before."""
        fields = {name: entry[name] for name in entry.keys() - {"previous", "hash"}}
        previous = entry.get("previous", "")
        if self._expected is not None and previous != self._expected:
            return False
        self._expected = entry.get("hash", "")
        return self._expected == _digest(fields, previous)


def _digest(entry: Mapping[str, str], previous: str) -> str:
    text = json.dumps([previous, sorted(entry.items())], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
