"""Opens a recording for whoever plays or reads it, encrypted or not.

It opens as a WAV file under a path of this process's own. What was decrypted is in memory that has
no name in any file system (Linux's `memfd_create`), and goes with the process at the latest.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigError
from bridge.recordings.age_keys import read_identities
from bridge.recordings.encryption import decrypt_recording
from bridge.recordings.files import CallFiles
from bridge.recordings.notes import RecordingNote


class NotReadableHereError(ConfigError):
    """An encrypted recording that no identity of this node opens."""


@dataclass(frozen=True, slots=True)
class OpenedRecording:
    """A recording that can be read as a WAV file until it is closed, whatever becomes of its file.

    Attributes:
        descriptor: of the plain file, or of the memory with what was decrypted.
    """

    descriptor: int

    @property
    def path(self) -> Path:
        """By which it is opened (Linux)."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def close(self) -> None:
        """Let it go."""
        os.close(self.descriptor)


def open_recording(files: CallFiles, identities_file: Path | None) -> OpenedRecording:
    """Open a call's recording; the caller closes it.

    Args:
        files: of the call.
        identities_file: of the settings; read each time, so that no secret stays in memory.

    Raises:
        NotReadableHereError: it is encrypted, and there are no identities, or none that opens it;
            or it is in a bucket alone.
        ConfigError: the identities can't be read.
        InfrastructureError: it is damaged.
        OSError: there is none, or it can't be read.
    """
    with suppress(FileNotFoundError):
        return OpenedRecording(os.open(files.audio, os.O_RDONLY))
    note = RecordingNote.read(files)
    if files.is_remote and note is not None:
        raise NotReadableHereError(
            f"the recording of {files.call_id} is in the bucket {note.bucket} as {note.key}, and no"
            " longer on this disk",
            remedy=f"fetch it: bridge recordings fetch {files.call_id}",
        )
    to_whom = "" if note is None else f" to {', '.join(note.recipients)}"
    return open_encrypted(
        files.encrypted, f"{files.call_id} is encrypted{to_whom}", identities_file
    )


def open_encrypted(encrypted: Path, what: str, identities_file: Path | None) -> OpenedRecording:
    """Open an encrypted recording, wherever its file comes from; the caller closes it.

    Args:
        encrypted: an age file.
        what: begins the sentence of an error, behind "the recording of".
        identities_file: of the settings.

    Raises:
        Whatever :func:`open_recording` does.
    """
    written = encrypted.stat()
    if identities_file is None:
        raise NotReadableHereError(
            f"the recording of {what}, and there is no identity here to open it",
            remedy="set recordings.identities_file, or decrypt it where the identity is:"
            " bridge recordings decrypt CALL_ID --identities FILE --out FILE.wav",
        )
    identities = read_identities(identities_file)
    memory = os.memfd_create("recording")
    try:
        with open(memory, "wb", closefd=False) as output:
            try:
                decrypt_recording(encrypted, output, identities)
            except ConfigError as error:
                raise NotReadableHereError(
                    f"the recording of {what}, and no identity in {identities_file} opens it",
                    remedy="add the identity of one of its recipients",
                ) from error
        # A player's ranges belong to one content by its time.
        os.utime(memory, ns=(written.st_atime_ns, written.st_mtime_ns))
    except BaseException:
        os.close(memory)
        raise
    return OpenedRecording(memory)


@contextmanager
def opened_recording(files: CallFiles, identities_file: Path | None) -> Iterator[Path]:
    """Give the path of a call's plain recording while the block runs.

    Raises:
        Whatever :func:`open_recording` does.
    """
    opened = open_recording(files, identities_file)
    try:
        yield opened.path
    finally:
        opened.close()
