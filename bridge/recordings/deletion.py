"""Deletes the files of calls, with a line of audit for each deletion.

Everything here blocks: on the gateway's loop it belongs in a worker thread.
"""

import getpass
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bridge.audio.markers import without_texts
from bridge.recordings.files import (
    CDR_FILE,
    DELETIONS_FILE,
    CallFiles,
    StoredCall,
    stored_calls,
)
from bridge.recordings.retention import EVERYTHING, StoredPart, is_of, overdue
from bridge.recordings.writing import append_line, blank_lines, replace, write_json

_CALLS = ("audio", "transcripts", "events", "redis", "held", "going_on")


@dataclass(slots=True)
class Deletion:
    """What was deleted, or would be.

    Attributes:
        directory: of the files.
        why: ``retention``, or ``caller`` and the last two digits of the number.
        audio, transcripts: calls that lost this alone.
        events: calls that lost everything.
        held, going_on: calls that were left, and why.
        redis: calls whose state in Redis went.
        rollout_log: how many calls went from the logs that rollouts are judged by.
    """

    directory: Path
    why: str
    dry_run: bool = False
    audio: list[str] = field(default_factory=list)
    transcripts: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    going_on: list[str] = field(default_factory=list)
    redis: list[str] = field(default_factory=list)
    rollout_log: int = 0

    def as_json(self) -> dict[str, object]:
        """Return it for people and programs: what happened to which calls, and to how many."""
        calls = {name: getattr(self, name) for name in _CALLS}
        counts = {name: len(each) for name, each in calls.items()}
        counts["rollout_log"] = self.rollout_log
        return {"why": self.why, "dry_run": self.dry_run, "counts": counts, **calls}

    @property
    def deleted(self) -> bool:
        """Whether anything was."""
        return bool(self.audio or self.transcripts or self.events or self.redis or self.rollout_log)

    @property
    def left(self) -> bool:
        """Whether anything that was to go was left."""
        return bool(self.held or self.going_on)


def sweep(directory: Path, now_ms: int, *, dry_run: bool = False) -> Deletion:
    """Delete what is over its time.

    Args:
        directory: of the calls' files.
        now_ms: wall time, ms since the Unix epoch.
        dry_run: only say what would go.

    Raises:
        OSError: a file can't be deleted or rewritten; it is tried again at the next sweep.
    """
    done = Deletion(directory, "retention", dry_run)
    _delete(done, ((call, overdue(call, now_ms)) for call in stored_calls(directory)))
    return done


def delete_of_caller(directory: Path, number: str, *, dry_run: bool = False) -> Deletion:
    """Delete everything of a caller's calls.

    Args:
        directory: of the calls' files.
        number: the caller's, as SIP names it; a leading ``+`` is no difference.
        dry_run: only say what would go.

    Raises:
        OSError: a file can't be deleted or rewritten; the rest is untouched.
    """
    done = Deletion(directory, f"caller ***{number[-2:]}", dry_run)
    calls = (
        call
        for call in stored_calls(directory)
        if is_of(call.caller, number) or is_of(call.asserted, number)
    )
    _delete(done, ((call, EVERYTHING) for call in calls))
    return done


def audit(done: Deletion) -> None:
    """Put down who deleted what, when and why; nothing if nothing was deleted.

    Raises:
        OSError: it can't be put down.
    """
    if not done.deleted or done.dry_run:
        return
    _put_down(done.directory, done.as_json())


def hold(call: StoredCall, reason: str) -> None:
    """Keep a call from being deleted.

    Raises:
        OSError: the hold can't be written.
    """
    write_json(call.files.hold, {"at": _now(), "by": _user(), "reason": reason})
    _put_down(call.files.directory, {"why": "hold", "reason": reason, "held": [call.files.call_id]})


def release(call: StoredCall) -> None:
    """Take a hold back, if there is one.

    Raises:
        OSError: the hold can't be deleted.
    """
    if call.held:
        call.files.hold.unlink(missing_ok=True)
        _put_down(call.files.directory, {"why": "release", "released": [call.files.call_id]})


def _delete(done: Deletion, wanted: Iterable[tuple[StoredCall, frozenset[StoredPart]]]) -> None:
    for call, parts in wanted:
        call_id = call.files.call_id
        if parts and call.held:
            done.held.append(call_id)
        elif parts and call.going_on:
            done.going_on.append(call_id)
        elif StoredPart.EVENTS in parts:
            done.events.append(call_id)
        elif parts:
            _delete_parts(done, call.files, parts)
    if done.dry_run or not done.events:
        return
    # The record goes last: without it nothing says whose the rest is.
    for call_id in done.events:
        files = CallFiles(done.directory, call_id)
        files.delete_audio()
        for path in (files.figures, files.markers, files.sip, files.record):
            path.unlink(missing_ok=True)
    blank_lines(done.directory / CDR_FILE, frozenset(done.events))


def _delete_parts(done: Deletion, files: CallFiles, parts: frozenset[StoredPart]) -> None:
    if StoredPart.AUDIO in parts and files.has_audio:
        done.audio.append(files.call_id)
        if not done.dry_run:
            files.delete_audio()
    if StoredPart.TRANSCRIPT in parts:
        texts = [each for each in _without_texts(files) if each is not None]
        if texts:
            done.transcripts.append(files.call_id)
        if not done.dry_run:
            for path, content in texts:
                replace(path, content)


def _without_texts(files: CallFiles) -> Iterator[tuple[Path, bytes] | None]:
    """Yield the files that hold what was said, and what they are to hold."""
    with suppress(FileNotFoundError):
        markers = files.markers.read_bytes()
        left = without_texts(markers)
        yield (files.markers, left) if left != markers else None
    with suppress(FileNotFoundError, ValueError):
        record = json.loads(files.record.read_bytes())
        if record["turns"] != (turns := [{**turn, "text": None} for turn in record["turns"]]):
            record.update(turns=turns, callbacks=[])
            text = json.dumps(record, indent=2, ensure_ascii=False)
            yield files.record, f"{text}\n".encode()


def _put_down(directory: Path, what: Mapping[str, object]) -> None:
    line = {"at": _now(), "by": f"{_user()}@{socket.gethostname()}", **what}
    append_line(directory / DELETIONS_FILE, line)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
