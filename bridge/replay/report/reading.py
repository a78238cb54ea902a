"""Reads a run's results and history from the disk, for its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigError
from bridge.replay.results.detail import RunDetail, RunFiles
from bridge.replay.results.files import read_results, read_run
from bridge.replay.results.history import Trend, read_history, trends
from bridge.replay.results.run import WORST_FIRST, Results, RunInfo, TableRow

_TREND_RUNS = 20


@dataclass(frozen=True, slots=True)
class PlayedRun:
    """A played call, with its files if they can be read.

    Attributes:
        files: None where its folder can't be read; ``problem`` says why.
    """

    info: RunInfo
    files: RunFiles | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """The results, calls and trends that a report is made of.

    Attributes:
        runs: by script and arm, in the order of their numbers.
        trends: by script and arm; empty without a history.
    """

    directory: Path
    results: Results
    runs: Mapping[tuple[str, str], tuple[PlayedRun, ...]]
    trends: Mapping[tuple[str, str], Trend]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms; the first is what the others are compared with."""
        return tuple(arm.name for arm in self.results.arms)

    @property
    def rows(self) -> dict[tuple[str, str], TableRow]:
        """The table by script and arm."""
        return {(row.script, row.arm): row for row in self.results.table}

    def has_wire(self, script: str, arm: str) -> bool:
        """Return whether a script's wire log on an arm is known."""
        runs = self.runs.get((script, arm), ())
        return any(run.files is not None and run.files.wire for run in runs)

    def details(self, arm: str) -> list[RunDetail]:
        """Return what is known of all calls of an arm."""
        return [
            run.files.detail
            for (_, of_arm), runs in self.runs.items()
            for run in runs
            if of_arm == arm and run.files is not None
        ]


def read_material(directory: Path, history: Path | None = None) -> Material:
    """Read results, their runs, and the history that goes with them.

    A run whose folder is damaged is kept, with the reason: one lost file must not hide the others.

    Args:
        directory: that `bridge replay --report` was given.
        history: that `--history` was given.

    Raises:
        ConfigError: there are no results, or the history holds something else.
    """
    results = read_results(directory)
    runs: dict[tuple[str, str], list[PlayedRun]] = {}
    for info in sorted(results.runs, key=lambda run: run.number):
        runs.setdefault((info.script, info.arm), []).append(_read_run(directory, info))
    past = () if history is None else read_history(history)
    until_now = [summary for summary in past if summary.started_at <= results.started_at]
    return Material(
        directory,
        results,
        {place: tuple(found) for place, found in runs.items()},
        {(trend.script, trend.arm): trend for trend in trends(until_now, last=_TREND_RUNS)},
    )


def worst_first(runs: Sequence[PlayedRun]) -> list[PlayedRun]:
    """Return runs in the order of who needs a look: those that failed, those that did not pass."""
    return sorted(runs, key=lambda run: WORST_FIRST.index(run.info.verdict))


def _read_run(directory: Path, info: RunInfo) -> PlayedRun:
    try:
        return PlayedRun(info, read_run(directory / info.folder))
    except ConfigError as error:
        return PlayedRun(info, None, str(error))
