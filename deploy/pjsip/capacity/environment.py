"""The virtual environment that the wheel goes into: the one of the Python that runs this."""

import os
import subprocess
import sys
from pathlib import Path

from capacity.recipe import Variant
from capacity.work import BuildError, Log

# Loads the extension and looks for what only a build for the bridge has.
_PROBE = """
import ctypes, pjsua2, pjsua2._pjsua2 as extension
ctypes.CDLL(extension.__file__).pjmedia_mem_capture_create
print(pjsua2.__version__)
"""


def check_environment() -> None:
    """See that this Python is a virtual environment's, with pip.

    Raises:
        BuildError: it isn't.
    """
    if sys.prefix == sys.base_prefix:
        raise BuildError(
            f"no virtual environment: {sys.executable} is the system's Python",
            remedy="activate one, or `.venv/bin/python deploy/pjsip/build`, or --wheel-only",
        )


def install(wheel: Path, variant: Variant, log: Log) -> None:
    """Install a wheel in place of any `pjsua2-python`, and see that it loads.

    Raises:
        BuildError: pip failed, or the bindings don't load.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    log.run(
        [*pip, "install", "--no-index", "--no-deps", "--force-reinstall", wheel],
        failure=f"pip cannot install {wheel}",
    )
    probe(log, variant)


def needed(variant: Variant) -> dict[str, str]:
    """Return the environment variables that a Python which loads the extension must start with.

    The sanitizer's library has to come before all others; what Python itself leaves behind at its
    end is no fault.
    """
    if not variant.preloaded:
        return {}
    paths = [
        subprocess.check_output(["g++", f"-print-file-name={library}"], text=True).strip()
        for library in variant.preloaded
    ]
    return {"LD_PRELOAD": ":".join(paths), "ASAN_OPTIONS": "detect_leaks=0"}


def probe(log: Log, variant: Variant, packages: Path | None = None) -> None:
    """See that the bindings load, from a directory or from the environment.

    Raises:
        BuildError: they don't, or they are not ours.
    """
    path = {} if packages is None else {"PYTHONPATH": str(packages)}
    log.run(
        [sys.executable, "-c", _PROBE],
        env=os.environ | needed(variant) | path,
        failure="the built pjsua2 does not load",
        remedy="build it anew: --rebuild",
    )
