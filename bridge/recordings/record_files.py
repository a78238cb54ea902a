"""Writes a call's record to the disk: two JSON files, a line in the list of calls, its wrap-up."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from bridge.recordings.files import CDR_FILE, CallFiles
from bridge.recordings.writing import append_line, write_json

Content = dict[str, object]


@dataclass(frozen=True, slots=True)
class RecordFiles:
    """The record of one call, ready to be written. Writing blocks.

    Attributes:
        record: of ``<call_id>.json``; ``figures``: of ``metrics/session_<call_id>.json``.
        line: of ``calls.jsonl``.
    """

    call_id: str
    record: Content
    figures: Content
    line: Content

    def write(self, directory: Path) -> None:
        """Write the files, each whole or not at all.

        Raises:
            OSError: one could not be written; the others were tried.
        """
        self._write(directory, lambda: append_line(directory / CDR_FILE, self.line))

    def write_again(self, directory: Path) -> None:
        """Write files of which some may be there already.

        Raises:
            OSError: as :meth:`write`.
        """

        def add_line() -> None:
            if not _has_line(directory / CDR_FILE, self.call_id):
                append_line(directory / CDR_FILE, self.line)

        self._write(directory, add_line)

    def _write(self, directory: Path, add_line: Callable[[], None]) -> None:
        files = CallFiles(directory, self.call_id)
        failure: OSError | None = None
        steps: tuple[Callable[[], None], ...] = (
            lambda: write_json(files.record, self.record),
            lambda: write_json(files.figures, self.figures),
            add_line,
        )
        for step in steps:
            try:
                step()
            except OSError as error:
                failure = error
        if failure is not None:
            raise failure

    def to_text(self) -> str:
        """Return it as :meth:`from_text` reads it."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what :meth:`to_text` made."""
        return cls(**json.loads(text))


def _has_line(path: Path, call_id: str) -> bool:
    wanted = json.dumps(call_id).encode()
    try:
        with path.open("rb") as file:
            return any(wanted in line for line in file)
    except FileNotFoundError:
        return False


def add_wrap_up(directory: Path, call_id: str, wrap_up: Mapping[str, object]) -> bool:
    """Write a wrap-up into a call's record; return whether there is a record.

    Raises:
        OSError: the disk refused.
    """
    path = CallFiles(directory, call_id).record
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    write_json(path, {**record, "wrap_up": dict(wrap_up)})
    return True
