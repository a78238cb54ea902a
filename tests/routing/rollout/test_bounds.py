"""The bounds against published figures and against simulation."""

import math

import numpy as np
import pytest

from bridge.routing.rollout.bounds import Rate, compare_p95, difference_upper
from bridge.routing.rollout.verdict import calls_needed


@pytest.mark.parametrize(("limit", "calls"), [(0.01, 268), (0.02, 133)])
def test_calls_without_a_failure_that_show_a_rate(limit: float, calls: int) -> None:
    """`NEEDS.md` section 4, rule 3: 268 for 1%, 133 for 2%."""
    assert calls_needed(limit) == calls


@pytest.mark.parametrize(("calls", "points"), [(200, 2.0), (500, 1.06)])
def test_newcombe_at_one_percent(calls: int, points: float) -> None:
    """`NEEDS.md` section 4, rule 3: at 1%, 200 treatment calls give +2.0 pp, 500 give +1.06 pp."""
    bound = difference_upper(Rate(round(calls * 0.01), calls), Rate(100, 10_000))
    assert bound * 100 == pytest.approx(points, abs=0.35)


def test_nothing_known_is_the_worst() -> None:
    assert Rate(0, 0).upper() == 1.0
    assert Rate(0, 0).lower() == 0.0
    assert math.isnan(Rate(0, 0).value)
    assert difference_upper(Rate(0, 0), Rate(1, 100)) == 1.0


def test_wilson_covers_a_true_rate_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    bad = rng.binomial(400, 0.02, size=2000)
    covered = np.mean([Rate(int(each), 400).upper() >= 0.02 for each in bad])
    assert 0.93 <= covered <= 0.995


def test_a_slower_arm_is_convicted_and_an_equal_one_is_not() -> None:
    rng = np.random.default_rng(2)

    def calls(mean_ms: float) -> list[list[float]]:
        return [list(rng.gamma(9, mean_ms / 9, size=6)) for _ in range(120)]

    slow = compare_p95(calls(1400), calls(900), rng)
    same = compare_p95(calls(900), calls(900), rng)
    assert slow is not None
    assert slow.convicts
    assert slow.low_ms < slow.difference_ms < slow.high_ms
    assert same is not None
    assert not same.convicts


def test_few_turns_make_no_comparison() -> None:
    assert compare_p95([[1.0] * 10], [[1.0] * 30], np.random.default_rng(3)) is None
