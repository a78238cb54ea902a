"""deploy/container/Containerfile, read: its stages, and the instructions of each."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.deploy.rules import DEPLOY

CONTAINER = DEPLOY / "container"
FILE = CONTAINER / "Containerfile"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a stage.

    Attributes:
        name: RUN, COPY, ...
        rest: what follows it, on one line.
    """

    name: str
    rest: str

    def words(self) -> list[str]:
        """Return what follows as words, whichever way it is written."""
        if self.rest.startswith("["):
            found: list[str] = json.loads(self.rest)
            return found
        return shlex.split(self.rest)


def read_stages() -> dict[str, list[Instruction]]:
    """Return the instructions by stage; what stands before the first one is of ""."""
    stages: dict[str, list[Instruction]] = {"": []}
    current = ""
    for each in _instructions(FILE.read_text(encoding="utf-8")):
        if each.name == "FROM":
            current = each.words()[2] if len(each.words()) > 2 else "last"
            stages[current] = []
        stages[current].append(each)
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not re.match(r"\s*#", line)]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield Instruction(name, re.sub(r"\s+", " ", rest.strip()))
