"""A simulator and a Redis for a whole module; what each test starts, it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import simulating


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `bridge simulate` with the scenario that comes with the package."""
    with simulating(tmp_path_factory.mktemp("simulator")) as url:
        yield url


@pytest.fixture(scope="session")
def shipped_dialplans() -> Path:
    """The dialplans that come with the repository."""
    return Path(__file__).parent.parent.parent / "dialplans"
