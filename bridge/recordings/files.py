"""The files of stored calls: their names, and the caller, age and hold of each call.

    <call_id>.wav                      the recording
    <call_id>.wav.age                  the same, encrypted (`bridge.recordings.encryption`)
    <call_id>.archive, .shipping, .shipped, .unwanted    how far it is with its encryption, and with
                                       a copy elsewhere (`bridge.recordings.notes`)
    <call_id>.markers.jsonl            what happened where in it (`bridge.audio.markers`)
    <call_id>.json                     the call's record
    <call_id>.sip.jsonl                its SIP messages (`bridge.sip.trace`)
    <call_id>.hold                     a legal hold: nothing of the call is deleted
    metrics/session_<call_id>.json     its figures
    calls.jsonl                        one line a call (the call detail record)
    deletions.jsonl                    what was deleted, by whom and why

A call that a kill cut off has no record; its markers, or its SIP messages, say whose it is.
Everything here blocks.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bridge.audio.markers import SUFFIX as MARKERS_SUFFIX
from bridge.audio.markers import decode
from bridge.errors import ConfigError
from bridge.routing.recording import KeepDays
from bridge.sip.trace import decode_trace

CDR_FILE = "calls.jsonl"
DELETIONS_FILE = "deletions.jsonl"
METRICS_DIR = "metrics"

SIP_SUFFIX = ".sip.jsonl"
AUDIO_SUFFIX = ".wav"
ENCRYPTED_SUFFIX = ".wav.age"
SHIPPED_SUFFIX = ".shipped"
UNWANTED_SUFFIX = ".unwanted"
_SUFFIXES = (AUDIO_SUFFIX, ENCRYPTED_SUFFIX, SHIPPED_SUFFIX, MARKERS_SUFFIX, ".json", SIP_SUFFIX)
_HOLD_SUFFIX = ".hold"
_QUIET_S = 60.0
"""A file without a record that was written to within this time is of a call that goes on: a
recording is written to once a second, and an ended call's record within seconds."""


@dataclass(frozen=True, slots=True)
class CallFiles:
    """Where the files of a call are, or would be."""

    directory: Path
    call_id: str

    @property
    def audio(self) -> Path:
        """The recording, until it is encrypted."""
        return self.directory / f"{self.call_id}{AUDIO_SUFFIX}"

    @property
    def encrypted(self) -> Path:
        """The encrypted recording; whole where it exists."""
        return self.directory / f"{self.call_id}{ENCRYPTED_SUFFIX}"

    @property
    def unfinished(self) -> Path:
        """The encrypted recording while it is written."""
        return self.directory / f"{self.call_id}{ENCRYPTED_SUFFIX}.part"

    @property
    def note(self) -> Path:
        """The archive's note on the recording, until it is shipped."""
        return self.directory / f"{self.call_id}.archive"

    @property
    def shipping(self) -> Path:
        """The same, of one that is on its way to a bucket."""
        return self.directory / f"{self.call_id}.shipping"

    @property
    def shipped(self) -> Path:
        """The same, of one that is in a bucket."""
        return self.directory / f"{self.call_id}{SHIPPED_SUFFIX}"

    @property
    def unwanted(self) -> Path:
        """The same, of one that is to be deleted there."""
        return self.directory / f"{self.call_id}{UNWANTED_SUFFIX}"

    @property
    def has_audio(self) -> bool:
        """Whether there is a recording, here or in a bucket."""
        return any(path.exists() for path in (self.encrypted, self.audio, self.shipped))

    @property
    def is_remote(self) -> bool:
        """Whether the recording is in a bucket alone."""
        return self.shipped.exists() and not self.encrypted.exists()

    def delete_audio(self) -> None:
        """Delete the recording here in every form; one that was shipped becomes unwanted.

        The plain one goes first, and the notes are looked at again at the end: whoever encrypts or
        ships it just now then sees that it is gone, and takes back what was made of it.

        Raises:
            OSError: one can't be deleted.
        """
        self.audio.unlink(missing_ok=True)
        self._take_back()
        for path in (self.encrypted, self.unfinished, self.note):
            path.unlink(missing_ok=True)
        self._take_back()

    def _take_back(self) -> None:
        for path in (self.shipping, self.shipped):
            with suppress(FileNotFoundError):
                path.replace(self.unwanted)

    @property
    def markers(self) -> Path:
        """What happened where in it."""
        return self.directory / f"{self.call_id}{MARKERS_SUFFIX}"

    @property
    def record(self) -> Path:
        """The call's record."""
        return self.directory / f"{self.call_id}.json"

    @property
    def sip(self) -> Path:
        """The call's SIP messages."""
        return self.directory / f"{self.call_id}{SIP_SUFFIX}"

    @property
    def figures(self) -> Path:
        """The call's figures."""
        return self.directory / METRICS_DIR / f"session_{self.call_id}.json"

    @property
    def hold(self) -> Path:
        """The legal hold."""
        return self.directory / f"{self.call_id}{_HOLD_SUFFIX}"


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call of which there are files.

    Attributes:
        caller: as SIP named them; empty where nothing says who.
        asserted: as the network knew them.
        started_at_ms: wall time, ms since the Unix epoch.
        keep_days: as its dialplan had it then.
        held: nothing of it may be deleted.
        going_on: its files are still being written.
    """

    files: CallFiles
    caller: str
    asserted: str
    started_at_ms: int
    keep_days: KeepDays
    held: bool
    going_on: bool


def stored_calls(directory: Path) -> Iterator[StoredCall]:
    """Yield every call of which there are files, in the order of their ids."""
    names = {
        path.name.removesuffix(suffix)
        for suffix in _SUFFIXES
        for path in directory.glob(f"c_*{suffix}")
    }
    for call_id in sorted(names):
        yield read_call(CallFiles(directory, call_id))


def find_call(directory: Path, beginning: str) -> StoredCall:
    """Return the one call whose id begins so.

    Raises:
        ConfigError: there is none, or several.
    """
    found = [each for each in stored_calls(directory) if each.files.call_id.startswith(beginning)]
    if len(found) != 1:
        raise ConfigError(
            f"{len(found) or 'no'} call{'s' if found else ''} in {directory} known by"
            f" '{beginning}'",
            remedy="give more of its id; the files are called after it",
        )
    return found[0]


def read_call(files: CallFiles) -> StoredCall:
    """Read whose a call's files are."""
    about = _record(files.record)
    if about is None:
        about = decode(_content(files.markers)).header or _header(files.sip)
    started = about.get("started_at_ms")
    parts = (files.audio, files.encrypted, files.shipped, files.markers, files.record, files.sip)
    present = [path for path in parts if path.exists()]
    written_s = max((path.stat().st_mtime for path in present), default=0.0)
    return StoredCall(
        files=files,
        caller=str(about.get("caller", "")),
        asserted=str(about.get("asserted", "")),
        started_at_ms=started if isinstance(started, int) else round(written_s * 1000),
        keep_days=_keep_days(about),
        held=files.hold.exists(),
        going_on=not files.record.exists() and time.time() - written_s < _QUIET_S,
    )


def _record(path: Path) -> Mapping[str, object] | None:
    try:
        found = json.loads(_content(path))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _header(path: Path) -> Mapping[str, object]:
    try:
        return decode_trace(_content(path)).about
    except ValueError:
        return {}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _keep_days(about: Mapping[str, object]) -> KeepDays:
    try:
        return KeepDays.model_validate(about.get("keep_days") or {})
    except ValidationError:  # what can't be read is kept
        return KeepDays()
