"""The wallboard's figures, each with a call that it must not count."""

import pytest

from bridge.console.tally import (
    SERVICE_LEVEL_MS,
    TREND_HOURS,
    by_route,
    shift_hours,
    wallboard_figures,
)
from tests.deploy.rules import DEPLOY


@pytest.mark.parametrize(
    ("outcome", "share"),
    [
        ("completed", 1.0),
        ("max_duration", 1.0),
        ("node_lost", 0.0),
        ("session_lost", 0.0),
        ("media_failed", 0.0),
        ("internal_error", 0.0),
    ],
)
def test_call_that_broke_off_was_not_handled_by_the_ai_alone(outcome: str, share: float) -> None:
    ended = [{"answered_at": 1, "outcome": outcome}]
    assert wallboard_figures([], ended, 2)["containment"] == share


def test_call_that_a_supervisor_took_over_was_not_handled_by_the_ai_alone() -> None:
    ended = [{"answered_at": 1, "outcome": "completed", "handled_by": "eve"}]
    assert wallboard_figures([], ended, 2)["containment"] == 0.0


def test_call_that_was_handed_over_was_not_handled_by_the_ai_alone() -> None:
    ended = [{"answered_at": 1, "outcome": "completed", "handoff_target": "billing"}]
    assert wallboard_figures([], ended, 2)["containment"] == 0.0


@pytest.mark.parametrize(
    ("figure", "counted", "not_counted"),
    [
        ("waiting", "transferring", "human"),
        ("active_human", "human", "transferring"),
        ("active_ai", "listening", "human"),
        ("active_ai", "listening", "transferring"),
        ("active_ai", "listening", "ringing"),
        ("active_ai", "listening", "paused"),
    ],
)
def test_figure_of_now_counts_calls_of_its_state_alone(
    figure: str, counted: str, not_counted: str
) -> None:
    assert wallboard_figures([{"state": counted}, {"state": not_counted}], [], 2)[figure] == 1


def test_oldest_wait_is_of_callers_who_wait() -> None:
    talks = {"state": "human", "waiting_since_at": 1}
    waits = {"state": "transferring", "waiting_since_at": 60}
    assert wallboard_figures([talks, waits], [], 100)["oldest_wait_ms"] == 40


def test_failing_calls_are_below_forty() -> None:
    assert wallboard_figures([{"health": 39}, {"health": 40}, {}], [], 2)["failing"] == 1


ACCEPTED = {"handoff_result": "accepted", "handoff_wait_ms": 10_000}


@pytest.mark.parametrize(
    ("figure", "call", "value"),
    [
        ("service_level", {**ACCEPTED, "handoff_wait_ms": SERVICE_LEVEL_MS + 1}, 0.5),
        ("service_level", {"handoff_result": "caller_left", "handoff_wait_ms": 5}, 0.5),
        ("service_level", {"handoff_result": "waiting"}, 1.0),
        ("service_level", {"answered_at": 1, "outcome": "completed"}, 1.0),
        ("abandoned", {"handoff_result": "no_answer", "handoff_wait_ms": 30_000}, 0.0),
        ("abandoned", {"answered_at": 1, "outcome": "completed"}, 0.0),
        ("average_wait_ms", {"handoff_result": "caller_left", "handoff_wait_ms": 90_000}, 10_000),
        ("offered_last_hour", {"handoff_result": "waiting"}, 1),
        ("offered_last_hour", {"answered_at": 1, "outcome": "completed"}, 1),
        ("containment", {"outcome": "cancelled"}, None),
    ],
)
def test_share_leaves_out_what_it_must_not_count(
    figure: str, call: dict[str, object], value: float | None
) -> None:
    assert wallboard_figures([], [ACCEPTED, call], 2)[figure] == value


def test_calls_that_go_on_have_not_ended() -> None:
    assert wallboard_figures([{"state": "listening"}], [{}], 2)["ended_last_hour"] == 1


def test_every_figure_is_defined_in_the_handbook() -> None:
    text = (DEPLOY / "CONSOLE.md").read_text(encoding="utf-8")
    handbook = text.partition("## What the figures mean")[2].partition("\n## ")[0]
    (row,) = by_route([{"started_at": 1}])
    names = {*wallboard_figures([], [], 1), *row} - {"hour_at", "route"}
    assert {name for name in names if f"`{name}`" not in handbook} == set()


def test_each_call_counts_in_the_hour_in_which_it_began() -> None:
    hour_ms = 3_600_000
    now_ms = 100 * hour_ms
    ended = [
        {"started_at": now_ms, "answered_at": 1, "outcome": "node_lost"},
        {"started_at": now_ms - hour_ms + 1, "answered_at": 1, "outcome": "completed"},
        {"started_at": now_ms - hour_ms, "answered_at": 1, "outcome": "completed"},
        {"started_at": now_ms - TREND_HOURS * hour_ms, "answered_at": 1, "outcome": "completed"},
    ]
    found = shift_hours(ended, now_ms)
    assert [each["ended_last_hour"] for each in found] == [0] * (TREND_HOURS - 2) + [1, 2]
    assert [each["containment"] for each in found][-3:] == [None, 1.0, 0.5]
