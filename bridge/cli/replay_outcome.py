"""Writes the files that `bridge replay` leaves: results, JUnit XML, the history, the report."""

from pathlib import Path

from bridge.errors import InfrastructureError
from bridge.replay.report import write_report
from bridge.replay.results.history import keep, make_summary
from bridge.replay.results.junit import make_junit
from bridge.replay.results.run import Results, read_run, write_results
from bridge.replay.runs.plan import ReplayPlan
from bridge.replay.runs.runner import ReplayRun


def write_outcome(
    plan: ReplayPlan,
    results: Results,
    replayed: ReplayRun,
    junit: Path | None,
    history: Path | None,
    *,
    with_report: bool,
) -> None:
    """Write what there is of a run.

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
    """Return what JUnit says of each run beside its verdict."""
    networks = {file.script.id: file.script.network for file in plan.files}
    found = {}
    for info in results.runs:
        record = read_run(plan.results / info.folder).record or {}
        told = {"call_id": str(record.get("call_id", ""))}
        if (network := networks[info.script]) is not None:
            told["seed"] = str(network.seed)
        found[info.folder] = told
    return found
