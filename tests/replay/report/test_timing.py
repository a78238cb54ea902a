"""How long the caller waited, read out of a call."""

from typing import Literal

from pydantic import JsonValue

from bridge.replay.report.timing import (
    heard_answers,
    longest_turn_ms,
    spreads,
    spreads_by_age,
    stop_times,
    waterfalls,
)
from bridge.replay.results.detail import RunDetail, TranscriptTurn, TurnStages


def _turn(speaker: Literal["caller", "agent"], start_ms: int, end_ms: int) -> TranscriptTurn:
    return TranscriptTurn(speaker, "", None, None, start_ms, end_ms)


def test_an_answer_is_the_agents_turn_that_follows_the_callers() -> None:
    detail = RunDetail(
        call={},
        transcript=(
            _turn("agent", 300, 2000),
            _turn("caller", 2500, 3500),
            _turn("agent", 4200, 6000),
            _turn("agent", 9000, 9900),
            _turn("caller", 11_000, 12_000),
            _turn("agent", 11_800, 13_000),
        ),
    )
    assert [(each.at_ms, each.wait_ms) for each in heard_answers(detail)] == [(4200, 700)]


def test_waits_are_told_by_the_age_of_the_call() -> None:
    turns = []
    for at_ms, wait_ms in ((10_000, 600), (70_000, 700), (300_000, 800), (600_000, 2000)):
        turns += [_turn("caller", at_ms - 1000 - wait_ms, at_ms - wait_ms)]
        turns += [_turn("agent", at_ms, at_ms + 500)]
    rows = spreads_by_age([RunDetail(call={}, transcript=tuple(turns))])
    assert [(row.name, row.longest) for row in rows] == [
        ("first minute", 600),
        ("minute 2 to 4", 700),
        ("minute 5 to 8", 800),
        ("from minute 9", 2000),
    ]


def test_stages_come_in_the_order_of_a_turn_and_unknown_ones_last() -> None:
    turn = TurnStages(1, {"playback": 20.0, "novel": 5.0, "capture": 40.0, "model": 35.0}, None)
    names = [row.name for row in spreads([RunDetail(call={}, turns=(turn,))])]
    assert names == ["capture", "model", "playback", "novel"]


def test_a_waterfall_is_drawn_to_the_scale_of_the_longest_turn() -> None:
    short = TurnStages(1, {"capture": 100.0, "model": 100.0}, 200.0)
    long = TurnStages(2, {"capture": 100.0, "model": 300.0}, 400.0)
    longest_ms = longest_turn_ms([RunDetail(call={}, turns=(short, long))])
    first, second = waterfalls([short, long], longest_ms)
    assert [(bar.left, bar.width) for bar in first.bars] == [(0, 25), (25, 25)]
    assert [(bar.left, bar.width) for bar in second.bars] == [(0, 25), (25, 75)]


def test_stop_times_are_those_of_interruptions_that_stopped_something() -> None:
    call: dict[str, JsonValue] = {
        "interruptions": [{"stop_ms": 180}, {"stop_ms": None}, {"stop_ms": 240.0}]
    }
    assert stop_times([RunDetail(call=call), RunDetail(call={})]) == (180.0, 240.0)
