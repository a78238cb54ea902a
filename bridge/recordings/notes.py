"""The archive's notes: for each encrypted recording, to whom it is encrypted, and where it went.

age's own header names no recipient, so that nobody learns from a file who can open it. Whoever
retires a key must know which recordings still need it: that is in the note beside them. A recording
without a note opens as well; only its keys are unknown. The note's name says how far it is:

    ID.archive    encrypted
    ID.shipping   on its way to a bucket: it may be there in part, or whole
    ID.shipped    in the bucket, and checked
    ID.unwanted   deleted here, and to be deleted in the bucket
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bridge.recordings.files import CallFiles
from bridge.recordings.writing import write_json

_SCHEMA = "recording-archive/v1"


@dataclass(frozen=True, slots=True)
class RecordingNote:
    """The properties of an encrypted recording.

    Attributes:
        encrypted_at: UTC, ISO 8601.
        recipients: ``age1...``; the identity of any of them opens it. None: they are unknown.
        size_bytes: of the encrypted file.
        sha256: of the encrypted file, hexadecimal.
        bucket, key: where it is, or may be; "" before it is shipped.
        shipped_at: UTC, ISO 8601; "" until it is there and checked.
    """

    encrypted_at: str
    recipients: tuple[str, ...]
    size_bytes: int
    sha256: str
    bucket: str = ""
    key: str = ""
    shipped_at: str = ""

    def write(self, path: Path) -> None:
        """Write it beside its recording, and to the disk.

        Raises:
            OSError: the disk refused.
        """
        call_id = path.name.partition(".")[0]
        write_json(path, {"schema": _SCHEMA, "call_id": call_id, **asdict(self)})
        with path.open("rb") as file:
            os.fsync(file.fileno())

    @classmethod
    def read(cls, files: CallFiles) -> Self | None:
        """Read a recording's note, the one that is furthest; None where none can be read."""
        for path in (files.unwanted, files.shipped, files.shipping, files.note):
            with suppress(OSError, ValueError, KeyError, TypeError):
                found = json.loads(path.read_bytes())
                if found["schema"] == _SCHEMA:
                    return cls._of(found)
        return None

    @classmethod
    def _of(cls, found: Mapping[str, Any]) -> Self:
        texts = ("encrypted_at", "sha256", "bucket", "key", "shipped_at")
        return cls(
            recipients=tuple(str(each) for each in found["recipients"]),
            size_bytes=int(found["size_bytes"]),
            **{name: str(found[name]) for name in texts},
        )
