"""A worker of pytest-xdist that dies ends the run at once, red, with the worker's last words.

Left alone, xdist 3.8 puts another worker in its place, and may hang for ever: the new one is given
the dead one's files again, those that were done first (`LoadScopeScheduling.remove_node`), a file
without a test left to run makes a worker ask for no other, and nobody else takes the rest where the
other workers have been told that there is no more. A death after a file's last test would even
leave the run green.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bridge.processes.last_words import redirect_native_stderr

_RED = 1
_SHOWN_LINES = 200


class DyingWorker:
    """The plugin of a worker: keeps its last words, and which test it is at.

    Args:
        words: file that the process which reports reads when this one has died.
    """

    def __init__(self, words: Path) -> None:
        self._test = _test_beside(words)
        # pytest leaves descriptor 2 alone: `--capture=sys` (pyproject.toml).
        self._stderr_before = redirect_native_stderr(words)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Put down the test that begins."""
        self._test.write_text(nodeid)


class WorkersWatch:
    """The plugin of the process that reports."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="last-words-"))
        self._died = ""
        self._last_words: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # Any: a class of pytest-xdist's
        """Give a new worker the file for its last words."""
        node.workerinput["last_words"] = str(self._words_of(node))

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:  # Any: as above
        """End the run if a worker did not end in order."""
        if error is None or self._died:
            return
        words = self._words_of(node)
        test = _test_beside(words)
        at = f"in or after {test.read_text()}" if test.exists() else "before its first test"
        self._died = f"worker {node.gateway.id} died {at}"
        if words.exists():
            self._last_words = words.read_text(errors="replace").splitlines()
        pytest.exit(self._died, returncode=_RED)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show what the dead worker said."""
        if self._died:
            terminalreporter.section(f"last words: {self._died}", red=True)
            for line in self._last_words[:_SHOWN_LINES] or ["(none: it was killed)"]:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Take the files away."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _words_of(self, node: Any) -> Path:  # Any: as above
        return self._directory / f"{node.gateway.id}.txt"


def watch_workers(config: pytest.Config) -> None:
    """Register the plugin that this process needs: a worker's, or that of the one that reports."""
    given = getattr(config, "workerinput", None)
    plugin = WorkersWatch() if given is None else DyingWorker(Path(given["last_words"]))
    config.pluginmanager.register(plugin, "last-words")


def _test_beside(words: Path) -> Path:
    """Return the file that names the test a worker is at."""
    return words.with_suffix(".test")
