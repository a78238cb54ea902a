"""What holds for every test."""

import gc
import logging
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import pytest
import structlog
from _pytest.runner import runtestprotocol
from hypothesis import settings

from bridge.store.local import LocalRedis, start_local_redis
from bridge.telemetry.logs import LEAST_LEVELS
from tests.support.dead_workers import watch_workers
from tests.support.longest_first import longest_first
from tests.support.machine import MachineWatch, Timing, all_inconclusive

# Speed is measured in tests/bench; a busy machine must not turn a test red.
settings.register_profile("bridge", deadline=None)
settings.load_profile("bridge")


def pytest_configure(config: pytest.Config) -> None:
    """See that a worker which dies is heard."""
    watch_workers(config)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `capacity` on the pip wheel; asked for by `-m capacity`, it fails."""
    installed = version("pjsua2-python")
    if item.get_closest_marker("capacity") is None or "+capacity" in installed:
        return
    reason = (
        f"needs the capacity build of PJSIP (deploy/pjsip/build), not pjsua2-python {installed}"
    )
    if item.config.getoption("markexpr").startswith("capacity"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


_WATCH = pytest.StashKey[MachineWatch]()
_ALONE = ("nightly", "library", "clients")
"""Have a machine of their own, or one that is theirs alone; what fails there is not repeated."""
_REPEATS = 3
_REPEATS_IN_ALL = 12
"""In one worker; where more fails, the machine is not all that is wrong."""
_CONCLUSIVE = pytest.StashKey[bool]()
"""Of a test: something failed that is no inconclusive time."""
_TIMED_APART = "tests that measure time: run alone, by `pytest -m timed`"


@pytest.fixture(scope="module")
def redis() -> Iterator[LocalRedis]:
    """A Redis of the module's own."""
    with start_local_redis() as server:
        yield server


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Undo what a command that ran in this process set up for its logs."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.contextvars.clear_contextvars()
    if not structlog.is_configured():
        return
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
    root.setLevel(level)
    for name in LEAST_LEVELS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def timing(request: pytest.FixtureRequest) -> Timing:
    """Return what holds measured times against their limits; marks the test `timed`."""
    watch = _watch_machine(request.node)
    return Timing(lambda: watch.worst)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what measures time, and leave it out where other tests would run beside it."""
    timed = [item for item in items if _measures_time(item)]
    for item in timed:
        item.add_marker(pytest.mark.timed)
    worker: dict[str, Any] = getattr(config, "workerinput", {})  # of pytest-xdist
    if worker.get("workercount", 1) > 1:
        apart = set(timed)
        items[:] = longest_first([item for item in items if item not in apart])
        config.hook.pytest_deselected(items=timed)
        if timed and worker["workerid"] == "gw0":
            show(config, _TIMED_APART, [f"{len(timed)} of {len(timed) + len(items)}"])


def _measures_time(item: pytest.Item) -> bool:
    if any(item.get_closest_marker(mark) for mark in _ALONE):
        return False
    return "timing" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put down a failure that is more than a time that nothing can be concluded from."""
    report = yield
    if report.failed and call.excinfo is not None and not all_inconclusive(call.excinfo.value):
        item.stash[_CONCLUSIVE] = True
    return report


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Measure a time again that was over its limit while the machine let a process wait.

    It begins with nothing from before: fixtures of modules are made anew, too, which
    pytest-rerunfailures 16 does not do, and what a call has counted would be counted twice.
    """
    if item.get_closest_marker("timed") is None:
        return None
    watch = _watch_machine(item)
    watch.begin(item.path)  # of a file, what its tests share counts for each
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for _ in range(_REPEATS):
        if not _excused(item, reports):
            break
        item.session._setupstate.teardown_exact(None)
        _free_what_the_attempt_left(item.config)
        watch.forget()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _excused(item: pytest.Item, reports: list[pytest.TestReport]) -> bool:
    """Return whether a test is to be measured again, and put down why."""
    why = next((report.longreprtext for report in reports if report.failed), None)
    told = item.config.stash.get(_TABLES, {}).get(_REPEATED, [])
    if why is None or len(told) >= _REPEATS_IN_ALL or item.stash.get(_CONCLUSIVE, False):
        return False
    found = next((line for line in why.splitlines() if line.startswith("E ")), why)
    show(item.config, _REPEATED, [f"{item.nodeid}: {found[1:].strip()}"])
    return True


def _free_what_the_attempt_left(config: pytest.Config) -> None:
    """Free it where it fails nobody: a failed test's traceback keeps sockets and loops open.

    Freed later, they would warn in whatever test runs then, of another file.
    """
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)
    with _unraisable_shown(config, "after a failed attempt: "):
        gc.collect()


_UNRAISABLE = "raised where no caller could catch it"


@contextmanager
def _unraisable_shown(config: pytest.Config, when: str) -> Iterator[None]:
    """Show what is raised in finalizers and callbacks from C, and let it fail no test."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda found: show(
        config, _UNRAISABLE, [f"{when}{found.exc_value!r} in {found.object!r}"]
    )
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _watch_machine(item: pytest.Item) -> MachineWatch:
    """Look at the machine from now on."""
    if _WATCH not in item.config.stash:
        item.config.stash[_WATCH] = MachineWatch()
        item.config.add_cleanup(item.config.stash[_WATCH].stop)
    return item.config.stash[_WATCH]


_REPEATED = "measured again: the machine denied a process its CPU"
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
