"""Where the source comes from: Debian's source packages, or a tree that the user has.

Debian sid's `asterisk` carries all of pjproject as one of its tarballs
(`...orig-Xpjproject.tar.xz`). libsrtp is that of the machine's own release, with Debian's patches:
Debian compiles it with NSS, which takes six times as long for a packet as OpenSSL and has no GCM.
apt fetches both, and its signatures vouch for them, with a sources list and package lists of our
own: the machine's stay as they are.
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

    def put_srtp(self, into: Path, log: Log) -> bool:
        """Put libsrtp's source there; return False to take the machine's libsrtp.

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

    def put_srtp(self, into: Path, log: Log) -> bool:
        """Leave libsrtp to the machine, which may have no apt."""
        return False


class _SourcePackage:
    """A source package of one of Debian's suites, in a directory of its own.

    Asks the mirror at once which version there is.

    Args:
        log: takes apt's output.

    Raises:
        BuildError: no apt, no Debian mirror among the machine's sources, or no network.
    """

    def __init__(self, suite: str, name: str, log: Log) -> None:
        if shutil.which("apt-get") is None:
            raise BuildError(
                "PJSIP's source is fetched with apt, and this system has none", remedy=_OWN_TREE
            )
        self._name = name
        self._held = tempfile.TemporaryDirectory(prefix=f"{name}-source-")
        self._place = place = Path(self._held.name)
        for each in ("lists/partial", "cache/archives/partial", "parts"):
            (place / each).mkdir(parents=True)
        signed_by = f"Signed-By: {_KEYRING}\n" if _KEYRING.exists() else ""
        (place / "debian.sources").write_text(
            f"Types: deb-src\nURIs: {_debian_mirror()}\nSuites: {suite}\n"
            f"Components: main\n{signed_by}"
        )
        self._options = [
            *("-o", f"Dir::Etc::SourceList={place}/debian.sources"),
            *("-o", f"Dir::Etc::SourceParts={place}/parts"),
            *("-o", f"Dir::State::Lists={place}/lists"),
            *("-o", f"Dir::Cache={place}/cache"),
            *("-o", "Acquire::Retries=2"),
            *("-o", "Acquire::http::Timeout=20"),
        ]
        log.run(
            ["apt-get", *self._options, "-o", "APT::Update::Error-Mode=any", "update"],
            failure=f"apt cannot read the package lists of Debian {suite}",
            remedy=f"see whether this machine reaches its apt mirror, or {_OWN_TREE}",
        )
        self.version = self._newest(suite)

    def _newest(self, suite: str) -> str:
        known = subprocess.run(
            ["apt-cache", *self._options, "showsrc", "--only-source", self._name],
            capture_output=True,
            text=True,
        ).stdout
        versions = re.findall(r"^Version: (\S+)$", known, re.MULTILINE)
        if not versions:
            raise BuildError(
                f"Debian {suite} has no source package `{self._name}` now", remedy=_OWN_TREE
            )
        return str(versions[-1])

    def download(self, log: Log) -> Path:
        """Download it; return where its files are."""
        log.run(
            ["apt-get", *self._options, "source", "--download-only", self._name],
            cwd=self._place,
            failure=f"apt cannot download the source package `{self._name}`",
            remedy=f"see whether this machine reaches its apt mirror, or {_OWN_TREE}",
        )
        return self._place


class Debian:
    """The pjproject in sid's `asterisk`, and the libsrtp of the machine's own release.

    Args:
        log: takes apt's output.

    Raises:
        BuildError: as for :class:`_SourcePackage`.
    """

    def __init__(self, log: Log) -> None:
        self._asterisk = _SourcePackage("sid", "asterisk", log)
        release = platform.freedesktop_os_release().get("VERSION_CODENAME", "sid")
        self._libsrtp = _SourcePackage(release, "libsrtp2", log)
        self.name = f"debian-{self._asterisk.version}-libsrtp-{self._libsrtp.version}"

    def put(self, into: Path, log: Log) -> None:
        """Download the source package and unpack its pjproject."""
        tarballs = list(self._asterisk.download(log).glob("*Xpjproject.tar.*"))
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

    def put_srtp(self, into: Path, log: Log) -> bool:
        """Download libsrtp and unpack it with Debian's patches."""
        (described,) = self._libsrtp.download(log).glob("libsrtp2_*.dsc")
        # apt has checked what the signed lists say of these files.
        log.run(
            ["dpkg-source", "--no-check", "-x", described, into],
            failure=f"{described.name} cannot be unpacked",
        )
        return True


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
