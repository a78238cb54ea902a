"""Tests whether two arms differ by more than chance. Pure; exact where it can be.

Both arms play the same script, so everything here is paired: what a script or a call did on one arm
is held against the same script or call on the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
"""Below it, a difference is called one."""

ENOUGH_FLIPS = 6
"""Verdicts that flipped one way, from which McNemar's test can be below :data:`ALPHA` at all: five
give 0.0625, six 0.03125."""

ENOUGH_PAIRS = 6
"""Pairs of calls, from which an interval is given. The range of the differences of n pairs misses
the true median with a chance of 2 / 2^n: five pairs can't be 95% sure of anything, six can."""

_RESAMPLES = 2000
_CHUNK_VALUES = 1_000_000

PERCENTILES = {50: 1, 90: 10, 95: 20, 99: 100}
"""The percentiles that are given, and from how many values on: one value has to lie beyond."""


def mcnemar_exact(worse: int, better: int) -> float:
    """Return the two-sided p value of McNemar's exact test.

    Only pairs that disagree count; were the arms alike, each would fall to either side as a coin
    does (Fagerland, Lydersen, Laake 2013, doi:10.1186/1471-2288-13-91).

    Args:
        worse: pairs that pass on the first arm and fail on the second.
        better: the other way round.

    Returns:
        1.0 where no pair disagrees.
    """
    flips = worse + better
    tail = sum(math.comb(flips, k) for k in range(min(worse, better) + 1))
    return float(min(1.0, 2 * tail / 2**flips))


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return a percentile of values, None where they are too few (:data:`PERCENTILES`)."""
    if len(values) < PERCENTILES[percent]:
        return None
    return float(np.percentile(np.asarray(values, dtype=np.float64), percent))


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, second arm less first, and the 95% interval that it lies in.

    Attributes:
        pairs: of calls.
        values: of both arms together.
    """

    difference: float
    low: float
    high: float
    pairs: int
    values: int

    @property
    def is_chance(self) -> bool:
        """The interval holds 0."""
        return self.low <= 0 <= self.high


CallPair = tuple[Sequence[float], Sequence[float]]
"""The values of one call (its turns' latencies in ms, say) on the first arm and on the second."""


def paired_bootstrap(pairs: Sequence[CallPair], *, percent: int = 50) -> Interval | None:
    """Estimate by how much a percentile differs between two arms.

    Turns of one call are alike, and so are both plays of one script: whole pairs of calls are
    drawn, never single turns (cluster bootstrap, percentile interval; Efron and Tibshirani 1993,
    chapters 8 and 13). The draw is seeded: the same calls give the same interval.

    Args:
        pairs: calls that have values on both arms; others are left out.
        percent: which percentile of all values of an arm.

    Returns:
        None where the pairs are fewer than :data:`ENOUGH_PAIRS`.
    """
    whole = [(list(first), list(second)) for first, second in pairs if first and second]
    if len(whole) < ENOUGH_PAIRS:
        return None
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(whole), size=(_RESAMPLES, len(whole)))
    first, second = (_Weighted([pair[arm] for pair in whole]) for arm in (0, 1))
    differences = second.percentiles(drawn, percent) - first.percentiles(drawn, percent)
    everything = np.arange(len(whole))[np.newaxis, :]
    observed = second.percentiles(everything, percent) - first.percentiles(everything, percent)
    low, high = np.percentile(differences, [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    values = sum(len(first) + len(second) for first, second in whole)
    return Interval(float(observed[0]), float(low), float(high), len(whole), values)


class _Weighted:
    """The values of one arm in order; a draw of calls becomes weights on them.

    Sorted once, so that a resample costs a running sum instead of a sort.
    """

    def __init__(self, calls: Sequence[Sequence[float]]) -> None:
        values = np.concatenate([np.asarray(call, dtype=np.float64) for call in calls])
        call_of = np.repeat(np.arange(len(calls)), [len(call) for call in calls])
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._call_of = call_of[order]
        self._calls = len(calls)

    def percentiles(self, drawn: NDArray[np.int64], percent: int) -> NDArray[np.float64]:
        """Return the percentile of every resample; nearest rank.

        Args:
            drawn: (resamples, n) places of calls.
            percent: which percentile.
        """
        per_chunk = max(1, _CHUNK_VALUES // self._values.size)
        chunks = [
            self._of(drawn[at : at + per_chunk], percent) for at in range(0, len(drawn), per_chunk)
        ]
        return np.concatenate(chunks)

    def _of(self, drawn: NDArray[np.int64], percent: int) -> NDArray[np.float64]:
        times = np.zeros((len(drawn), self._calls), dtype=np.int64)
        np.add.at(times, (np.arange(len(drawn))[:, np.newaxis], drawn), 1)
        reached = np.cumsum(times[:, self._call_of], axis=1)
        wanted = reached[:, -1:] * (percent / 100)
        ranks: NDArray[np.intp] = np.argmax(reached >= np.maximum(wanted, 1), axis=1)
        return self._values.take(ranks)
