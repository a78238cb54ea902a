"""States of a finished recording, read from the names of its files; nothing else is kept of them.

    state      files of the call                 next step (`bridge.recordings.archive`)
    plain      ID.wav                            encrypt it
    encrypted  ID.wav.age, ID.archive            ship it, where there is a bucket
    shipped    ID.wav.age, ID.shipped            delete the local copy, after a while
    remote     ID.shipped                        -
    unwanted   ID.unwanted                       delete it in the bucket

A run goes on where a killed one stopped: what is between two states has the files of both, and
counts as the earlier one. Everything here blocks.
"""

import contextlib
import enum
import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import structlog

from bridge.realtime.backoff import Backoff
from bridge.recordings.files import (
    AUDIO_SUFFIX,
    ENCRYPTED_SUFFIX,
    SHIPPED_SUFFIX,
    UNWANTED_SUFFIX,
    CallFiles,
    read_call,
)

log = structlog.get_logger(__name__)

_BACKOFF = Backoff(base_ms=10_000, limit_ms=300_000)
_MIDDLE = 0.5
"""No jitter: one process alone tries."""


class RecordingState(enum.StrEnum):
    """How far a finished recording is; a metric label."""

    PLAIN = "plain"
    ENCRYPTED = "encrypted"
    SHIPPED = "shipped"
    REMOTE = "remote"
    UNWANTED = "unwanted"


_STATES: Mapping[RecordingState, tuple[frozenset[str], str]] = MappingProxyType(
    {
        RecordingState.PLAIN: (frozenset({AUDIO_SUFFIX}), AUDIO_SUFFIX),
        RecordingState.SHIPPED: (frozenset({ENCRYPTED_SUFFIX, SHIPPED_SUFFIX}), ENCRYPTED_SUFFIX),
        RecordingState.ENCRYPTED: (frozenset({ENCRYPTED_SUFFIX}), ENCRYPTED_SUFFIX),
        RecordingState.REMOTE: (frozenset({SHIPPED_SUFFIX}), SHIPPED_SUFFIX),
        RecordingState.UNWANTED: (frozenset({UNWANTED_SUFFIX}), UNWANTED_SUFFIX),
    }
)
"""The files that a state has at least, the first row that fits, and the file whose time counts."""


@dataclass(frozen=True, slots=True)
class FinishedRecording:
    """A recording of a call that is over.

    Attributes:
        since_s: s since the Unix epoch: when its call ended; of those that are not here, when they
            were shipped or deleted.
    """

    files: CallFiles
    state: RecordingState
    since_s: float


def finished_recordings(directory: Path) -> list[FinishedRecording]:
    """Return the recordings of calls that are over, the oldest first.

    Raises:
        OSError: the directory can't be read.
    """
    found = [each for each in _recordings(directory) if each is not None]
    return sorted(found, key=lambda each: each.since_s)


def _recordings(directory: Path) -> Iterator[FinishedRecording | None]:
    suffixes: defaultdict[str, set[str]] = defaultdict(set)
    with os.scandir(directory) as entries:
        for entry in entries:
            call_id, _, suffix = entry.name.partition(".")
            if call_id.startswith("c_"):
                suffixes[call_id].add(f".{suffix}")
    for call_id, found in suffixes.items():
        yield _state_of(CallFiles(directory, call_id), found)


def _state_of(files: CallFiles, suffixes: set[str]) -> FinishedRecording | None:
    for state, (needed, timed) in _STATES.items():
        if needed <= suffixes:
            if state is RecordingState.PLAIN and read_call(files).going_on:
                return None
            with contextlib.suppress(FileNotFoundError):  # it went further just now
                path = files.directory / f"{files.call_id}{timed}"
                return FinishedRecording(files, state, path.stat().st_mtime)
            return None
    return None


@contextlib.contextmanager
def alone(directory: Path, name: str) -> Iterator[bool]:
    """Give whether this process alone does something in a directory, while the block runs.

    Args:
        name: of the lock's file there.

    Raises:
        OSError: the directory takes no files.
    """
    with (directory / name).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@dataclass(slots=True)
class _Failure:
    count: int
    again_at_s: float


@dataclass(slots=True)
class Retries:
    """What failed, and when it is to be tried again: slower and slower, up to every 5 minutes."""

    _failures: dict[str, _Failure] = field(default_factory=dict)

    def wait(self, what: str, now_s: float) -> bool:
        """Return whether something failed so lately that its time has not come."""
        failure = self._failures.get(what)
        return failure is not None and failure.again_at_s > now_s

    def failed(self, what: str, now_s: float, why: str) -> None:
        """Note and log a failure."""
        failure = self._failures.setdefault(what, _Failure(0, 0.0))
        failure.count += 1
        failure.again_at_s = now_s + _BACKOFF.wait_ms(failure.count + 1, _MIDDLE) / 1000
        log.error("recording_waits", what=what, error=why, failures=failure.count)

    def succeeded(self, what: str) -> None:
        """Forget its failures."""
        self._failures.pop(what, None)
