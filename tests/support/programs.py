"""Programs that tests drive and that pip doesn't install."""

import os
import shutil

import pytest


def need_program(name: str, package: str) -> str:
    """Return the path of a program; where it is missing the test skips, in CI it fails.

    Args:
        name: the program.
        package: the Debian package that holds it.
    """
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
