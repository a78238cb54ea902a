"""The archive: encrypts finished recordings, and counts those in each state (`states`).

A recording that fails is tried again, slower and slower; the others don't wait for it. Everything
here blocks: it belongs in a process of its own (`bridge recordings archive`).
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.errors import ConfigError
from bridge.recordings.age_keys import Recipients, read_recipients
from bridge.recordings.encryption import StillWrittenError, encrypt_recording
from bridge.recordings.notes import RecordingNote
from bridge.recordings.states import (
    RecordingState,
    Retries,
    alone,
    finished_recordings,
)

_LOCK = "archive.lock"
_RUN_S = 20.0
"""A directory of old plain recordings must not keep what is found from being reported."""


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """The findings and the work of a run.

    Attributes:
        counts: finished recordings by state, after the run.
        oldest_s: how long ago the oldest in a state came into it, or its call ended; none: 0.
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
class Archive:
    """The recordings of one directory.

    Attributes:
        directory: of the calls' files.
        recipients_file: whom recordings are encrypted to; None leaves them as they are. Read at
            each run: who may open new recordings is changed by writing the file.
    """

    directory: Path
    recipients_file: Path | None
    _retries: Retries = field(default_factory=Retries)

    def look(self, now_s: float) -> ArchiveReport:
        """Count, and change nothing.

        Args:
            now_s: wall time, s since the Unix epoch.

        Raises:
            OSError: the directory can't be read.
        """
        counts: Counter[RecordingState] = Counter()
        oldest = dict.fromkeys(RecordingState, 0)
        for each in finished_recordings(self.directory):
            counts[each.state] += 1
            oldest[each.state] = max(oldest[each.state], round(now_s - each.since_s))
        return ArchiveReport({state: counts[state] for state in RecordingState}, oldest)

    def run(self, now_s: float) -> ArchiveReport:
        """Encrypt what is due, the oldest first, for 20 s at most.

        Args:
            now_s: wall time, s since the Unix epoch.

        Raises:
            OSError: the directory can't be read, or takes no files.
        """
        done, error = 0, None
        with alone(self.directory, _LOCK) as mine:
            if mine and self.recipients_file is not None:
                try:
                    done, error = self._encrypt(read_recipients(self.recipients_file), now_s)
                except ConfigError as wrong:
                    error = str(wrong)
            return replace(self.look(now_s), done=done, error=error, busy=not mine)

    def keys_in_use(self) -> Mapping[str, int]:
        """Return to how many recordings each recipient's identity is a key; "" where unknown."""
        found: Counter[str] = Counter()
        for each in finished_recordings(self.directory):
            if each.state not in (RecordingState.PLAIN, RecordingState.UNWANTED):
                note = RecordingNote.read(each.files)
                found.update(("",) if note is None else note.recipients)
        return dict(sorted(found.items()))

    def _encrypt(self, recipients: Recipients, now_s: float) -> tuple[int, str | None]:
        done, why = 0, None
        until_s = time.monotonic() + _RUN_S
        for each in finished_recordings(self.directory):
            if each.state is not RecordingState.PLAIN or time.monotonic() > until_s:
                continue
            files = each.files
            if self._retries.wait(files.call_id, now_s):
                why = why or "some failed, and are tried again later"
                continue
            try:
                encrypt_recording(files, recipients)
            except (StillWrittenError, FileNotFoundError):
                continue
            except OSError as error:
                why = f"{files.audio.name} is not encrypted: {error.strerror or error}"
                self._retries.failed(files.call_id, now_s, why)
                continue
            self._retries.succeeded(files.call_id)
            done += 1
        return done, why
