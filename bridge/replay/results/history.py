"""Golden history: a summary of every run of `bridge replay`, and the regressions since.

A directory of one JSON file a run of the command, named by when it began. A script is followed on
each arm by itself. Only the newest run is judged, against the ones before it.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from bridge.errors import ConfigError
from bridge.recordings.writing import write_json
from bridge.replay.results.run import ArmInfo, Results, TableRow

COMPARED = 5
"""The newest run is compared with the median of so many before it."""

SLOWER_RATIO, SLOWER_MS = 1.2, 150
"""A p95 that is over both is a regression: 20% of a short time is nothing that anybody hears, and
150 ms are what one run on a busy machine differs from the next."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a script's calls on one arm; None where nothing was measured.

    Attributes:
        p50_ms, p95_ms: from the caller's last sound to the agent's first, at the caller's ear.
        turns: so many were measured.
        stop_ms: median time from an interruption to the agent's silence.
    """

    p50_ms: float | None
    p95_ms: float | None
    turns: int
    stop_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ScriptSummary:
    """A script on an arm, in one run of the command."""

    script: str
    arm: str
    sha256: str
    row: TableRow
    timing: Timing

    @property
    def pass_rate(self) -> float | None:
        """Passes of all runs that were decided; None without any."""
        decided = self.row.passes + self.row.fails
        return self.row.passes / decided if decided else None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run of the command, as the history keeps it."""

    started_at: str
    commit: str | None
    version: str
    command: str
    arms: tuple[ArmInfo, ...]
    scripts: tuple[ScriptSummary, ...]
    schema: Literal["replayhistory/v1"] = "replayhistory/v1"


@dataclass(frozen=True, slots=True)
class Point:
    """A script on an arm, in one run of the command, and when that was."""

    started_at: str
    commit: str | None
    summary: ScriptSummary


@dataclass(frozen=True, slots=True)
class Trend:
    """A script on an arm over the last runs, the oldest first.

    Attributes:
        regression: why the newest is worse than the ones before, in one line; None if it isn't.
    """

    script: str
    arm: str
    points: tuple[Point, ...]
    regression: str | None


def make_timing(latencies_ms: Sequence[float], stops_ms: Sequence[float]) -> Timing:
    """Sum up what was measured in a script's calls on one arm."""
    stop_ms = statistics.median(stops_ms) if stops_ms else None
    if not latencies_ms:
        return Timing(None, None, 0, stop_ms)
    p50_ms, p95_ms = np.percentile(np.asarray(latencies_ms, dtype=np.float64), [50, 95])
    return Timing(round(float(p50_ms), 1), round(float(p95_ms), 1), len(latencies_ms), stop_ms)


def make_summary(results: Results, timings: Mapping[tuple[str, str], Timing]) -> Summary:
    """Sum a run of the command up.

    Args:
        results: of it.
        timings: by script and arm; what is missing was not measured.
    """
    hashes = {script.id: script.sha256 for script in results.scripts}
    return Summary(
        started_at=results.started_at,
        commit=results.commit,
        version=results.version,
        command=results.command,
        arms=results.arms,
        scripts=tuple(
            ScriptSummary(
                row.script,
                row.arm,
                hashes[row.script],
                row,
                timings.get((row.script, row.arm), Timing(None, None, 0)),
            )
            for row in results.table
        ),
    )


def keep(directory: Path, summary: Summary) -> Path:
    """Add a summary to the history; return its file. Blocks.

    Raises:
        OSError: the disk refused.
    """
    stamp = "".join(character for character in summary.started_at if character.isalnum())
    path = directory / f"{stamp}.json"
    write_json(path, asdict(summary))
    return path


def read_history(directory: Path) -> tuple[Summary, ...]:
    """Read all summaries, the oldest first; none where there is no such directory. Blocks.

    Raises:
        ConfigError: a file is no summary.
    """
    adapter = TypeAdapter(Summary)
    found = []
    for path in directory.glob("*.json"):
        try:
            found.append(adapter.validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise ConfigError(
                "is no summary of a replay", path=str(path), remedy="move it elsewhere"
            ) from error
    return tuple(sorted(found, key=lambda summary: summary.started_at))


def trends(
    history: Iterable[Summary], *, script: str | None = None, last: int = 20
) -> tuple[Trend, ...]:
    """Follow every script on every arm.

    Args:
        history: the oldest first.
        script: this one alone.
        last: so many runs of each, at most.
    """
    points: dict[tuple[str, str], list[Point]] = {}
    for run in history:
        for summary in run.scripts:
            if script is None or summary.script == script:
                point = Point(run.started_at, run.commit, summary)
                points.setdefault((summary.script, summary.arm), []).append(point)
    return tuple(
        Trend(name, arm, tuple(found[-last:]), find_regression([each.summary for each in found]))
        for (name, arm), found in sorted(points.items())
    )


def find_regression(runs: Sequence[ScriptSummary]) -> str | None:
    """Return why the newest run of a script on an arm is worse than the ones before, if it is.

    It is if its pass rate is below the median of theirs, or its p95 is both 20% and 150 ms over the
    median of theirs. Runs that decided nothing, or measured nothing, are not compared.

    Args:
        runs: the oldest first.
    """
    if not runs:
        return None
    newest, before = runs[-1], runs[:-1]
    where = f"{newest.script} on {newest.arm}"
    rates = [run.pass_rate for run in before if run.pass_rate is not None][-COMPARED:]
    if newest.pass_rate is not None and rates and newest.pass_rate < statistics.median(rates):
        return (
            f"{where}: {newest.pass_rate:.0%} of its runs passed,"
            f" {statistics.median(rates):.0%} before"
        )
    return _find_slower(where, newest.timing, [run.timing for run in before])


def _find_slower(where: str, newest: Timing, before: Sequence[Timing]) -> str | None:
    known = [timing.p95_ms for timing in before if timing.p95_ms is not None][-COMPARED:]
    if newest.p95_ms is None or not known:
        return None
    usual_ms = statistics.median(known)
    if newest.p95_ms > max(usual_ms * SLOWER_RATIO, usual_ms + SLOWER_MS):
        return (
            f"{where}: 95% of the answers came within {newest.p95_ms:.0f} ms,"
            f" within {usual_ms:.0f} ms before"
        )
    return None
