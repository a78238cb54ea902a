"""Adds a wrap-up to the record of a call that is over. Blocks."""

import json
from collections.abc import Mapping
from pathlib import Path

from bridge.recordings.files import CallFiles
from bridge.recordings.writing import write_json


def add_wrap_up(directory: Path, call_id: str, wrap_up: Mapping[str, object]) -> bool:
    """Write a wrap-up into a call's record; return whether there is a record.

    Raises:
        OSError: the disk refused.
    """
    path = CallFiles(directory, call_id).record
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    write_json(path, {**record, "wrap_up": dict(wrap_up)})
    return True
