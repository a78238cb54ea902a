"""Watches which files of the bridge a thing crosses, and reads which ones ARCHITECTURE.md names."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tests.docs.pages import ROOT, read

BRIDGE = f"{ROOT / 'bridge'}/"
GENERATED = "<string>"
"""File of the methods that a dataclass is given: to keep a thing in one is not to hand it on."""


class Way:
    """Files of the bridge that take a thing and hand it on: to another file, or back.

    A file that takes it and keeps it is not on its way.

    Args:
        holds: whether a value is that thing, or has it.
    """

    def __init__(self, holds: Callable[[object], bool]) -> None:
        self._holds = holds
        self.files: set[str] = set()
        self._callers: list[tuple[str, bool]] = []

    def watch(self, frame: FrameType, event: str, given: object) -> None:
        """Take a call or a return, as :func:`sys.setprofile` reports them."""
        file, code = frame.f_code.co_filename, frame.f_code
        if event == "call":
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            carries = any(self._holds(frame.f_locals.get(name)) for name in names)
            if carries and self._callers:
                caller, carried = self._callers[-1]
                if carried and file not in (caller, GENERATED):
                    self.files.add(caller)
            self._callers.append((file, carries))
        elif event == "return" and self._callers:
            self._callers.pop()
            if self._holds(given):
                self.files.add(file)
                if self._callers:  # who asked for it has it from here on
                    self._callers[-1] = (self._callers[-1][0], True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is called within."""
        sys.setprofile(self.watch)
        try:
            yield
        finally:
            sys.setprofile(None)

    @property
    def crossed(self) -> set[str]:
        """Those of the bridge, from its folder on."""
        return {file.removeprefix(BRIDGE) for file in self.files if file.startswith(BRIDGE)}


def drawn(section: str, *stretches: str) -> set[str]:
    """Return the files that a section of ARCHITECTURE.md names for these stretches."""
    text = read(ROOT / "bridge" / "ARCHITECTURE.md").partition(f"## {section}. ")[2]
    text = text.partition("\n## ")[0]
    rows = dict(re.findall(r"^\| ([\w ]+) \| (`.*) \|$", text, flags=re.MULTILINE))
    assert rows.keys() == set(stretches)
    return {file for row in rows.values() for file in re.findall(r"`bridge/([\w/]+\.py)`", row)}
