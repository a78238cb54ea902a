"""The wallboard's figures."""

import pytest

from bridge.console.wallboard import TREND_HOURS, by_hour, figures


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
    assert figures([], ended, 2)["containment"] == share


def test_call_that_a_supervisor_took_over_was_not_handled_by_the_ai_alone() -> None:
    ended = [{"answered_at": 1, "outcome": "completed", "handled_by": "eve"}]
    assert figures([], ended, 2)["containment"] == 0.0


def test_call_that_was_handed_over_was_not_handled_by_the_ai_alone() -> None:
    ended = [{"answered_at": 1, "outcome": "completed", "handoff_target": "billing"}]
    assert figures([], ended, 2)["containment"] == 0.0


def test_each_call_counts_in_the_hour_in_which_it_began() -> None:
    hour_ms = 3_600_000
    now_ms = 100 * hour_ms
    ended = [
        {"started_at": now_ms, "answered_at": 1, "outcome": "node_lost"},
        {"started_at": now_ms - hour_ms + 1, "answered_at": 1, "outcome": "completed"},
        {"started_at": now_ms - hour_ms, "answered_at": 1, "outcome": "completed"},
        {"started_at": now_ms - TREND_HOURS * hour_ms, "answered_at": 1, "outcome": "completed"},
    ]
    found = by_hour(ended, now_ms)
    assert [each["ended_last_hour"] for each in found] == [0] * (TREND_HOURS - 2) + [1, 2]
    assert [each["containment"] for each in found][-3:] == [None, 1.0, 0.5]
