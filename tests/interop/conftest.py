"""One simulator and one gateway's surroundings for clients that we didn't write."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis, start_local_redis
from tests.support.processes import simulating, write_yaml

GREETING = "Your order shipped on Monday."
QUESTION = "Where is my order?"
ANSWER = "It should arrive on Thursday."


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a simulator that says little: calls are real time."""
    directory = tmp_path_factory.mktemp("simulator")
    scenario = write_yaml(
        directory / "scenario.yaml",
        {
            "name": "brief",
            "greeting": GREETING,
            "fallback": "Please say that again.",
            "rules": [{"hears": [QUESTION], "say": ANSWER}],
        },
    )
    with simulating(directory, scenario) as url:
        yield url


@pytest.fixture(scope="session")
def redis() -> Iterator[LocalRedis]:
    with start_local_redis() as server:
        yield server


@pytest.fixture
def dialplans(tmp_path: Path) -> Path:
    """Where a test writes its dialplan."""
    return tmp_path / "dialplans"
