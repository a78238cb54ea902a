"""Images that deploy/container/build makes, in a storage of the test's own, and their files."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.compose import Image
from tests.deploy.containerfile import CONTAINER

Json = Any  # what programs print

BASE = "localhost/telephony-bridge-base"
"""What `--base mmdebstrap` has made."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image that was built, its files mounted.

    Attributes:
        image: as containers are made of it.
        config: what Docker reads of it.
    """

    image: Image
    config: Json

    @property
    def root(self) -> Path:
        """The directory of its files."""
        return self.image.root

    def files(self) -> dict[str, tuple[int, int]]:
        """Return time and size of every file."""
        found = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                status = os.lstat(os.path.join(directory, name))
                found[os.path.join(directory, name)] = (status.st_mtime_ns, status.st_size)
        return found


class Storage:
    """A place of buildah's own for images."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def build(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run the script."""
        command = [str(CONTAINER / "build"), *options, "--storage", str(self._place)]
        return subprocess.run(
            [*command, "--machine-config", "--offered-by", "Example Ltd"],
            capture_output=True,
            text=True,
            check=False,
        )

    def buildah(self, *words: str) -> str:
        """Run buildah on this place; return what it prints."""
        where = ("--root", str(self._place / "images"), "--runroot", str(self._place / "run"))
        command = ["buildah", "--storage-driver", "vfs", *where, *words]
        return subprocess.check_output(command, text=True).strip()

    @contextmanager
    def mounted(self, name: str) -> Iterator[Built]:
        """Mount an image's files."""
        config = json.loads(self.buildah("inspect", "--type", "image", name))["Docker"]["config"]
        container = self.buildah("from", name)
        try:
            root = Path(self.buildah("mount", container))
            yield Built(_image(root, config), config)
        finally:
            self.buildah("rm", container)


def _image(root: Path, config: Json) -> Image:
    user = config["User"]
    if not re.fullmatch(r"\d+:\d+", user):
        (line,) = re.findall(rf"^{user}:.*$", (root / "etc/passwd").read_text(), re.MULTILINE)
        user = ":".join(line.split(":")[2:4])
    return Image(
        root,
        config["Entrypoint"],
        user,
        dict(each.split("=", 1) for each in config["Env"]),
        config.get("WorkingDir") or "/",
    )
