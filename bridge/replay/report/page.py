"""The whole report as the template takes it: failures first, everything else in order after."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.replay.checks.divergence import RECORDING
from bridge.replay.report.cards import ArmCall, Card, make_cards
from bridge.replay.report.comparison import (
    ArmVerdict,
    Shift,
    VerdictChange,
    compare_latency,
    compare_verdicts,
)
from bridge.replay.report.overview import (
    ProtocolTally,
    TrendLine,
    headline,
    readable,
    tally,
    tone,
    trend_line,
)
from bridge.replay.report.reading import Material
from bridge.replay.report.sound import AudioBudget
from bridge.replay.report.timing import Spread, heard_answers, spreads, spreads_by_age
from bridge.replay.report.transcripts import input_error_rate
from bridge.replay.results.history import Trend
from bridge.replay.results.run import WORST_FIRST, Results, RunVerdict, sum_load
from bridge.replay.results.statistics import CallPair


@dataclass(frozen=True, slots=True)
class Broken:
    """A script that did not pass on an arm.

    Attributes:
        new: it passed on the first arm; ``since_last``: and in the run before this one.
        also: others that the same thing broke.
    """

    card: Card
    call: ArmCall
    new: bool
    since_last: bool
    also: tuple[tuple[Card, ArmCall], ...] = ()


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """Figures of all calls of an arm.

    Attributes:
        error_rates: of the session's input transcript, a value a call.
        costs_usd: a value a call, of those whose cost is known.
        tools_ok, tools_failed: tool calls by their ends.
    """

    arm: str
    spreads: tuple[Spread, ...]
    ages: tuple[Spread, ...]
    error_rates: tuple[float, ...]
    costs_usd: tuple[float, ...] = ()
    tools_ok: int = 0
    tools_failed: int = 0

    @property
    def cost_usd(self) -> float | None:
        """Mean over the calls whose cost is known."""
        return sum(self.costs_usd) / len(self.costs_usd) if self.costs_usd else None

    @property
    def tool_calls(self) -> int:
        """Tool calls that somebody waited for."""
        return self.tools_ok + self.tools_failed

    @property
    def tool_success(self) -> float | None:
        """Share of them that gave their output."""
        return self.tools_ok / self.tool_calls if self.tool_calls else None

    @property
    def error_rate(self) -> float | None:
        """Mean over the calls."""
        return sum(self.error_rates) / len(self.error_rates) if self.error_rates else None


SpreadRow = tuple[str, list[tuple[str, Spread]]]
"""A span's name, and what it is on each arm."""


@dataclass(frozen=True, slots=True)
class Page:
    """The whole page, as the template shows it."""

    headline: str
    tone: RunVerdict
    started: str
    results: Results
    cards: tuple[Card, ...]
    broken: tuple[Broken, ...]
    trends: Mapping[tuple[str, str], TrendLine]
    verdicts: tuple[ArmVerdict, ...]
    shifts: tuple[Shift, ...]
    figures: tuple[ArmFigures, ...]
    protocols: tuple[ProtocolTally, ...]
    sounds_left_out: int

    @property
    def blocking(self) -> int:
        """Protocol differences that block a release."""
        return sum(tally_of_arm.blocking for tally_of_arm in self.protocols)

    @property
    def load(self) -> str | None:
        """How the machine bore the other calls; None where there were none."""
        return sum_load(self.results)

    @property
    def spread_rows(self) -> list[SpreadRow]:
        """The spans of a turn, each on all arms."""
        return _by_name((of.arm, of.spreads) for of in self.figures)

    @property
    def age_rows(self) -> list[SpreadRow]:
        """The ages of a call, each on all arms."""
        return _by_name((of.arm, of.ages) for of in self.figures)


def make_page(material: Material, audio_bytes: int) -> Page:
    """Lay the report out.

    Args:
        material: that it is made of.
        audio_bytes: most of the page that audio may take; what broke goes first.
    """
    budget = AudioBudget(audio_bytes)
    cards = make_cards(material, budget)
    first, *others = material.arms or ("",)
    return Page(
        headline=headline(cards, material.arms),
        tone=tone(cards),
        started=readable(material.results.started_at),
        results=material.results,
        cards=cards,
        broken=_find_broken(cards, material.trends),
        trends={place: trend_line(trend) for place, trend in material.trends.items()},
        verdicts=tuple(
            compare_verdicts(first, arm, [card.change_on(arm) for card in cards]) for arm in others
        ),
        shifts=tuple(shift for arm in others for shift in _shifts(material, first, arm)),
        figures=tuple(_figures(material, arm) for arm in material.arms),
        protocols=(
            *(_protocol(material, cards, first, arm) for arm in others),
            *(_protocol(material, cards, RECORDING, arm) for arm in _recorded(material)),
        ),
        sounds_left_out=budget.left_out,
    )


def _find_broken(
    cards: Sequence[Card], trends: Mapping[tuple[str, str], Trend]
) -> tuple[Broken, ...]:
    found = [
        Broken(card, call, _is_new(card, call.arm), _passed_before(trends, card, call))
        for card in cards
        for call in card.calls
        if call.row.verdict is not RunVerdict.PASS
    ]
    found.sort(key=lambda each: (WORST_FIRST.index(each.call.row.verdict), not each.new))
    return tuple(_with_one_reason(found))


def _with_one_reason(found: Sequence[Broken]) -> Iterator[Broken]:
    """Put those together that one thing broke: a check of a script, on whatever arm; a cause that
    kept many scripts from being decided."""
    groups: dict[object, list[Broken]] = {}
    for each in found:
        verdict, mishap = each.call.row.verdict, each.call.mishap
        if verdict is RunVerdict.FAIL and mishap is not None:
            reason: object = (each.card.anchor, each.new, mishap.step, mishap.kind, mishap.expected)
        else:
            reason = (verdict, each.call.info.reason)
        groups.setdefault(reason, []).append(each)
    for first, *others in groups.values():
        yield replace(first, also=tuple((other.card, other.call) for other in others))


def _is_new(card: Card, arm: str) -> bool:
    return any(
        other == arm and judged.change is VerdictChange.NEWLY_FAILING
        for other, judged in card.changes
    )


def _passed_before(trends: Mapping[tuple[str, str], Trend], card: Card, call: ArmCall) -> bool:
    trend = trends.get((card.info.id, call.arm))
    if trend is None or len(trend.points) < 2:
        return False
    return trend.points[-2].summary.row.verdict is RunVerdict.PASS


def _by_name(of_arms: Iterable[tuple[str, Sequence[Spread]]]) -> list[SpreadRow]:
    rows: dict[str, list[tuple[str, Spread]]] = {}
    for arm, spreads_of_arm in of_arms:
        for spread in spreads_of_arm:
            rows.setdefault(spread.name, []).append((arm, spread))
    return list(rows.items())


def _shifts(material: Material, first: str, second: str) -> tuple[Shift, ...]:
    pairs = _pairs(material, first, second)
    return tuple(
        compare_latency(first, second, pairs, percent, "Wait for an answer") for percent in (50, 95)
    )


def _protocol(material: Material, cards: Sequence[Card], first: str, second: str) -> ProtocolTally:
    return tally(
        first,
        second,
        material.results.protocol,
        {
            card.info.id: all(
                material.has_wire(card.info.id, arm) for arm in (first, second) if arm != RECORDING
            )
            for card in cards
        },
        {card.info.id: card.anchor for card in cards},
    )


def _recorded(material: Material) -> list[str]:
    return [arm.name for arm in material.results.arms if arm.kind == "recorded"]


def _pairs(material: Material, first: str, second: str) -> list[CallPair]:
    """Return the waits of calls that were played on both arms: one script, one number."""
    waits: dict[tuple[str, int], dict[str, list[float]]] = {}
    for (script, arm), runs in material.runs.items():
        for run in runs:
            if run.files is not None:
                answers = heard_answers(run.files.detail)
                of_call = waits.setdefault((script, run.info.number), {})
                of_call[arm] = [float(answer.wait_ms) for answer in answers]
    return [
        (of_call[first], of_call[second])
        for of_call in waits.values()
        if first in of_call and second in of_call
    ]


def _figures(material: Material, arm: str) -> ArmFigures:
    details = material.details(arm)
    rates = [input_error_rate(detail.transcript) for detail in details]
    infos = [info for info in material.results.runs if info.arm == arm]
    return ArmFigures(
        arm,
        spreads(details),
        spreads_by_age(details),
        tuple(rate for rate in rates if rate is not None),
        tuple(info.cost_usd for info in infos if info.cost_usd is not None),
        sum(info.tools_ok for info in infos),
        sum(info.tools_failed for info in infos),
    )
