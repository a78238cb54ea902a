"""What holds for every test."""

from importlib.metadata import version
from typing import Any

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


_TABLES = pytest.StashKey[dict[str, list[str]]]()
"""Lines for the end of the run, whether it failed or not, by their table's title."""


def show(config: pytest.Config, title: str, rows: list[str]) -> None:
    """Show lines in a table at the end of the run."""
    config.stash.setdefault(_TABLES, {}).setdefault(title, []).extend(rows)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the tables to the process that reports, where this is a worker of pytest-xdist."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tables"] = session.config.stash.get(_TABLES, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # Any: a class of pytest-xdist's
    """Take a worker's tables."""
    for title, rows in getattr(node, "workeroutput", {}).get("tables", {}).items():
        show(node.config, title, rows)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the tables."""
    for title, rows in config.stash.get(_TABLES, {}).items():
        terminalreporter.section(title)
        for row in rows:
            terminalreporter.write_line(row)
