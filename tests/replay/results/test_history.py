"""The history: what is kept is read again, and only what got worse is a regression."""

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.replay.results.history import (
    ScriptSummary,
    Timing,
    find_regression,
    keep,
    make_summary,
    make_timing,
    read_history,
    trends,
)
from bridge.replay.results.run import RunVerdict, TableRow
from tests.support.replay_results import EXAMPLE, write_example


def _run(passes: int = 3, fails: int = 0, p95_ms: float | None = 900.0) -> ScriptSummary:
    verdict = RunVerdict.FAIL if fails else RunVerdict.PASS
    row = TableRow("s", "ga", passes, fails, 0, 0, verdict)
    return ScriptSummary("s", "ga", "", row, Timing(700.0, p95_ms, 12))


def test_what_was_kept_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    results = write_example(tmp_path / "results", EXAMPLE[:2])
    summary = make_summary(results, {("order_status", "ga"): Timing(600.0, 800.0, 9, 240.0)})
    keep(tmp_path / "history", summary)
    assert read_history(tmp_path / "history") == (summary,)
    assert read_history(tmp_path / "nowhere") == ()


def test_a_file_that_is_no_summary_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"notes\.json"):
        read_history(tmp_path)


def test_each_arm_has_a_trend_of_its_own(tmp_path: Path) -> None:
    summary = make_summary(write_example(tmp_path), {})
    found = trends([summary, summary, summary], script="order_status", last=2)
    assert [(trend.arm, len(trend.points)) for trend in found] == [("beta", 2), ("ga", 2)]


def test_percentiles_need_something_measured() -> None:
    assert make_timing([], [300.0, 100.0, 200.0]) == Timing(None, None, 0, 200.0)
    assert make_timing([100.0, 200.0, 300.0], []).p50_ms == 200.0


def test_the_first_run_is_no_regression() -> None:
    assert find_regression([]) is None
    assert find_regression([_run(passes=0, fails=3)]) is None


def test_fewer_passes_are_a_regression_that_says_how_many() -> None:
    told = find_regression([_run(), _run(), _run(passes=2, fails=1)])
    assert told == "s on ga: 67% of its runs passed, 100% before"


def test_a_script_that_failed_before_does_not_regress_by_failing() -> None:
    assert find_regression([_run(passes=0, fails=3)] * 4) is None


def test_one_bad_run_before_does_not_hide_the_next() -> None:
    runs = [_run(), _run(), _run(passes=0, fails=3), _run(), _run(passes=1, fails=2)]
    assert find_regression(runs) is not None


@pytest.mark.parametrize(
    ("usual_ms", "newest_ms", "is_worse"),
    [
        (900, 1_051, False),  # over by 150 ms, not by 20%
        (900, 1_081, True),
        (400, 540, False),  # over by 20%, not by 150 ms
        (400, 551, True),
        (900, 300, False),
    ],
)
def test_slower_means_by_a_fifth_and_by_150_ms(
    usual_ms: float, newest_ms: float, is_worse: bool
) -> None:
    runs = [*[_run(p95_ms=usual_ms)] * 3, _run(p95_ms=newest_ms)]
    assert (find_regression(runs) is not None) is is_worse


def test_what_was_not_measured_is_not_compared() -> None:
    assert find_regression([_run(p95_ms=None), _run(p95_ms=5_000.0)]) is None
    assert find_regression([_run(), _run(p95_ms=None)]) is None


def test_only_the_last_five_are_compared() -> None:
    slow_ones = [_run(p95_ms=3_000.0)] * 20
    runs = [*slow_ones, *[_run(p95_ms=800.0)] * 5, _run(p95_ms=1_500.0)]
    assert find_regression(runs) is not None
