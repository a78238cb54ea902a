"""Shows the progress and results of `bridge replay`, and writes its files."""

from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from bridge.errors import InfrastructureError
from bridge.replay.report import write_report
from bridge.replay.results.files import read_run, write_results
from bridge.replay.results.history import keep, make_summary
from bridge.replay.results.junit import make_junit
from bridge.replay.results.run import Results, RunInfo, RunVerdict, sum_load
from bridge.replay.runs.agenda import Job
from bridge.replay.runs.plan import ReplayPlan
from bridge.replay.runs.runner import ReplayRun

_STYLES = {
    RunVerdict.PASS: "green",
    RunVerdict.FAIL: "bold red",
    RunVerdict.INCONCLUSIVE: "yellow",
    RunVerdict.INFRASTRUCTURE: "magenta",
}
_MOST_SHOWN = 20


class ReplayScreen:
    """Progress on stderr: bars on a terminal, a line a call elsewhere. Use ``with``.

    Args:
        jobs: all calls of the run.
    """

    def __init__(self, jobs: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._all = self._progress.add_task("calls", total=jobs)
        self._jobs: dict[Job, TaskID] = {}

    def __enter__(self) -> "ReplayScreen":
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def begun(self, job: Job) -> None:
        """Show that a call goes on."""
        name = f"  {job.script} on {job.arm}, {job.number}"
        self._jobs[job] = self._progress.add_task(name, total=None)

    def again(self, job: Job, reason: str) -> None:
        """Show that a call is placed again, and why; it says nothing about the script."""
        self._progress.remove_task(self._jobs.pop(job))
        line = Text(f"{'again':<14}", style="yellow")
        line.append(f" {job.script} on {job.arm}, {job.number}: placed once more", "none")
        line.append("; this machine was busy, which is no fault of the script's", "none")
        line.append(f"\n               {reason}", style="dim")
        self._console.print(line, soft_wrap=True)

    def done(self, job: Job, info: RunInfo) -> None:
        """Show what came of a call."""
        self._progress.remove_task(self._jobs.pop(job))
        self._progress.advance(self._all)
        line = Text(f"{info.verdict.value:<14}", style=_STYLES[info.verdict])
        line.append(f" {job.script} on {job.arm}, {job.number}: {info.seconds:.1f} s", style="none")
        if info.reason:
            line.append(f"\n               {info.reason}", style="dim")
        self._console.print(line, soft_wrap=True)


def print_results(results: Results) -> None:
    """Print the table of verdicts, and why not all is well."""
    console = Console(highlight=False)
    table = Table("script", "arm", "passed", "", "verdict")
    for row in results.table:
        counts = row.passes + row.fails + row.inconclusive + row.infrastructure
        others = [
            f"{count} {name}"
            for count, name in (
                (row.inconclusive, "inconclusive"),
                (row.infrastructure, "infrastructure"),
                (row.placed_again, "placed again"),
                (len(row.not_applicable), "not applicable"),
            )
            if count
        ]
        verdict = Text(row.verdict.value, style=_STYLES[row.verdict])
        table.add_row(row.script, row.arm, f"{row.passes} of {counts}", ", ".join(others), verdict)
    console.print(table)
    _print_packs(console, results)
    for run in results.runs:
        if run.verdict is not RunVerdict.PASS:
            where = f"{run.script} on {run.arm}, {run.number}"
            console.print(Text(f"{where}: {run.reason}", style=_STYLES[run.verdict]))
    _print_not_applicable(console, results)
    _print_protocol(console, results)
    _print_load(console, results)
    if results.cost is not None:
        cap = "" if results.cost.cap_usd is None else f" of at most {results.cost.cap_usd:g}"
        console.print(f"cost: about {results.cost.spent_usd:.4f} USD{cap}")
    if results.stopped is not None:
        console.print(Text(f"stopped: {results.stopped}", style="yellow"))


def _print_not_applicable(console: Console, results: Results) -> None:
    lines = [
        f"{each.script} on {each.arm}: not played: {each.reason}" for each in results.not_played
    ]
    lines += [
        f"{row.script} on {row.arm}: {why}" for row in results.table for why in row.not_applicable
    ]
    if lines:
        console.print("not applicable, for the service's way lacks what it takes:")
    for line in lines:
        console.print(Text(f"  {line}", style="dim"), soft_wrap=True)


def _print_load(console: Console, results: Results) -> None:
    borne = sum_load(results)
    if borne is not None:
        console.print(f"under load: {borne}", soft_wrap=True)


def _print_packs(console: Console, results: Results) -> None:
    if not results.packs:
        return
    table = Table("pack", "item", "arm", "passed", "pass as they are, and not so")
    for row in results.packs:
        passed = f"{row.passes} of {row.runs}"
        style = "none" if row.passes == row.runs else "yellow"
        name = row.pack or "as they are"
        table.add_row(name, row.item, row.arm, Text(passed, style=style), ", ".join(row.broken))
    console.print(table)


def _print_protocol(console: Console, results: Results) -> None:
    blocking = [finding for finding in results.protocol if finding.difference.blocks]
    if blocking:
        console.print(Text("protocol differences that must not be:", style="bold red"))
    for finding in blocking[:_MOST_SHOWN]:
        console.print(f"  {finding.script}, {finding.arm}: {finding.difference}", soft_wrap=True)
    if len(blocking) > _MOST_SHOWN:
        console.print(f"  and {len(blocking) - _MOST_SHOWN} more")


def write_outcome(
    plan: ReplayPlan,
    results: Results,
    replayed: ReplayRun,
    junit: Path | None,
    history: Path | None,
    *,
    with_report: bool,
) -> None:
    """Write the files of a run: results, JUnit XML, the history, the report.

    Raises:
        InfrastructureError: the disk refused.
    """
    timings, directory = replayed.timings, plan.results
    try:
        write_results(directory, results)
        if junit is not None:
            junit.parent.mkdir(parents=True, exist_ok=True)
            junit.write_bytes(make_junit(results, _properties(plan, results), timings))
        if results.stopped is None and history is not None:
            keep(history, make_summary(results, timings))
        if with_report:
            write_report(directory, history)
    except OSError as error:
        raise InfrastructureError(
            f"the results can't be written: {error}", remedy="name another place"
        ) from error


def _properties(plan: ReplayPlan, results: Results) -> dict[str, dict[str, str]]:
    """Return the properties that JUnit has of each run beside its verdict, by folder."""
    networks = {file.script.id: file.script.network for file in plan.files}
    found = {}
    for info in results.runs:
        record = read_run(plan.results / info.folder).record or {}
        beside = {"call_id": str(record.get("call_id", ""))}
        if (network := networks[info.script]) is not None:
            beside["seed"] = str(network.seed)
        found[info.folder] = beside
    return found
