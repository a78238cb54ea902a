"""The wallboard's figures."""

import pytest

from bridge.console.wallboard import figures


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


def test_call_that_was_handed_over_was_not_handled_by_the_ai_alone() -> None:
    ended = [{"answered_at": 1, "outcome": "completed", "handoff_target": "billing"}]
    assert figures([], ended, 2)["containment"] == 0.0
