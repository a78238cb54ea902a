"""Keeps each rollout's last known state on a node's disk, for a start while Redis is away.

One JSON file a flag, `<state_dir>/rollout-<flag>.json`, replaced whole. Reading and writing block.
"""

import json
import os
from pathlib import Path

import structlog

from bridge.errors import ConfigError
from bridge.routing.rollout.state import RolloutState

log = structlog.get_logger(__name__)


class RolloutFiles:
    """The files of one node.

    Args:
        directory: made when the first file is written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, flag: str) -> RolloutState | None:
        """Return what was in force; None where there is no good file."""
        path = self._path(flag)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return RolloutState.from_fields({str(k): str(v) for k, v in fields.items()})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, ConfigError) as error:
            log.error("rollout_file_unreadable", path=str(path), error=str(error))
            return None

    def write(self, flag: str, state: RolloutState) -> None:
        """Put a state down; the file is the old one or the new one, whatever happens.

        Raises:
            OSError: it could not be written.
        """
        path = self._path(flag)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Nodes on one machine may share the directory.
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(state.to_fields(), file, indent=2, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    def _path(self, flag: str) -> Path:
        return self._directory / f"rollout-{flag}.json"
