"""Reading a text exposition back: values, and percentiles of histograms. Pure.

A histogram shows only between which bounds a value lies, so every percentile is an upper bound.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """A process's metrics at one moment, or their difference between two.

    Attributes:
        samples: by name and labels.
    """

    samples: dict[tuple[str, Labels], float]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read Prometheus' text exposition format."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def since(self, earlier: "Scrape") -> "Scrape":
        """Return the differences: of counters and histograms, what was counted in between."""
        return Scrape(
            {key: value - earlier.samples.get(key, 0.0) for key, value in self.samples.items()}
        )

    def value(self, name: str, **labels: str) -> float:
        """Return the sum over the series that carry these labels; 0 where there is none."""
        wanted = labels.items()
        return sum(
            value
            for (each, given), value in self.samples.items()
            if each == name and wanted <= given
        )

    def quantile_s(self, name: str, share: float, **labels: str) -> float:
        """Return the bound of the bucket that a quantile lies in, over all series with the labels.

        Args:
            name: of a histogram in seconds, without ``_bucket``.
            share: 0 to 1; 1 is the largest value.
            labels: that its series must have.

        Returns:
            Seconds, infinite beyond the last bound; NaN without samples.
        """
        below: Counter[float] = Counter()
        for (each, given), value in self.samples.items():
            if each == f"{name}_bucket" and labels.items() <= given:
                below[float(dict(given)["le"])] += int(value)
        count = below[math.inf]
        if not count:
            return math.nan
        rank = math.ceil(count * share)
        return min(bound for bound, seen in below.items() if seen >= rank)
