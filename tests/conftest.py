"""What holds for every test."""

from importlib.metadata import version

import pytest
from hypothesis import settings

# Speed is measured in tests/bench; a busy machine must not turn a test red.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `capacity` on the pip wheel; asked for by `-m capacity`, it fails."""
    installed = version("pjsua2-python")
    if item.get_closest_marker("capacity") is None or "+capacity" in installed:
        return
    reason = (
        f"needs the capacity build of PJSIP (deploy/pjsip/build), not pjsua2-python {installed}"
    )
    if item.config.getoption("markexpr") == "capacity":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
