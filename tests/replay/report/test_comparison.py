"""What the verdicts of two arms say of each other."""

import pytest

from bridge.replay.report.comparison import (
    TOO_FEW,
    VerdictChange,
    compare_latency,
    compare_verdicts,
    judge_change,
)
from bridge.replay.results.run import RunVerdict, TableRow

_PASS, _FAIL = RunVerdict.PASS, RunVerdict.FAIL


def _row(verdict: RunVerdict, arm: str = "ga") -> TableRow:
    return TableRow("s", arm, 0, 0, 0, 0, verdict)


@pytest.mark.parametrize(
    ("first", "second", "change"),
    [
        (_PASS, _FAIL, VerdictChange.NEWLY_FAILING),
        (_FAIL, _PASS, VerdictChange.FIXED),
        (_PASS, _PASS, VerdictChange.UNCHANGED),
        (_FAIL, _FAIL, VerdictChange.UNCHANGED),
        (_PASS, RunVerdict.INCONCLUSIVE, VerdictChange.NOT_COMPARABLE),
        (RunVerdict.INFRASTRUCTURE, _FAIL, VerdictChange.NOT_COMPARABLE),
    ],
)
def test_a_script_changes_only_where_both_arms_decided_it(
    first: RunVerdict, second: RunVerdict, change: VerdictChange
) -> None:
    assert judge_change(_row(first, "beta"), _row(second)).change is change


def test_what_only_one_arm_played_is_no_regression() -> None:
    assert judge_change(None, _row(_FAIL)).change is VerdictChange.NOT_COMPARABLE
    assert judge_change(_row(_PASS), None).note == "only one arm played it"


def test_the_arm_that_did_not_decide_is_named() -> None:
    judged = judge_change(_row(RunVerdict.INCONCLUSIVE, "beta"), _row(_PASS))
    assert judged.note == "undecided on beta"


def _verdict(worse: int, better: int, same: int = 9) -> str:
    changes = [
        *[VerdictChange.NEWLY_FAILING] * worse,
        *[VerdictChange.FIXED] * better,
        *[VerdictChange.UNCHANGED] * same,
    ]
    return compare_verdicts("beta", "ga", changes).conclusion


def test_five_one_way_flips_make_no_winner() -> None:
    assert _verdict(5, 0).startswith(TOO_FEW)
    assert "p = 0.0625" in _verdict(5, 0)


def test_six_one_way_flips_do() -> None:
    assert _verdict(6, 0).startswith("ga is worse than beta: 6 newly failing, 0 fixed (p = 0.0312")
    assert _verdict(0, 6).startswith("ga is better than beta")


def test_flips_both_ways_make_no_winner_however_many() -> None:
    assert _verdict(8, 7).startswith(TOO_FEW)


def test_no_flip_is_no_difference() -> None:
    assert _verdict(0, 0) == "No script that both decided differs between beta and ga."


def test_latency_is_compared_where_the_calls_suffice() -> None:
    slower = [([500.0, 600.0], [900.0, 1000.0])] * 6
    told = compare_latency("beta", "ga", slower, 50, "Wait").conclusion
    assert told == "ga is slower than beta by 400 ms (+400 to +400 ms)."
    assert compare_latency("beta", "ga", slower[:5], 50, "Wait").conclusion.startswith(TOO_FEW)


def test_an_interval_that_holds_zero_is_no_difference() -> None:
    pairs = [([500.0], [500.0 + shift]) for shift in (-90, 80, -70, 60, -50, 40, -30)]
    told = compare_latency("beta", "ga", pairs, 50, "Wait").conclusion
    assert told.startswith("No difference that shows: −")
