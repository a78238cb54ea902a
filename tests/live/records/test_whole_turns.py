"""Whole turns: from the caller's last sound to the last of an answer that was heard out."""

import pytest

from bridge.engine.news import PhaseChanged, TurnMeasured
from bridge.live.records.summary import CallSummary
from bridge.live.records.waits import CallerWaits
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape

MS = 1_000_000


class Call:
    """A call on a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 10_000
        self.metrics = Metrics("test")
        summary = CallSummary("call_1", "support", "b", "ga", "100")
        self.waits = CallerWaits(
            summary, self.metrics.turns, lambda kind, fields: None, lambda: self.now_ms
        )

    def heard_after(self, ms: int) -> None:
        self.waits.effects[TurnMeasured](TurnMeasured({"model": ms * MS}, ms * MS))

    def move(self, old: str, new: str, cause: str, after_ms: int) -> None:
        self.now_ms += after_ms
        self.waits.moved(PhaseChanged(old, new, cause))

    def full(self) -> list[float]:
        scrape = Scrape.parse(self.metrics.render()[0].decode())
        name = "bridge_turn_full_seconds"
        return [scrape.value(f"{name}_{of}", arm="b") for of in ("count", "sum")]


@pytest.fixture
def call() -> Call:
    return Call()


def test_answer_heard_out_is_observed_with_the_wait_before_it(call: Call) -> None:
    call.heard_after(700)
    call.move("thinking", "speaking", "playout_started", 0)
    call.move("speaking", "listening", "playout_drained", 4_000)
    assert call.full() == pytest.approx([1, 4.7])


def test_answer_that_pauses_for_a_tool_is_one_turn(call: Call) -> None:
    call.heard_after(700)
    call.move("speaking", "thinking", "playout_paused", 1_000)
    call.move("thinking", "speaking", "playout_started", 2_000)
    call.move("speaking", "listening", "playout_drained", 3_000)
    assert call.full() == pytest.approx([1, 6.7])


@pytest.mark.parametrize("new", ["cancelling", "recovering", "handoff", "ended"])
def test_answer_that_was_cut_short_is_no_whole_turn(call: Call, new: str) -> None:
    call.heard_after(700)
    call.move("speaking", new, "interrupted", 1_000)
    call.move(new, "listening", "playout_drained", 1_000)
    assert call.full() == [0, 0]


def test_greeting_is_no_turn(call: Call) -> None:
    call.waits.effects[TurnMeasured](TurnMeasured(greeting_ns=500 * MS))
    call.move("speaking", "listening", "playout_drained", 1_000)
    assert call.full() == [0, 0]
