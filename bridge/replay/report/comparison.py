"""Compares the verdicts and latencies of two arms, in classes and in sentences. Pure."""

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.replay.results.run import RunVerdict, TableRow
from bridge.replay.results.statistics import (
    ALPHA,
    ENOUGH_FLIPS,
    ENOUGH_PAIRS,
    CallPair,
    Interval,
    mcnemar_exact,
    paired_bootstrap,
)

TOO_FEW = "Too few runs to tell"


class VerdictChange(enum.StrEnum):
    """The change of a script's verdict from the first arm to the second."""

    NEWLY_FAILING = "newly failing"
    FIXED = "fixed"
    UNCHANGED = "unchanged"
    NOT_COMPARABLE = "not comparable"


_CHANGES = {
    (RunVerdict.PASS, RunVerdict.FAIL): VerdictChange.NEWLY_FAILING,
    (RunVerdict.FAIL, RunVerdict.PASS): VerdictChange.FIXED,
    (RunVerdict.PASS, RunVerdict.PASS): VerdictChange.UNCHANGED,
    (RunVerdict.FAIL, RunVerdict.FAIL): VerdictChange.UNCHANGED,
}


@dataclass(frozen=True, slots=True)
class JudgedChange:
    """A script's change, and what is to be known of it beyond its name."""

    change: VerdictChange
    note: str


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """The verdicts of all scripts on two arms.

    Attributes:
        counts: scripts by change.
        p_value: McNemar's, over the scripts that both arms decided.
        conclusion: in one sentence.
    """

    first: str
    second: str
    counts: Mapping[VerdictChange, int]
    p_value: float
    conclusion: str


@dataclass(frozen=True, slots=True)
class Shift:
    """The difference of a latency's percentile between two arms.

    Attributes:
        name: of what is compared, with its percentile.
        interval: None where the pairs of calls are too few.
        conclusion: in one sentence.
    """

    name: str
    interval: Interval | None
    conclusion: str


def judge_change(first: TableRow | None, second: TableRow | None) -> JudgedChange:
    """Return what became of a script from one arm to the other.

    A script that an arm didn't play, or didn't decide, is a gap in what was covered, and no
    regression.
    """
    if first is None or second is None:
        return JudgedChange(VerdictChange.NOT_COMPARABLE, "only one arm played it")
    change = _CHANGES.get((first.verdict, second.verdict))
    if change is None:
        undecided = [row.arm for row in (first, second) if not _decided(row)]
        return JudgedChange(VerdictChange.NOT_COMPARABLE, f"undecided on {' and '.join(undecided)}")
    if change is VerdictChange.UNCHANGED:
        both = "passes" if first.verdict is RunVerdict.PASS else "fails"
        return JudgedChange(change, f"{both} on both")
    return JudgedChange(change, "")


def compare_verdicts(first: str, second: str, changes: Sequence[VerdictChange]) -> ArmVerdict:
    """Return whether one arm is worse than the other, or whether that may be chance."""
    counts = Counter(changes)
    worse, better = counts[VerdictChange.NEWLY_FAILING], counts[VerdictChange.FIXED]
    p_value = mcnemar_exact(worse, better)
    return ArmVerdict(
        first,
        second,
        {change: counts[change] for change in VerdictChange},
        p_value,
        _conclude_verdicts(first, second, worse, better, p_value),
    )


def compare_latency(
    first: str, second: str, pairs: Sequence[CallPair], percent: int, name: str
) -> Shift:
    """Return by how much a percentile of the latency differs, if that can be known."""
    interval = paired_bootstrap(pairs, percent=percent)
    full_name = f"{name}, p{percent}"
    if interval is None:
        known = sum(1 for pair in pairs if all(pair))
        calls = f"{known} {'pair' if known == 1 else 'pairs'} of calls"
        return Shift(full_name, None, f"{TOO_FEW}: {calls}, and an interval needs {ENOUGH_PAIRS}.")
    span = f"{_signed(interval.low)} to {_signed(interval.high)} ms"
    if interval.is_chance:
        return Shift(full_name, interval, f"No difference that shows: {span} holds zero.")
    way = "slower" if interval.difference > 0 else "faster"
    return Shift(
        full_name,
        interval,
        f"{second} is {way} than {first} by {abs(interval.difference):.0f} ms ({span}).",
    )


def _conclude_verdicts(first: str, second: str, worse: int, better: int, p_value: float) -> str:
    flips = worse + better
    if flips == 0:
        return f"No script that both decided differs between {first} and {second}."
    counts = f"{worse} newly failing, {better} fixed"
    if p_value < ALPHA:
        way = "worse" if worse > better else "better"
        return f"{second} is {way} than {first}: {counts} (p = {p_value:.3g})."
    if flips < ENOUGH_FLIPS:
        return (
            f"{TOO_FEW} whether {second} is worse in general: {counts}; fewer than {ENOUGH_FLIPS} "
            f"that flip one way may be chance (p = {p_value:.3g}). Each is still to be explained."
        )
    return f"{TOO_FEW} whether either arm is worse: {counts} (p = {p_value:.3g})."


def _decided(row: TableRow) -> bool:
    return row.verdict in (RunVerdict.PASS, RunVerdict.FAIL)


def _signed(value: float) -> str:
    rounded = round(value)
    return f"{rounded:+d}".replace("-", "−") if rounded else "0"
