"""What is put down of a caller's waiting, with real metrics and a real summary."""

import pytest

from bridge.clock import NS_PER_MS as MS
from bridge.engine.news import SilenceMeasured, TurnMeasured
from bridge.live.records.summary import CallSummary, call_detail_record, session_metrics
from bridge.live.records.waits import DEAD_AIR_MS, CallerWaits
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.scrape import Scrape

STAGES_NS = {"capture": 30 * MS, "endpoint": 500 * MS, "model": 120 * MS, "playback": 25 * MS}


class Waits:
    """An answered call of 3 s age."""

    def __init__(self) -> None:
        self.metrics = Metrics("test")
        self.summary = CallSummary("c_1", "support", "a", "ga", "100", answered_at_ms=1)
        self.events: list[tuple[str, dict[str, str | int | None]]] = []
        self.waits = CallerWaits(
            self.summary,
            self.metrics.turns,
            lambda kind, fields: self.events.append((kind, dict(fields))),
            lambda: 3_000,
        )

    def tell(self, *effects: TurnMeasured | SilenceMeasured) -> None:
        for effect in effects:
            self.waits.effects[type(effect)](effect)

    def scraped(self) -> Scrape:
        return Scrape.parse(self.metrics.render()[0].decode())


@pytest.fixture
def call() -> Waits:
    return Waits()


def test_turn_is_in_the_record_the_stream_and_the_histograms(call: Waits) -> None:
    call.tell(TurnMeasured(STAGES_NS, total_ns=675 * MS))
    [turn] = session_metrics(call.summary)["latency"]["turns"]  # type: ignore[index]  # of JSON
    stages_ms = {"capture": 30.0, "endpoint": 500.0, "model": 120.0, "playback": 25.0}
    assert turn == {"at_ms": 3_000, "response_ms": 675.0, "stages_ms": stages_ms}
    spans = {**stages_ms, "inference": 620.0, "response": 675.0}
    assert call.events == [("measured", {f"{name}_ms": f"{ms}" for name, ms in spans.items()})]
    found = call.scraped()
    for stage, took_ns in STAGES_NS.items():
        label = {"playback": "pacing"}.get(stage, stage)
        total_s = found.value("bridge_turn_stage_seconds_sum", arm="a", stage=label)
        assert total_s == pytest.approx(took_ns / 1e9)
    assert found.value("bridge_turn_inference_seconds_sum", arm="a") == pytest.approx(0.62)
    assert found.value("bridge_turn_response_seconds_sum", arm="a") == pytest.approx(0.675)


def test_greeting_is_no_turn(call: Waits) -> None:
    call.tell(TurnMeasured(greeting_ns=340 * MS))
    assert call.events == [("greeted", {"delay_ms": "340.0"})]
    assert (call.summary.greeting_ms, call.summary.latency) == (340.0, [])


def test_longest_silence_is_kept_with_its_cause(call: Waits) -> None:
    call.tell(
        SilenceMeasured(800, "model"),
        SilenceMeasured(DEAD_AIR_MS, "model"),
        SilenceMeasured(6_200, "tool"),
        SilenceMeasured(2_400, "upstream"),
    )
    record = call_detail_record(call.summary)
    assert (record["longest_silence_ms"], record["longest_silence_cause"]) == (6_200, "tool")
    assert call.events == [
        ("dead_air", {"cause": "tool", "silence_ms": 6_200}),
        ("dead_air", {"cause": "upstream", "silence_ms": 2_400}),
    ]
    found = call.scraped()
    assert found.value("bridge_dead_air_events_total", arm="a", cause="tool") == 1
    assert found.value("bridge_dead_air_events_total", arm="a", cause="model") == 0
