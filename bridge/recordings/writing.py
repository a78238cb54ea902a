"""Writes the files of calls, whole or not at all, and lists line by line. Everything blocks."""

import fcntl
import json
import os
from collections.abc import Collection
from pathlib import Path


def write_json(path: Path, content: object) -> None:
    """Write a JSON file whole, or not at all.

    Raises:
        OSError: the disk refused.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    replace(path, f"{text}\n".encode())


def replace(path: Path, content: bytes) -> None:
    """Put a content in the place of a file's, or leave that as it was.

    Raises:
        OSError: the disk refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def append_line(path: Path, content: object) -> None:
    """Add a JSON line, whole or not at all; calls that end together don't mix theirs.

    Raises:
        OSError: the disk refused.
    """
    line = json.dumps(content, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        try:
            _write_whole(file, line.encode())
        except OSError:
            os.ftruncate(file, size)
            raise
    finally:
        os.close(file)


def _write_whole(file: int, content: bytes) -> None:
    """Write on after a short write: a disk that fills up takes a part, and refuses the next."""
    while content:
        content = content[os.write(file, content) :]


def blank_lines(path: Path, call_ids: Collection[str]) -> None:
    """Write over the lines of some calls, where they stand: others add lines meanwhile.

    What is left of a line is ``{"call_id": ..., "deleted": true}`` and spaces.

    Raises:
        OSError: the disk refused.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return
    with file:
        start = 0
        for line in iter(file.readline, b""):
            call_id = _call_id(line)
            if call_id in call_ids:
                left = json.dumps({"call_id": call_id, "deleted": True}).encode()
                file.seek(start)
                file.write(left.ljust(len(line) - 1)[: len(line) - 1])
                file.seek(start + len(line))
            start += len(line)


def _call_id(line: bytes) -> str | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    call_id = found.get("call_id") if isinstance(found, dict) and "deleted" not in found else None
    return call_id if isinstance(call_id, str) else None
