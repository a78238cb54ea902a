"""How the talk goes on after an interruption, by the call's events and by a real call."""

import pytest

from bridge.live.recording import Fields
from bridge.live.records.summary import CallSummary
from bridge.live.records.turns import InterruptionWatch
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape

Events = list[tuple[str, Fields]]

CUT: tuple[str, Fields] = ("interrupted", {"played_ms": 900})
RESULTS = ("recovered", "late", "session_lost", "truncation_refused")


def answered(response_ms: float) -> tuple[str, Fields]:
    return "measured", {"model_ms": "200", "response_ms": f"{response_ms}"}


def counted(events: Events) -> dict[str, float]:
    metrics = Metrics("1")
    metrics.set_arm("a", dialect="ga", url="wss://h/v1/realtime", model="m")
    watch = InterruptionWatch(CallSummary("c_1", "support", "a", "ga", "100"), metrics.turns)
    for kind, fields in events:
        watch.take(kind, fields)
    seen = Scrape.parse(metrics.render()[0].decode())
    name = "bridge_interruption_recoveries_total"
    found = {result: seen.value(name, arm="a", result=result) for result in RESULTS}
    return {result: count for result, count in found.items() if count}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([CUT, answered(800.0)], {"recovered": 1}),
        ([CUT, answered(5000.1)], {"late": 1}),
        ([CUT, ("dead_air", {"cause": "model", "silence_ms": 5001})], {"late": 1}),
        ([CUT, ("dead_air", {"cause": "model", "silence_ms": 2500}), answered(2600)],
         {"recovered": 1}),
        ([CUT, ("session_lost", {"code": "close_1011", "attempt": 1}), answered(900)],
         {"session_lost": 1}),
        ([CUT, ("upstream_error", {"code": "item_truncate_invalid_item_id"})],
         {"truncation_refused": 1}),
        ([CUT, ("upstream_error", {"code": "response_cancel_not_active"}), answered(700)],
         {"recovered": 1}),
        # Cut off twice: the agent had spoken between.
        ([CUT, CUT, answered(700)], {"recovered": 2}),
        # Nothing was owed: the caller left, or went to a person.
        ([CUT, ("ended", {"outcome": "completed"})], {}),
        ([CUT, ("handoff_started", {"target": "desk"}), answered(9000)], {}),
        # No interruption, no recovery.
        ([answered(9000), ("session_lost", {"code": "stalled", "attempt": 1})], {}),
    ],
)  # fmt: skip
def test_each_interruption_is_counted_once_by_how_the_talk_went_on(
    events: Events, expected: dict[str, float]
) -> None:
    assert counted(events) == expected
