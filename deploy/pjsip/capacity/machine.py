"""What the machine must have for the build: Linux, tools, libraries, Python's headers."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from capacity.recipe import APT_PACKAGES
from capacity.work import BuildError, Log, say, step

_TOOLS = ("g++", "make", "swig", "tar", "strip")


def check_platform() -> None:
    """See that this is Linux.

    Raises:
        BuildError: it isn't.
    """
    if not sys.platform.startswith("linux"):
        raise BuildError(
            f"the capacity build is for Linux (epoll); this is {sys.platform}",
            remedy="the pip wheel holds 4 calls, which is enough to develop with",
        )


def check_machine(log: Log) -> None:
    """See that everything is there to compile with; install Debian's packages where we may.

    Raises:
        BuildError: something is missing.
    """
    missing = _missing_packages()
    if missing:
        _install(missing, log)
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if absent:
        raise BuildError(
            f"programs needed for the build are missing: {', '.join(absent)}",
            remedy="install what Debian calls " + " ".join(APT_PACKAGES),
        )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise BuildError(
            f"Python's own headers are missing: {header}",
            remedy=f"install the headers of this Python, {_debians_python()}-dev on Debian",
        )


def _debians_python() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _missing_packages() -> list[str]:
    """Return the Debian packages that are not installed; none where there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return []
    wanted = list(APT_PACKAGES)
    if sys.base_prefix == "/usr":
        wanted.append(f"{_debians_python()}-dev")
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f=${db:Status-Abbrev} ${Package}\\n", *wanted],
        capture_output=True,
        text=True,
    ).stdout
    installed = {line.split()[1] for line in listed.splitlines() if line.startswith("ii")}
    return [name for name in wanted if name not in installed]


def _install(packages: list[str], log: Log) -> None:
    command = f"apt-get install {' '.join(packages)}"
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and not _sudo_works():
        raise BuildError(
            f"packages needed for the build are missing: {', '.join(packages)}",
            remedy=f"as root: {command}",
        )
    say(f"installing {', '.join(packages)}")
    with step("apt-get install"):
        failure = f"`{command}` failed"
        remedy = "see whether this machine reaches its apt mirror"
        log.run([*as_root, "apt-get", "update"], failure=failure, remedy=remedy)
        log.run(
            [
                *(*as_root, "env", "DEBIAN_FRONTEND=noninteractive"),
                *("apt-get", "install", "-y", "--no-install-recommends", *packages),
            ],
            failure=failure,
            remedy=remedy,
        )


def _sudo_works() -> bool:
    try:
        return subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
