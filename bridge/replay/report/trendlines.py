"""A script over the last runs, as a row of bars. Pure."""

from dataclasses import dataclass
from datetime import datetime

from bridge.replay.results.history import Point, Trend


@dataclass(frozen=True, slots=True)
class Spark:
    """One run of a script on an arm in the past, as it is drawn; ``rate`` 0.0 to 1.0."""

    rate: float | None
    newest: bool
    told: str


@dataclass(frozen=True, slots=True)
class TrendLine:
    """A script on an arm over the last runs, the oldest first."""

    sparks: tuple[Spark, ...]
    told: str
    regression: str | None


def trend_line(trend: Trend) -> TrendLine:
    """Draw a trend."""
    last = len(trend.points) - 1
    sparks = tuple(_spark(point, at == last) for at, point in enumerate(trend.points))
    decided = [spark.rate for spark in sparks if spark.rate is not None]
    whole = sum(rate == 1.0 for rate in decided)
    told = f"{whole} of the last {len(decided)} runs passed whole" if decided else "no run decided"
    p95_ms = trend.points[-1].summary.timing.p95_ms
    return TrendLine(
        sparks, told if p95_ms is None else f"{told}; p95 {p95_ms:.0f} ms", trend.regression
    )


def readable(moment: str) -> str:
    """Return an ISO 8601 moment as people read it; what is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(moment):%d %B %Y, %H:%M %Z}".strip(" ,")
    except ValueError:
        return moment


def _spark(point: Point, newest: bool) -> Spark:
    rate = point.summary.pass_rate
    told = "undecided" if rate is None else f"{rate:.0%} passed"
    commit = "" if point.commit is None else f", {point.commit}"
    return Spark(rate, newest, f"{readable(point.started_at)}{commit}: {told}")
