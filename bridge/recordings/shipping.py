"""Ships encrypted recordings to a bucket, deletes here what is there, and there what is unwanted.

A local copy goes only once the bucket's own was checked (`bridge.recordings.bucket`). Where the
storage is away nothing is lost: recordings stay here, encrypted, and are tried again, slower and
slower. A held call's copy stays. Everything here blocks.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from bridge.config.archive import RecordingsSettings
from bridge.recordings.age_keys import check_keys
from bridge.recordings.bucket import BucketError, RecordingBucket, check_bucket
from bridge.recordings.files import CallFiles
from bridge.recordings.notes import RecordingNote
from bridge.recordings.states import (
    FinishedRecording,
    RecordingState,
    Retries,
    alone,
    finished_recordings,
)

_LOCK = "ship.lock"
_STORAGE = "the storage"


class DamagedHereError(Exception):
    """An encrypted recording that is not as it was written: it is not shipped over a good one."""


def check_archive(settings: RecordingsSettings, environ: Mapping[str, str]) -> None:
    """Check before any call is taken that recordings can be encrypted, played and shipped.

    Raises:
        ConfigError: a key or the library for S3 is missing, or keys don't fit.
    """
    check_keys(settings.recipients_file, settings.identities_file)
    if settings.s3 is not None:
        check_bucket(settings.s3, environ)


@dataclass(slots=True)
class Shipping:
    """The way of one directory's recordings to a bucket.

    Attributes:
        directory: of the calls' files.
        bucket: where they go.
        keep_local_s: how long a copy stays here once it is there.
    """

    directory: Path
    bucket: RecordingBucket
    keep_local_s: int
    _retries: Retries = field(default_factory=Retries)

    def run(self, now_s: float) -> tuple[int, str | None]:
        """Do what is due, the oldest first.

        Args:
            now_s: wall time, s since the Unix epoch.

        Returns:
            How many recordings went one state further, and why others did not.

        Raises:
            OSError: the directory can't be read, or takes no files.
        """
        if self._retries.wait(_STORAGE, now_s):
            return 0, "the storage failed, and is tried again later"
        done, why = 0, None
        with alone(self.directory, _LOCK) as mine:
            for each in finished_recordings(self.directory) if mine else ():
                try:
                    done += self._step(each, now_s)
                except BucketError as error:  # the others would fail likewise, each for a minute
                    why = str(error)
                    self._retries.failed(_STORAGE, now_s, why)
                    return done, why
                except FileNotFoundError:  # deleted meanwhile
                    continue
                except (DamagedHereError, OSError) as error:
                    why = f"{each.files.encrypted.name} is not shipped: {error}"
                    self._retries.failed(each.files.call_id, now_s, why)
        if why is None:
            self._retries.succeeded(_STORAGE)
        return done, why

    def _step(self, recording: FinishedRecording, now_s: float) -> bool:
        step = _STEPS.get(recording.state)
        if step is None or self._retries.wait(recording.files.call_id, now_s):
            return False
        took_it_further = step(self, recording.files, now_s)
        self._retries.succeeded(recording.files.call_id)
        return took_it_further

    def ship(self, files: CallFiles, now_s: float) -> bool:
        """Put a recording into the bucket, and note that it is there; always True."""
        note = _checked(files, RecordingNote.read(files))
        note = replace(note, bucket=self.bucket.name, key=self.bucket.key_of(files.call_id))
        note.write(files.shipping)
        self.bucket.put(files.encrypted, note)
        replace(note, shipped_at=_iso(now_s)).write(files.shipped)
        files.shipping.unlink(missing_ok=True)
        files.note.unlink(missing_ok=True)
        if not files.encrypted.exists():  # deleted meanwhile: the bucket's is unwanted, too
            files.delete_audio()
        return True

    def drop(self, files: CallFiles, now_s: float) -> bool:
        """Delete the local copy of what is in the bucket, once its time is over."""
        if files.hold.exists() or now_s - files.shipped.stat().st_mtime < self.keep_local_s:
            return False
        files.encrypted.unlink(missing_ok=True)
        return True

    def take_back(self, files: CallFiles, now_s: float) -> bool:
        """Delete in the bucket what is deleted here; always True."""
        note = RecordingNote.read(files)
        if note is None:
            raise DamagedHereError(f"{files.unwanted} can't be read")
        self.bucket.delete(note)
        files.unwanted.unlink(missing_ok=True)
        return True


_STEPS: Mapping[RecordingState, Callable[[Shipping, CallFiles, float], bool]] = MappingProxyType(
    {
        RecordingState.ENCRYPTED: Shipping.ship,
        RecordingState.SHIPPED: Shipping.drop,
        RecordingState.UNWANTED: Shipping.take_back,
    }
)


def fetch_recording(files: CallFiles, bucket: RecordingBucket) -> None:
    """Bring a shipped recording's encrypted file back to this disk, for as long as one stays here.

    Raises:
        BucketError: it can't be had, or is not what was shipped.
        FileNotFoundError: it was not shipped.
        OSError: the disk refused.
    """
    note = RecordingNote.read(files)
    if note is None or not files.shipped.exists():
        raise FileNotFoundError(files.shipped)
    try:
        with files.unfinished.open("wb") as output:
            bucket.get(note, output)
            output.flush()
            os.fsync(output.fileno())
        files.unfinished.replace(files.encrypted)
        os.utime(files.shipped)
    except BaseException:
        files.unfinished.unlink(missing_ok=True)
        raise


def _checked(files: CallFiles, note: RecordingNote | None) -> RecordingNote:
    """Return the note of an encrypted file, once that is known to be as it was written."""
    with files.encrypted.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size_bytes = os.fstat(file.fileno()).st_size
    if note is None:
        return RecordingNote("", (), size_bytes, sha256)
    if note.sha256 != sha256:
        raise DamagedHereError(
            "it is not as it was written, by its SHA-256: take it from a backup, or delete its note"
        )
    return note


def _iso(now_s: float) -> str:
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
