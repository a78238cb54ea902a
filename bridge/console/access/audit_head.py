"""The audit's last entry on this node's own disk, by which a rewritten audit in Redis is seen.

Every entry's hash covers all before it. Somebody who rewrites Redis can make a whole new chain, but
not one that has the hash of the entry that this node wrote last.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from bridge.recordings.writing import write_json
from bridge.store.audit_log import Fields

log = structlog.get_logger(__name__)

_FILE = "audit-head.json"


@dataclass(frozen=True, slots=True)
class Head:
    """The entry that a node wrote last.

    Attributes:
        id: of the entry in the stream; ``hash``: its own.
        at_ms: when it was written, ms since the Unix epoch.
    """

    id: str
    hash: str
    at_ms: int


class HeadFile:
    """Keeps the head of the entries that this node writes. Reading and writing block.

    Args:
        directory: the node's ``state_dir``; None keeps nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self.path = None if directory is None else directory / _FILE

    def read(self) -> Head | None:
        """Return the head; None where this node has written nothing yet, or none is kept."""
        if self.path is None:
            return None
        try:
            return Head(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.error("audit_head_unreadable", path=str(self.path), error=str(error))
            return None

    def write(self, entry: Fields) -> None:
        """Take an entry that was written as the head.

        Raises:
            OSError: the disk refused.
        """
        if self.path is not None:
            head = Head(entry["id"], entry["hash"], int(entry.get("at_ms", 0)))
            write_json(self.path, asdict(head))
