"""Keeps in a file the messages of the C library, PJSIP and Python as a process dies.

A failed assertion, a broken heap or a C++ exception that nobody catches ends the process by SIGABRT
after a line on file descriptor 2, whatever thread it is in; no log handler of ours runs any more.
So descriptor 2 is a file, to which a write never waits, Python's `faulthandler` adds the stacks of
all threads, and logs go to the standard error that was there before: JSON logs stay JSON.

    <directory>/<node>.<process id>.txt     of a process that runs, or of one that has died
    <directory>/<node>.<UTC time>.died.txt  reported by the node's next start

A process that ends in order takes its file away; so a file whose process is gone shows a death,
and an empty one of a death without a word (SIGKILL, out of memory, the machine's own end).
"""

import contextlib
import faulthandler
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import structlog

log = structlog.get_logger(__name__)

_SHOWN_CHARS = 4000
"""Of last words in a log line: the message and the stacks of some threads; the file has all."""

_KEPT = 10
"""Deaths of a node whose files are kept."""


@dataclass(frozen=True, slots=True)
class Death:
    """The end of an earlier process of this node, not in order.

    Attributes:
        pid: its id.
        died_at: UTC; when it last wrote or, without a word, began.
        words: the first of what it wrote, which names the cause; "" where it wrote nothing.
        path: file that has all of it.
    """

    pid: int
    died_at: datetime
    words: str
    path: Path


def redirect_native_stderr(path: Path) -> TextIO:
    """Have whatever writes to file descriptor 2, and the stacks of a crash, go to a file.

    Returns:
        The standard error that there was before, for those who write to it by `sys.stderr`.
    """
    before = os.dup(2)
    words = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(words, 2)
    os.close(words)
    faulthandler.enable(file=2, all_threads=True)
    return os.fdopen(before, "w", buffering=1, encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def keeping_last_words(directory: Path, node: str) -> Iterator[list[Death]]:
    """Keep this process's last words while the block runs; give the deaths since the last start.

    Raises:
        OSError: the directory can't be written to.
    """
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]", "_", node)
    deaths = _deaths(directory, name)
    path = directory / f"{name}.{os.getpid()}.txt"
    before, sys.stderr = sys.stderr, redirect_native_stderr(path)
    try:
        yield deaths
    finally:
        faulthandler.disable()
        os.dup2(sys.stderr.fileno(), 2)
        sys.stderr = before
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others' words are in it
            directory.rmdir()


def log_deaths(deaths: list[Death]) -> None:
    """Log each death, with the beginning of its last words and where the rest is."""
    for death in deaths:
        log.error(
            "previous_process_died",
            pid=death.pid,
            died_at=death.died_at.isoformat(),
            last_words=death.words or "none: killed (SIGKILL, out of memory), or the machine went",
            path=str(death.path),
        )


def _deaths(directory: Path, name: str) -> list[Death]:
    """Return what died since the node's last start, oldest first, and set its files aside."""
    found = []
    for path in directory.glob(f"{name}.*.txt"):
        number = path.name.split(".")[-2]
        # In a container every process is number 1: a file with our own number isn't ours yet.
        if number.isdigit() and (int(number) == os.getpid() or not _runs(int(number))):
            found.append(_set_aside(path, name, int(number)))
    for old in sorted(directory.glob(f"{name}.*.died.txt"))[:-_KEPT]:
        old.unlink()
    return sorted(found, key=lambda death: death.died_at)


def _set_aside(path: Path, name: str, pid: int) -> Death:
    died_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    words = path.read_text(encoding="utf-8", errors="replace")[:_SHOWN_CHARS].strip()
    kept = path.rename(path.with_name(f"{name}.{died_at:%Y%m%dT%H%M%S}-{pid}.died.txt"))
    return Death(pid, died_at, words, kept)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
