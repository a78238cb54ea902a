"""Where PJSIP's source comes from: Debian sid's `asterisk`, or a tree that the user has.

The Debian source package carries all of pjproject as one of its tarballs
(`...orig-Xpjproject.tar.xz`). apt fetches it, and its signatures vouch for it, with a sources list
and package lists of our own: the machine's stay as they are.
"""

import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple, Protocol

from capacity.recipe import OLDEST
from capacity.work import BuildError, Log

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_OWN_TREE = "set PJPROJECT_DIR to a pjproject source tree (2.15 or later) of your own"
_BUILT = ("*.o", "*.a", "*.so*", "*.depend", "output", ".git", "build.mak", "os-auto.mak")


class Source(Protocol):
    """A pjproject to build from."""

    @property
    def name(self) -> str:
        """Name and version of the source: two with the same name are the same."""
        ...

    def put(self, into: Path, log: Log) -> None:
        """Put a clean source tree into an empty directory.

        Raises:
            BuildError: it can't be had.
        """
        ...


class OwnTree:
    """A source tree that the user brought; it is copied, never written to.

    Args:
        directory: holds pjproject's `aconfigure`.

    Raises:
        BuildError: it doesn't, or it is too old.
    """

    def __init__(self, directory: Path) -> None:
        if not (directory / "aconfigure").is_file():
            raise BuildError(
                f"PJPROJECT_DIR={directory} is no pjproject source tree: it has no `aconfigure`",
                remedy="point it at the top directory of pjproject's source",
            )
        pjproject_version(directory)
        self._directory = directory
        self.name = f"tree-{self._content_hash()}"

    def _content_hash(self) -> str:
        digest = hashlib.sha256()
        for part in sorted(self._directory.glob("*/**/*.[chim]*")):
            if part.is_file():
                digest.update(str(part.relative_to(self._directory)).encode())
                digest.update(part.read_bytes())
        return digest.hexdigest()[:16]

    def put(self, into: Path, log: Log) -> None:
        """Copy the tree without what was built in it."""
        shutil.copytree(
            self._directory, into, ignore=shutil.ignore_patterns(*_BUILT), dirs_exist_ok=True
        )


class DebianSid:
    """The pjproject in the source package `asterisk` of Debian sid.

    Asks the mirror at once which version there is.

    Args:
        log: takes apt's output.

    Raises:
        BuildError: no apt, no Debian mirror among the machine's sources, or no network.
    """

    def __init__(self, log: Log) -> None:
        if shutil.which("apt-get") is None:
            raise BuildError(
                "PJSIP's source is fetched with apt, and this system has none", remedy=_OWN_TREE
            )
        self._directory = tempfile.TemporaryDirectory(prefix="pjsip-source-")
        place = Path(self._directory.name)
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (place / name).mkdir(parents=True)
        signed_by = f"Signed-By: {_KEYRING}\n" if _KEYRING.exists() else ""
        (place / "sid.sources").write_text(
            f"Types: deb-src\nURIs: {_debian_mirror()}\nSuites: sid\nComponents: main\n{signed_by}"
        )
        self._options = [
            *("-o", f"Dir::Etc::SourceList={place}/sid.sources"),
            *("-o", f"Dir::Etc::SourceParts={place}/parts"),
            *("-o", f"Dir::State::Lists={place}/lists"),
            *("-o", f"Dir::Cache={place}/cache"),
            *("-o", "Acquire::Retries=2"),
            *("-o", "Acquire::http::Timeout=20"),
        ]
        log.run(
            ["apt-get", *self._options, "-o", "APT::Update::Error-Mode=any", "update"],
            failure="apt cannot read the package lists of Debian sid",
            remedy=f"see whether this machine reaches its apt mirror, or {_OWN_TREE}",
        )
        self.name = f"debian-{self._version()}"

    def _version(self) -> str:
        known = subprocess.run(
            ["apt-cache", *self._options, "showsrc", "--only-source", "asterisk"],
            capture_output=True,
            text=True,
        ).stdout
        versions = re.findall(r"^Version: (\S+)$", known, re.MULTILINE)
        if not versions:
            raise BuildError("Debian sid has no source package `asterisk` now", remedy=_OWN_TREE)
        return str(versions[-1])

    def put(self, into: Path, log: Log) -> None:
        """Download the source package and unpack its pjproject."""
        fetched = Path(self._directory.name)
        log.run(
            ["apt-get", *self._options, "source", "--download-only", "asterisk"],
            cwd=fetched,
            failure="apt cannot download the source package `asterisk`",
            remedy=f"see whether this machine reaches its apt mirror, or {_OWN_TREE}",
        )
        tarballs = list(fetched.glob("*Xpjproject.tar.*"))
        if len(tarballs) != 1:
            raise BuildError(
                f"the source package `asterisk` ({self.name}) carries no pjproject any more",
                remedy=_OWN_TREE,
                log=log.path,
            )
        log.run(
            ["tar", "--strip-components=1", "-C", into, "-xf", tarballs[0]],
            failure=f"{tarballs[0].name} cannot be unpacked",
        )


def _debian_mirror() -> str:
    """Return the URI that this machine has Debian itself from, as apt prints it.

    Raises:
        BuildError: none of its sources is Debian.
    """
    release = platform.freedesktop_os_release()
    suites = {release.get("VERSION_CODENAME", ""), "stable", "testing", "unstable", "sid"} - {""}
    listed = subprocess.run(
        ["apt-get", "--print-uris", "update"], capture_output=True, text=True
    ).stdout
    for uri, suite in re.findall(r"^'(\S+)/dists/([^/]+)/InRelease'", listed, re.MULTILINE):
        if suite in suites and release.get("ID") == "debian":
            return str(uri)
    raise BuildError(
        f"this machine's apt sources have no Debian mirror ({release.get('PRETTY_NAME', '?')})",
        remedy=_OWN_TREE,
    )


class Version(NamedTuple):
    """A version of pjproject's, in two parts of a PEP 440 version: public, local."""

    number: str
    suffix: str


def pjproject_version(tree: Path) -> Version:
    """Read pjproject's version from its `version.mak`: ``2.17``, ``-dev`` gives ``.dev``.

    Raises:
        BuildError: there is none, or it is too old.
    """
    makefile = tree / "version.mak"
    text = makefile.read_text() if makefile.exists() else ""
    found = dict(re.findall(r"^export PJ_VERSION_(\w+)\s*:=[ \t]*(\S*)", text, re.MULTILINE))
    numbers = [int(found[part]) for part in ("MAJOR", "MINOR", "REV") if found.get(part)]
    if len(numbers) < 2:
        raise BuildError(f"{makefile} tells no version of pjproject", remedy=_OWN_TREE)
    number, suffix = ".".join(map(str, numbers)), found.get("SUFFIX", "")
    if tuple(numbers) < OLDEST:
        raise BuildError(
            f"this pjproject is {number}{suffix}; the bridge needs {'.'.join(map(str, OLDEST))}",
            remedy="take a later release",
        )
    return Version(number, suffix.replace("-", "."))
