"""A simulator and a Redis for a whole module; what each test starts, it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.store.local import LocalRedis, start_local_redis
from tests.support.processes import simulating


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `bridge simulate` with the scenario that comes with the package."""
    with simulating(tmp_path_factory.mktemp("simulator")) as url:
        yield url


@pytest.fixture(scope="module")
def redis() -> Iterator[LocalRedis]:
    with start_local_redis() as server:
        yield server


@pytest.fixture(scope="session")
def shipped_dialplans() -> Path:
    """The dialplans that come with the repository."""
    return Path(__file__).parent.parent.parent / "dialplans"


TABLE = pytest.StashKey[list[str]]()
"""Lines that are shown at the end of the run, whether it failed or not."""

ROLLOUTS = pytest.StashKey[list[str]]()
"""Likewise, of the rollouts."""


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the tables of faults and of rollouts."""
    rows = config.stash.get(TABLE, [])
    if rows:
        terminalreporter.section("faults in live calls: outcome, longest silence, what Redis says")
        for row in rows:
            terminalreporter.write_line(row)
    rollouts = config.stash.get(ROLLOUTS, [])
    if rollouts:
        terminalreporter.section("rollouts: verdict, action, seconds and calls until it, callers")
        for row in rollouts:
            terminalreporter.write_line(row)
