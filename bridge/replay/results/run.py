"""The results of a `bridge replay` run in short: its arms, scripts, runs, table and verdict. Pure.

Times ``at_ms`` are ms since the answer on the caller's clock.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.replay.checks.protocol import ProtocolDifference

UNKNOWN = "unknown"
ArmKind = Literal["live", "emulated", "recorded", "unknown"]


class RunVerdict(enum.StrEnum):
    """The verdict on a run."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """Evidence is missing: never a pass."""
    INFRASTRUCTURE = "infrastructure"
    """The run itself could not be done."""


WORST_FIRST = (
    *(RunVerdict.FAIL, RunVerdict.INFRASTRUCTURE),
    *(RunVerdict.INCONCLUSIVE, RunVerdict.PASS),
)
"""The order in which verdicts need a look, and in which one stands for several."""


@dataclass(frozen=True, slots=True)
class ArmInfo:
    """An arm, as it was played.

    Attributes:
        url: of the service; of a recorded arm where its wire logs are; :data:`UNKNOWN` of one that
            a running gateway has, and its settings were not given.
        model: :data:`UNKNOWN` of such an arm, too, if no record of a call on it could be read.
        kind: a pass of any but a live arm is never a live pass.
    """

    name: str
    dialect: str
    url: str
    model: str
    voice: str | None
    kind: ArmKind


@dataclass(frozen=True, slots=True)
class ScriptInfo:
    """A script, as it was played.

    Attributes:
        base: id of the script in its file, where it was played under an item of a pack; else "".
        pack, item: which; "" for a script as it is in its file.
    """

    id: str
    path: str
    sha256: str
    tags: tuple[str, ...] = ()
    pass_rate: float = 1.0
    repeat: int = 1
    base: str = ""
    pack: str = ""
    item: str = ""


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """The other calls of a run, and how the machine bore them.

    Attributes:
        calls: that were up beside it, from its begin to its end.
        dropped: of them, ended by the gateway meanwhile.
        underruns: gaps inside an agent's speech, in all calls; ``own_underruns``: in this one.
        late_blocks: agent audio that came after its time.
        long_ticks: ticks of 10 ms that took longer.
        tick_lag_p99_ms, tick_lag_max_ms: how late ticks began, as bounds of a histogram.
        stalls: times that PJSIP's audio clock stood still for 60 ms.
    """

    calls: int
    dropped: int = 0
    underruns: int = 0
    own_underruns: int = 0
    late_blocks: int = 0
    long_ticks: int = 0
    tick_lag_p99_ms: float | None = None
    tick_lag_max_ms: float | None = None
    stalls: int = 0


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run in short: a script's call on an arm, and its verdict.

    Attributes:
        number: of the script on this arm, from 1.
        reason: of everything but a pass, in one line: the first broken expectation.
        at_ms: where that was; None where nowhere.
        folder: relative to the results.
        seconds: that it took, preparation included.
        attempts: how often it was placed; the last one is reported, and alone in the folder.
        spoiled_by: why the first attempt did not count: the machine was too busy; "" for one alone.
        cost_usd: by the gateway's record; None where that has none.
        tools_ok, tools_failed: tool calls by their ends; those that nobody waited for are neither.
        texts_usd: of the persona's and the judge's text models; not in ``cost_usd``.
        load: the other calls that went on; None without any.
        not_applicable: what was not met, and can't be on this arm's service, with the reason.
    """

    script: str
    arm: str
    number: int
    verdict: RunVerdict
    reason: str
    at_ms: int | None
    folder: str
    seconds: float
    attempts: int = 1
    spoiled_by: str = ""
    cost_usd: float | None = None
    tools_ok: int = 0
    tools_failed: int = 0
    texts_usd: float = 0.0
    load: LoadFigures | None = None
    not_applicable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotPlayed:
    """A script that needs of an arm's service what it does not have."""

    script: str
    arm: str
    reason: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A script on an arm, over all runs.

    Attributes:
        placed_again: so many runs have an attempt that did not count (:class:`RunInfo`).
        not_applicable: what some run has of it (:class:`RunInfo`), each once.
    """

    script: str
    arm: str
    passes: int
    fails: int
    inconclusive: int
    infrastructure: int
    verdict: RunVerdict
    placed_again: int = 0
    not_applicable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackRow:
    """The suite's passes under one circumstance, on one arm.

    Attributes:
        item: its name; "" for the scripts as they are.
        passes: runs that passed, of ``runs``.
        broken: ids of the scripts that did not pass, and do so as they are.
    """

    pack: str
    item: str
    arm: str
    passes: int
    runs: int
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of live arms, by usage events and the table of prices, and of personas and judges."""

    spent_usd: float
    cap_usd: float | None


@dataclass(frozen=True, slots=True)
class ProtocolFinding:
    """A difference of an arm's Realtime events from the first arm's, in one script."""

    script: str
    arm: str
    reference: str
    difference: ProtocolDifference


@dataclass(frozen=True, slots=True)
class Results:
    """The whole run in short.

    Attributes:
        started_at: ISO 8601, UTC.
        commit: of the working copy; None where there is none.
        version: of the package.
        stopped: why not everything was played; None if it was.
        protocol: of all scripts that more arms than one played.
        packs: the table by circumstance; empty where no pack was played.
        load: other calls that went on beside each one.
        not_played: what an arm's service lacks for a script.
    """

    started_at: str
    seconds: float
    commit: str | None
    version: str
    command: str
    arms: tuple[ArmInfo, ...]
    scripts: tuple[ScriptInfo, ...]
    runs: tuple[RunInfo, ...]
    table: tuple[TableRow, ...]
    cost: Cost | None = None
    stopped: str | None = None
    protocol: tuple[ProtocolFinding, ...] = ()
    packs: tuple[PackRow, ...] = ()
    load: int = 0
    not_played: tuple[NotPlayed, ...] = ()
    schema: Literal["replayresults/v1"] = "replayresults/v1"


def make_table(runs: Iterable[RunInfo], scripts: Iterable[ScriptInfo]) -> tuple[TableRow, ...]:
    """Sum runs up: script by script, its arms in the order of their first run."""
    runs = tuple(runs)
    pass_rates = {script.id: script.pass_rate for script in scripts}
    places = dict.fromkeys((script, run.arm) for script in pass_rates for run in runs)
    rows = []
    for script, arm in places:
        played = [run for run in runs if (run.script, run.arm) == (script, arm)]
        if played:
            rows.append(_row(script, arm, played, pass_rates[script]))
    return tuple(rows)


def _row(script: str, arm: str, runs: Sequence[RunInfo], pass_rate: float) -> TableRow:
    of = Counter(run.verdict for run in runs)
    passes, fails = of[RunVerdict.PASS], of[RunVerdict.FAIL]
    decided = passes + fails
    if decided and passes / decided < pass_rate:
        verdict = RunVerdict.FAIL
    elif of[RunVerdict.INFRASTRUCTURE]:
        verdict = RunVerdict.INFRASTRUCTURE
    else:
        verdict = RunVerdict.PASS if decided else RunVerdict.INCONCLUSIVE
    return TableRow(
        script,
        arm,
        passes,
        fails,
        of[RunVerdict.INCONCLUSIVE],
        of[RunVerdict.INFRASTRUCTURE],
        verdict,
        placed_again=sum(run.attempts > 1 for run in runs),
        not_applicable=tuple(dict.fromkeys(each for run in runs for each in run.not_applicable)),
    )


def sum_load(results: Results) -> str | None:
    """Return how the machine bore the other calls, in one sentence; None where there were none."""
    loads = [run.load for run in results.runs if run.load is not None]
    if not results.load or not loads:
        return None
    lags = [load.tick_lag_max_ms for load in loads if load.tick_lag_max_ms is not None]
    return (
        f"{results.load} other calls beside each one, {sum(load.dropped for load in loads)} of them"
        f" dropped; {sum(load.underruns for load in loads)} gaps in agents' speech"
        f" ({sum(load.own_underruns for load in loads)} in the scripts' own calls),"
        f" {sum(load.late_blocks for load in loads)} pieces of it late,"
        f" {sum(load.long_ticks for load in loads)} ticks too long, the latest one"
        f" {max(lags, default=0.0):g} ms late, {sum(load.stalls for load in loads)} stalls of the"
        " audio clock"
    )


def overall(results: Results) -> RunVerdict:
    """Return the worst of it all: fail, then infrastructure, then inconclusive.

    What was proven broken stays so, whatever else could not be tried. A protocol difference that
    blocks is broken; what was stopped is inconclusive.
    """
    found = {row.verdict for row in results.table}
    if any(finding.difference.blocks for finding in results.protocol):
        found.add(RunVerdict.FAIL)
    if results.stopped is not None:
        found.add(RunVerdict.INCONCLUSIVE)
    return min(found, key=WORST_FIRST.index, default=RunVerdict.INCONCLUSIVE)
