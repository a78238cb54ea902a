"""What holds for every test."""

from functools import partial
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import settings

from tests.support.machine import MachineWatch

# Speed is measured in tests/bench; a busy machine must not turn a test red.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `capacity` on the pip wheel; asked for by `-m capacity`, it fails."""
    _watch_machine(item.config)
    installed = version("pjsua2-python")
    if item.get_closest_marker("capacity") is None or "+capacity" in installed:
        return
    reason = (
        f"needs the capacity build of PJSIP (deploy/pjsip/build), not pjsua2-python {installed}"
    )
    if item.config.getoption("markexpr") == "capacity":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


_WATCH = pytest.StashKey[MachineWatch]()
_SEVERAL_PROCESSES = ("sip", "redis", "browser", "speech")
_REPEATS = 3


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have a test of several processes repeated where it failed while one got no CPU."""

    def excused(test: str, error: BaseException | None) -> bool:
        watch = config.stash[_WATCH]
        if error is None or not watch.excuses(error):
            return False
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        show(config, "repeated: the machine was busy", [f"{test}: {watch.worst}: {told}"])
        return True

    for item in items:
        # Not for each: pytest-rerunfailures asks a socket before a test, 20 ms with pytest-xdist.
        if any(item.get_closest_marker(mark) for mark in _SEVERAL_PROCESSES):
            repeated = partial(excused, item.nodeid)
            item.add_marker(pytest.mark.flaky(reruns=_REPEATS, condition=repeated))


def _watch_machine(config: pytest.Config) -> None:
    """Look at the machine from here on; begun with the first test, so that only workers look."""
    if _WATCH not in config.stash:
        config.stash[_WATCH] = watch = MachineWatch()
        config.add_cleanup(watch.stop)
    config.stash[_WATCH].begin()


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
