"""The archive's notes: for each encrypted recording, to whom it is encrypted, and its checksum.

age's own header names no recipient, so that nobody learns from a file who can open it. Whoever
retires a key must know which recordings still need it: that is in the note beside them. A recording
without a note opens as well; only its keys are unknown.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from bridge.recordings.files import CallFiles
from bridge.recordings.writing import write_json

_SCHEMA = "recording-archive/v1"


@dataclass(frozen=True, slots=True)
class RecordingNote:
    """What is known of an encrypted recording.

    Attributes:
        encrypted_at: UTC, ISO 8601.
        recipients: ``age1...``; the identity of any of them opens it.
        size_bytes: of the encrypted file.
        sha256: of the encrypted file, hexadecimal.
    """

    encrypted_at: str
    recipients: tuple[str, ...]
    size_bytes: int
    sha256: str

    def write(self, files: CallFiles) -> None:
        """Write it beside its recording.

        Raises:
            OSError: the disk refused.
        """
        write_json(files.note, {"schema": _SCHEMA, "call_id": files.call_id, **asdict(self)})

    @classmethod
    def read(cls, files: CallFiles) -> Self | None:
        """Read a recording's note; None where there is none that can be read."""
        try:
            found = json.loads(files.note.read_bytes())
            return cls._of(found) if found["schema"] == _SCHEMA else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _of(cls, found: Mapping[str, Any]) -> Self:
        return cls(
            encrypted_at=str(found["encrypted_at"]),
            recipients=tuple(str(each) for each in found["recipients"]),
            size_bytes=int(found["size_bytes"]),
            sha256=str(found["sha256"]),
        )
