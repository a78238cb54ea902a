"""Sums up callers' waits for an answer: percentiles, stages, age of the call. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bridge.replay.json_fields import number_of, parts_of
from bridge.replay.results.detail import RunDetail, TurnStages
from bridge.replay.results.statistics import PERCENTILES, percentile
from bridge.telemetry.labels import TurnStage

STAGES: Mapping[str, str] = {
    TurnStage.CAPTURE: "caller's last sound, to its append",
    TurnStage.UPLINK: "to the socket",
    TurnStage.ENDPOINT: "to speech_stopped",
    TurnStage.MODEL: "to response.created",
    TurnStage.TOOL: "to response.created after a tool",
    TurnStage.FIRST_DELTA: "to the first audio delta",
    TurnStage.DOWNLINK: "to its first sample in our ring",
    TurnStage.PLAYBACK: "to the first RTP packet",
}
"""Stages of a turn in order, and where each one ends."""

AGES = ((0, "first minute"), (60, "minute 2 to 4"), (240, "minute 5 to 8"), (480, "from minute 9"))
"""Ages of a call, by the second from which on they begin: long sessions slow down."""


@dataclass(frozen=True, slots=True)
class HeardWaits:
    """The agent's answer to a turn of the caller's, at the caller's ear.

    Attributes:
        at_ms: its first sound.
        wait_ms: from the caller's last sound to it.
    """

    at_ms: int
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of something; None where the values are too few for one.

    Attributes:
        values: so many.
    """

    name: str
    note: str
    values: int
    percentiles: Mapping[int, float | None]
    longest: float | None

    @classmethod
    def of(cls, name: str, note: str, values: Sequence[float]) -> "Spread":
        """Sum values up."""
        found = {percent: percentile(values, percent) for percent in PERCENTILES}
        return cls(name, note, len(values), found, max(values, default=None))


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage of a turn as it is drawn, in percent of the longest turn."""

    stage: str
    ms: float
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A turn's stages as they are drawn."""

    number: int
    total_ms: float
    bars: tuple[Bar, ...]


def heard_answers(detail: RunDetail) -> tuple[HeardWaits, ...]:
    """Return the answers of a call: the agent's turns that follow the caller's at once."""
    turns = sorted(detail.transcript, key=lambda turn: turn.start_ms)
    return tuple(
        HeardWaits(answer.start_ms, answer.start_ms - asked.end_ms)
        for asked, answer in pairwise(turns)
        if (asked.speaker, answer.speaker) == ("caller", "agent")
        and answer.start_ms >= asked.end_ms
    )


def stop_times(details: Iterable[RunDetail]) -> tuple[float, ...]:
    """Return how long the agent spoke on after the caller began to talk over it, in ms."""
    return tuple(
        stop_ms
        for detail in details
        for each in parts_of(detail.call, "interruptions")
        if (stop_ms := number_of(each, "stop_ms")) is not None
    )


def spreads(details: Iterable[RunDetail]) -> tuple[Spread, ...]:
    """Return the wait at the caller's ear, the bridge's own sum of it, and its stages."""
    details = tuple(details)
    waits = [answer.wait_ms for detail in details for answer in heard_answers(detail)]
    turns = [turn for detail in details for turn in detail.turns]
    totals = [turn.total_ms for turn in turns if turn.total_ms is not None]
    rows = [
        Spread.of("heard", "caller's last sound to the agent's first, at the caller's ear", waits),
        Spread.of("measured", "the same, as the bridge measured it: the sum of the stages", totals),
    ]
    silence = "the caller's first sound over the agent, to the agent's last"
    rows.append(Spread.of("interruption", silence, stop_times(details)))
    for stage, note in _stages_of(turns).items():
        rows.append(
            Spread.of(stage, note, [turn.stages[stage] for turn in turns if stage in turn.stages])
        )
    return tuple(row for row in rows if row.values)


def spreads_by_age(details: Iterable[RunDetail]) -> tuple[Spread, ...]:
    """Return the wait at the caller's ear by the age of the call."""
    waits: dict[str, list[float]] = {}
    for detail in details:
        for answer in heard_answers(detail):
            age = [name for from_s, name in AGES if answer.at_ms >= from_s * 1000][-1]
            waits.setdefault(age, []).append(answer.wait_ms)
    return tuple(Spread.of(name, "", waits[name]) for _, name in AGES if name in waits)


def waterfalls(turns: Sequence[TurnStages], longest_ms: float) -> tuple[Waterfall, ...]:
    """Return the turns as they are drawn, to a scale that ends at ``longest_ms``."""
    return tuple(_waterfall(turn, longest_ms) for turn in turns if turn.stages)


def longest_turn_ms(details: Iterable[RunDetail]) -> float:
    """Return what the scale of these calls' waterfalls has to hold."""
    return max(
        (sum(turn.stages.values()) for detail in details for turn in detail.turns), default=0.0
    )


def _waterfall(turn: TurnStages, longest_ms: float) -> Waterfall:
    bars, spent_ms = [], 0.0
    for stage in _stages_of([turn]):
        ms = turn.stages[stage]
        scale = 100 / longest_ms if longest_ms > 0 else 0.0
        bars.append(Bar(stage, ms, round(spent_ms * scale, 3), round(ms * scale, 3)))
        spent_ms += ms
    return Waterfall(turn.number, spent_ms if turn.total_ms is None else turn.total_ms, tuple(bars))


def _stages_of(turns: Iterable[TurnStages]) -> dict[str, str]:
    """Return the stages that were measured: the known ones in order, then others by name."""
    measured = {stage for turn in turns for stage in turn.stages}
    known = {stage: note for stage, note in STAGES.items() if stage in measured}
    return known | dict.fromkeys(sorted(measured - set(known)), "")
