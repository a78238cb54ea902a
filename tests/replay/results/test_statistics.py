"""Statistics of paired runs, against values worked out by hand or by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.replay.results.statistics import (
    ALPHA,
    ENOUGH_FLIPS,
    ENOUGH_PAIRS,
    mcnemar_exact,
    paired_bootstrap,
    percentile,
)


@pytest.mark.parametrize(
    ("worse", "better", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 0.0625),
        (0, 6, 0.03125),
        (6, 0, 0.03125),
        (3, 3, 1.0),
        # 2 * (C(10,0) + C(10,1)) / 2^10
        (9, 1, 22 / 1024),
        # 2 * (1 + 12 + 66) / 2^12
        (2, 10, 158 / 4096),
    ],
)
def test_mcnemar_is_the_exact_binomial(worse: int, better: int, p_value: float) -> None:
    assert mcnemar_exact(worse, better) == pytest.approx(p_value, abs=1e-12)


def test_six_flips_are_the_fewest_that_can_tell() -> None:
    assert mcnemar_exact(ENOUGH_FLIPS, 0) < ALPHA <= mcnemar_exact(ENOUGH_FLIPS - 1, 0)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_chance_and_has_no_side(worse: int, better: int) -> None:
    p_value = mcnemar_exact(worse, better)
    assert 0 < p_value <= 1
    assert p_value == mcnemar_exact(better, worse)


def test_percentile_is_told_only_where_a_value_lies_beyond_it() -> None:
    assert percentile([7.0], 50) == 7.0
    assert percentile([1.0] * 9, 90) is None
    assert percentile(list(range(101)), 99) == pytest.approx(99)
    assert percentile(list(range(21)), 95) == pytest.approx(19)


def test_too_few_pairs_make_no_interval() -> None:
    pair = ([500.0], [900.0])
    assert paired_bootstrap([pair] * (ENOUGH_PAIRS - 1)) is None
    assert paired_bootstrap([pair] * (ENOUGH_PAIRS - 1) + [([], [900.0])]) is None
    assert paired_bootstrap([pair] * ENOUGH_PAIRS) is not None


def test_a_constant_shift_is_found_exactly() -> None:
    pairs = [([400.0, 500.0, 600.0], [700.0, 800.0, 900.0])] * 8
    interval = paired_bootstrap(pairs)
    assert interval is not None
    assert (interval.difference, interval.low, interval.high) == (300, 300, 300)
    assert not interval.is_chance
    assert (interval.pairs, interval.values) == (8, 48)


def test_the_same_calls_give_the_same_interval() -> None:
    rng = np.random.default_rng(5)
    pairs = [(rng.normal(800, 90, 5).tolist(), rng.normal(800, 90, 5).tolist()) for _ in range(9)]
    assert paired_bootstrap(pairs) == paired_bootstrap(pairs)


def test_calls_are_drawn_and_not_turns() -> None:
    # One slow call of many turns among fast ones: as many turns, but only one call of evidence.
    pairs = [([500.0] * 5, [500.0] * 5)] * 6 + [([500.0] * 60, [2000.0] * 60)]
    interval = paired_bootstrap(pairs)
    assert interval is not None
    assert interval.difference == 1500
    assert interval.is_chance


@pytest.mark.parametrize("shift_ms", [0.0, 150.0])
def test_the_interval_covers_the_truth_nearly_as_often_as_it_says(shift_ms: float) -> None:
    rng = np.random.default_rng(11)
    covered, trials = 0, 120
    for _ in range(trials):
        pairs = []
        for _ in range(14):
            of_script = rng.normal(800, 120)
            first = of_script + rng.normal(0, 40, 4)
            pairs.append((first.tolist(), (of_script + shift_ms + rng.normal(0, 40, 4)).tolist()))
        interval = paired_bootstrap(pairs)
        assert interval is not None
        covered += interval.low <= shift_ms <= interval.high
    assert covered / trials >= 0.9
