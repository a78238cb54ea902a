"""Encrypts recordings to age's recipients, crash-safely, and decrypts them.

What lies on the disk afterwards is a plain age file: Debian's `age -d -i IDENTITIES` opens it
without this project. A process that is killed, or a power cut, at any point leaves the plain file,
the whole encrypted one, or both; never neither, and the next run finishes it. Everything here
blocks.
"""

import errno
import fcntl
import hashlib
import io
import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pyrage

from bridge.errors import ConfigError, InfrastructureError
from bridge.recordings.age_keys import Identities, Recipients
from bridge.recordings.files import CallFiles
from bridge.recordings.notes import RecordingNote

# Of the format (https://age-encryption.org/v1): the payload is a nonce, then chunks with a tag.
_CHUNK_BYTES = 64 * 1024
_NONCE_BYTES = _TAG_BYTES = 16
_HEADER_END = b"\n---"
_LARGEST_HEADER_BYTES = 64 * 1024

_PAUSE_BYTES = 256 * 1024
"""Decrypting takes 0.7 ms for so much; in the gateway its thread then lets the loop's go on."""


class StillWrittenError(Exception):
    """A recording that its call still writes to."""


class _Output(io.RawIOBase):
    """A file that is hashed as it is written, and remembers why it could not be.

    pyrage turns an exception of its writer into one of its own, without the error number.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self.refused: OSError | None = None
        self._pause_at = _PAUSE_BYTES

    def write(self, content: bytes) -> int:  # type: ignore[override]  # pyrage passes bytes
        """Write all of it."""
        try:
            self.file.write(content)
        except OSError as error:
            self.refused = error
            raise
        self.digest.update(content)
        self.size_bytes += len(content)
        if self.size_bytes >= self._pause_at:
            self._pause_at += _PAUSE_BYTES
            time.sleep(0)
        return len(content)


def encrypt_recording(files: CallFiles, recipients: Recipients) -> None:
    """Put the encrypted recording in the place of the plain one.

    Args:
        files: of a call with a plain recording.
        recipients: who can open it.

    Raises:
        StillWrittenError: the call still writes to it.
        OSError: the disk refused; the plain file is as it was.
    """
    with files.audio.open("rb") as plain:
        try:
            fcntl.flock(plain, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StillWrittenError from None
        status = os.fstat(plain.fileno())
        try:
            if not is_whole(files.encrypted, status.st_size):
                _write_encrypted(plain, files, recipients, status)
        except FileNotFoundError:
            if files.audio.exists():
                raise
        if files.audio.exists():
            files.audio.unlink()
        else:  # deleted meanwhile, and so is what was made of it
            files.delete_audio()
    _sync_directory(files.directory)


def decrypt_recording(encrypted: Path, output: BinaryIO, identities: Identities) -> None:
    """Write the plain recording.

    Args:
        encrypted: an age file.
        output: gets the plain content; what it got by the time of an error is worth nothing.
        identities: one of them opens it.

    Raises:
        ConfigError: none of them does.
        InfrastructureError: the file is damaged, or cut off.
        OSError: the file can't be read, or the output refused.
    """
    sink = _Output(output)
    with encrypted.open("rb") as source:
        try:
            # A payload that is damaged is an OSError without a number, a header a DecryptError.
            pyrage.decrypt_io(source, sink, list(identities.keys))
        except (pyrage.DecryptError, OSError) as error:
            if sink.refused is not None:
                raise sink.refused from None
            if isinstance(error, OSError) and error.errno is not None:
                raise
            if "No matching keys" in str(error):
                raise ConfigError(
                    "none of the identities opens it",
                    path=str(encrypted),
                    remedy="add the identity of a recipient that it was encrypted to",
                ) from error
            raise InfrastructureError(
                f"{encrypted} is damaged or cut off ({error})",
                remedy="take it from the copy that was shipped, or from a backup",
            ) from error


def is_whole(encrypted: Path, plain_bytes: int) -> bool:
    """Return whether a file is an age file of a plain content of this size, by its own size."""
    try:
        return _fits(encrypted, plain_bytes)
    except FileNotFoundError:
        return False


def _fits(encrypted: Path, plain_bytes: int) -> bool:
    with encrypted.open("rb") as file:
        head = file.read(_LARGEST_HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
    end = head.find(_HEADER_END)
    payload_at = head.find(b"\n", end + len(_HEADER_END)) + 1
    chunks = max(1, math.ceil(plain_bytes / _CHUNK_BYTES))
    expected = _NONCE_BYTES + plain_bytes + chunks * _TAG_BYTES
    return end > 0 and payload_at > 0 and size - payload_at == expected


def _sync_directory(directory: Path) -> None:
    """Have the names in a directory outlive a power cut.

    Raises:
        OSError: the disk refused.
    """
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _write_encrypted(
    plain: BinaryIO, files: CallFiles, recipients: Recipients, status: os.stat_result
) -> None:
    try:
        with files.unfinished.open("wb") as file:
            output = _Output(file)
            try:
                pyrage.encrypt_io(plain, output, list(recipients.keys))
            except (pyrage.EncryptError, OSError) as error:
                raise output.refused or OSError(errno.EIO, str(error)) from error
            file.flush()
            os.fsync(file.fileno())
        if not _fits(files.unfinished, status.st_size):
            raise OSError(errno.EIO, "the encrypted file has not the size that it must have")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        sha256 = output.digest.hexdigest()
        RecordingNote(now, recipients.names, output.size_bytes, sha256).write(files.note)
        # Without a record, the file's age is the call's.
        os.utime(files.unfinished, ns=(status.st_atime_ns, status.st_mtime_ns))
        files.unfinished.replace(files.encrypted)
        _sync_directory(files.directory)
    except OSError:
        files.unfinished.unlink(missing_ok=True)
        raise
