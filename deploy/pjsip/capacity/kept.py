"""The wheels that were built before, outside the repository.

$XDG_CACHE_HOME/telephony-bridge/pjsip/
    <system>-<python and machine>-<fingerprint of the recipe>/<source>/pjsua2_python-*.whl
    <the same>-<check>/<source>/pjsua2_python-*.whl, of a build to find faults with
    build-<process>.log, of a build under way or failed
"""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from capacity.recipe import SERVED, Variant, fingerprint
from capacity.wheel import tag
from capacity.work import say


def cache_directory() -> Path:
    """Return where everything is kept (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "telephony-bridge", "pjsip")


def recipe_directory(variant: Variant = SERVED) -> Path:
    """Return where the wheels for this system, this Python and this recipe are kept."""
    release = platform.freedesktop_os_release()
    system = f"{release.get('ID', 'linux')}{release.get('VERSION_ID', '')}"
    check = f"-{variant.name}" if variant.name else ""
    return cache_directory() / f"{system}-{tag()}-{fingerprint()}{check}"


def wheel_from(source: str, variant: Variant) -> Path | None:
    """Return the wheel that was built from this very source."""
    return next((recipe_directory(variant) / source).glob("*.whl"), None)


def newest_debian_wheel(variant: Variant) -> Path | None:
    """Return the wheel that was last built from Debian's source."""
    wheels = recipe_directory(variant).glob("debian-*/*.whl")
    return max(wheels, key=lambda path: path.stat().st_mtime, default=None)


def keep(wheel: Path, source: str, variant: Variant) -> Path:
    """Put a built wheel into the cache, whole or not at all; return its place."""
    place = recipe_directory(variant) / source
    place.mkdir(parents=True, exist_ok=True)
    return wheel.replace(place / wheel.name)


@contextlib.contextmanager
def only_one(variant: Variant) -> Iterator[None]:
    """Hold the cache: a second build of the same waits here, and then finds the wheel."""
    directory = recipe_directory(variant)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build of the same is under way; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
