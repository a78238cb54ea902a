"""The archive: takes each finished recording from state to state, and knows how many are in each.

    state      on the disk                  next step
    plain      ID.wav                       encrypt it
    encrypted  ID.wav.age                   -

The state is read from the files' names, so there is nothing else to keep, and a run goes on where a
killed one stopped: of a recording that has both files, the plain one goes once the other is known
to be whole. A recording that fails is tried again, slower and slower; the others don't wait for it.
Everything here blocks: it belongs in a process of its own (`bridge recordings archive`).
"""

import contextlib
import enum
import fcntl
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import structlog

from bridge.errors import ConfigError
from bridge.realtime.backoff import Backoff
from bridge.recordings.age_keys import Recipients, read_recipients
from bridge.recordings.encryption import StillWrittenError, encrypt_recording
from bridge.recordings.files import AUDIO_SUFFIX, ENCRYPTED_SUFFIX, CallFiles, read_call
from bridge.recordings.notes import RecordingNote

log = structlog.get_logger(__name__)

_LOCK = "archive.lock"
_BACKOFF = Backoff(base_ms=10_000, limit_ms=300_000)
_RUN_S = 20.0
"""A directory of old plain recordings must not keep what is found from being reported."""
_MIDDLE = 0.5
"""No jitter: one process alone tries."""


class RecordingState(enum.StrEnum):
    """How far a finished recording is; a metric label."""

    PLAIN = "plain"
    ENCRYPTED = "encrypted"


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What a run found and did.

    Attributes:
        counts: finished recordings by state, after the run.
        oldest_s: how long ago the call of the oldest recording in a state ended; none in it: 0.
        done: recordings that went one state further in this run.
        error: why one of them, or all, did not.
        busy: another process is at it, and this one only looked.
    """

    counts: Mapping[RecordingState, int]
    oldest_s: Mapping[RecordingState, int]
    done: int = 0
    error: str | None = None
    busy: bool = False


@dataclass(slots=True)
class _Failure:
    count: int
    again_at_s: float


@dataclass(slots=True)
class Archive:
    """The recordings of one directory.

    Attributes:
        directory: of the calls' files.
        recipients_file: whom recordings are encrypted to; None leaves them as they are. Read at
            each run: who may open new recordings is changed by writing the file.
    """

    directory: Path
    recipients_file: Path | None
    _failures: dict[str, _Failure] = field(default_factory=dict)

    def look(self, now_s: float) -> ArchiveReport:
        """Count, and change nothing.

        Args:
            now_s: wall time, s since the Unix epoch.
        """
        found = list(_recordings(self.directory))
        ages = {
            state: max((now_s - at_s for each, at_s in found if each is state), default=0)
            for state in RecordingState
        }
        counts = Counter(state for state, _ in found)
        return ArchiveReport(
            {state: counts[state] for state in RecordingState},
            {state: max(0, round(age)) for state, age in ages.items()},
        )

    def run(self, now_s: float) -> ArchiveReport:
        """Do what is due, the oldest first, for 20 s at most.

        Args:
            now_s: wall time, s since the Unix epoch.

        Raises:
            OSError: the directory can't be read, or takes no files.
        """
        done, error = 0, None
        with _locked(self.directory) as mine:
            if mine and self.recipients_file is not None:
                try:
                    done, error = self._encrypt(read_recipients(self.recipients_file), now_s)
                except ConfigError as wrong:
                    error = str(wrong)
            return replace(self.look(now_s), done=done, error=error, busy=not mine)

    def keys_in_use(self) -> Mapping[str, int]:
        """Return to how many recordings each recipient's identity is a key; "" where unknown."""
        found: Counter[str] = Counter()
        for _, name in _files(self.directory, ENCRYPTED_SUFFIX):
            files = CallFiles(self.directory, name.removesuffix(ENCRYPTED_SUFFIX))
            note = RecordingNote.read(files)
            found.update(("",) if note is None else note.recipients)
        return dict(sorted(found.items()))

    def _encrypt(self, recipients: Recipients, now_s: float) -> tuple[int, str | None]:
        done, why = 0, None
        until_s = time.monotonic() + _RUN_S
        for files, _ in _finished_plain(self.directory):
            if time.monotonic() > until_s:
                break
            failed = self._failures.get(files.call_id)
            if failed is not None and failed.again_at_s > now_s:
                why = why or "some failed, and are tried again later"
                continue
            try:
                encrypt_recording(files, recipients)
            except (StillWrittenError, FileNotFoundError):
                continue
            except OSError as error:
                why = f"{files.audio.name} is not encrypted: {error.strerror or error}"
                self._note_failure(files, now_s, why)
                continue
            self._failures.pop(files.call_id, None)
            done += 1
        return done, why

    def _note_failure(self, files: CallFiles, now_s: float, why: str) -> None:
        failure = self._failures.setdefault(files.call_id, _Failure(0, 0.0))
        failure.count += 1
        failure.again_at_s = now_s + _BACKOFF.wait_ms(failure.count + 1, _MIDDLE) / 1000
        log.error("recording_not_encrypted", call_id=files.call_id, error=why)


def _recordings(directory: Path) -> Iterator[tuple[RecordingState, float]]:
    """Yield each finished recording's state, and when its call ended (s since the Unix epoch)."""
    for _, ended_at_s in _finished_plain(directory):
        yield RecordingState.PLAIN, ended_at_s
    for ended_at_s, _ in _files(directory, ENCRYPTED_SUFFIX):
        yield RecordingState.ENCRYPTED, ended_at_s


def _finished_plain(directory: Path) -> Iterator[tuple[CallFiles, float]]:
    """Yield the calls that are over and have a plain recording, and their ends; oldest first."""
    for ended_at_s, name in sorted(_files(directory, AUDIO_SUFFIX)):
        files = CallFiles(directory, name.removesuffix(AUDIO_SUFFIX))
        if not read_call(files).going_on:
            yield files, ended_at_s


def _files(directory: Path, suffix: str) -> Iterator[tuple[float, str]]:
    """Yield the time and the name of each file of a call's that is called so."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith("c_") and entry.name.endswith(suffix):
                with contextlib.suppress(FileNotFoundError):
                    yield entry.stat().st_mtime, entry.name


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Give whether this process alone takes recordings on, while the block runs."""
    with (directory / _LOCK).open("ab") as lock:
        yield _take(lock)


def _take(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
