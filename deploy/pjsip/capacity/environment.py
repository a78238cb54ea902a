"""The virtual environment that the wheel goes into: the one of the Python that runs this."""

import os
import sys
from pathlib import Path

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


def install(wheel: Path, log: Log) -> None:
    """Install a wheel in place of any `pjsua2-python`, and see that it loads.

    Raises:
        BuildError: pip failed, or the bindings don't load.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    log.run(
        [*pip, "install", "--no-index", "--no-deps", "--force-reinstall", wheel],
        failure=f"pip cannot install {wheel}",
    )
    probe(log)


def probe(log: Log, packages: Path | None = None) -> None:
    """See that the bindings load, from a directory or from the environment.

    Raises:
        BuildError: they don't, or they are not ours.
    """
    path = {} if packages is None else {"PYTHONPATH": str(packages)}
    log.run(
        [sys.executable, "-c", _PROBE],
        env=os.environ | path,
        failure="the built pjsua2 does not load",
        remedy="build it anew: --rebuild",
    )
