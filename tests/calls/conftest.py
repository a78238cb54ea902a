"""What every subject's calls need: a simulator and a Redis for a module, in each dialect."""

from collections.abc import Iterator

import pytest

from tests.support.processes import simulating


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `bridge simulate` with the scenario that comes with the package."""
    with simulating(tmp_path_factory.mktemp("simulator")) as url:
        yield url


@pytest.fixture(params=["ga", "beta"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each dialect of the Realtime API."""
    name: str = request.param
    return name
