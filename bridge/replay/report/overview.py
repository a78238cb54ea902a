"""Sums a run up for the top of its report: a sentence, rows of bars, protocol findings. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from bridge.replay.checks.protocol import ProtocolDifference
from bridge.replay.report.cards import Card
from bridge.replay.report.comparison import VerdictChange
from bridge.replay.results.history import Point, Trend
from bridge.replay.results.run import WORST_FIRST, ProtocolFinding, RunVerdict


@dataclass(frozen=True, slots=True)
class FindingPlace:
    """A script that shows a finding.

    Attributes:
        anchor: of its card.
    """

    script: str
    anchor: str
    at_ms: float | None


@dataclass(frozen=True, slots=True)
class Finding(ProtocolDifference):
    """A protocol difference of an arm from the first one, with all the places that show it."""

    places: tuple[FindingPlace, ...] = ()

    @property
    def what(self) -> str:
        """Its kind in words."""
        return self.kind.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class ProtocolTally:
    """The protocol findings of two arms, and how many scripts they rest on.

    Attributes:
        compared: scripts whose wire logs both arms have.
        left_out: scripts that lack one.
    """

    first: str
    second: str
    findings: tuple[Finding, ...]
    compared: int
    left_out: int

    @property
    def blocking(self) -> int:
        """How many findings block a release."""
        return sum(finding.blocks for finding in self.findings)


def tally(
    first: str,
    second: str,
    findings: Iterable[ProtocolFinding],
    compared: Mapping[str, bool],
    anchors: Mapping[str, str],
) -> ProtocolTally:
    """Gather the differences of all scripts.

    Args:
        first: the arm that the other is compared with.
        second: the other.
        findings: of the whole run.
        compared: for each script whether both arms have wire logs of it.
        anchors: of the scripts' cards.

    Returns:
        Those that block first, and of those the ones that most scripts show.
    """
    places: dict[ProtocolDifference, list[FindingPlace]] = {}
    for each in findings:
        if (each.reference, each.arm) == (first, second):
            place = FindingPlace(each.script, anchors[each.script], each.difference.at_ms)
            places.setdefault(replace(each.difference, at_ms=None), []).append(place)
    sums = [Finding(**asdict(found), places=tuple(at)) for found, at in places.items()]
    sums.sort(key=lambda finding: (not finding.blocks, -len(finding.places), finding.event))
    known = sum(compared.values())
    return ProtocolTally(first, second, tuple(sums), known, len(compared) - known)


def headline(cards: Sequence[Card], arms: Sequence[str]) -> str:
    """Return the run's result in one sentence."""
    total = _scripts(len(cards))
    for arm in arms[1:]:
        worse = sum(card.change_on(arm) is VerdictChange.NEWLY_FAILING for card in cards)
        if worse:
            return f"{arm} breaks {worse} of {total} that {arms[0]} passes"
    count = Counter(card.verdict for card in cards)
    if failing := count[RunVerdict.FAIL]:
        where = [
            arm
            for arm in arms
            if any(
                c.arm == arm and c.row.verdict is RunVerdict.FAIL for k in cards for c in k.calls
            )
        ]
        verb = "fails" if failing == 1 else "fail"
        return f"{failing} of {total} {verb} on {' and '.join(where)}"
    if count[RunVerdict.INFRASTRUCTURE]:
        return f"{count[RunVerdict.INFRASTRUCTURE]} of {total} could not be played"
    if count[RunVerdict.INCONCLUSIVE]:
        return f"Nothing fails; {count[RunVerdict.INCONCLUSIVE]} of {total} could not be judged"
    return f"Everything passes: {total} on {' and '.join(arms)}" if cards else "Nothing was played"


def _scripts(count: int) -> str:
    return f"{count} {'script' if count == 1 else 'scripts'}"


def tone(cards: Sequence[Card]) -> RunVerdict:
    """Return the worst verdict of all."""
    verdicts = (card.verdict for card in cards)
    return min(verdicts, key=WORST_FIRST.index, default=RunVerdict.PASS)


@dataclass(frozen=True, slots=True)
class Spark:
    """A past run of a script on an arm, as it is drawn; ``rate`` 0.0 to 1.0."""

    rate: float | None
    newest: bool
    title: str


@dataclass(frozen=True, slots=True)
class TrendLine:
    """A script on an arm over the last runs, the oldest first."""

    sparks: tuple[Spark, ...]
    title: str
    regression: str | None


def trend_line(trend: Trend) -> TrendLine:
    """Draw a trend."""
    last = len(trend.points) - 1
    sparks = tuple(_spark(point, at == last) for at, point in enumerate(trend.points))
    decided = [spark.rate for spark in sparks if spark.rate is not None]
    whole = sum(rate == 1.0 for rate in decided)
    title = f"{whole} of the last {len(decided)} runs passed whole" if decided else "no run decided"
    p95_ms = trend.points[-1].summary.timing.p95_ms
    return TrendLine(
        sparks, title if p95_ms is None else f"{title}; p95 {p95_ms:.0f} ms", trend.regression
    )


def readable(moment: str) -> str:
    """Return an ISO 8601 moment as people read it; what is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(moment):%d %B %Y, %H:%M %Z}".strip(" ,")
    except ValueError:
        return moment


def _spark(point: Point, newest: bool) -> Spark:
    rate = point.summary.pass_rate
    title = "undecided" if rate is None else f"{rate:.0%} passed"
    commit = "" if point.commit is None else f", {point.commit}"
    return Spark(rate, newest, f"{readable(point.started_at)}{commit}: {title}")
