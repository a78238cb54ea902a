"""Metrics of turns as the caller feels them: waits, silences, interruptions."""

from bridge.clock import NS_PER_S
from bridge.telemetry.labels import (
    By,
    CallAge,
    DeadAirCause,
    InterruptionKind,
    InterruptionResult,
    LabelGuard,
    TurnStage,
)
from bridge.telemetry.metrics.families import (
    BARGE_IN_S,
    DEAD_AIR_S,
    FULL_TURN_S,
    STAGE_S,
    TURN_S,
    Families,
    current_call,
)


class TurnMetrics:
    """Turns as the caller feels them."""

    def __init__(self, make: Families) -> None:
        self._greeting = make.histogram(
            "greeting_delay_seconds", "200 to first audible RTP.", TURN_S, "arm"
        )
        self._response = make.histogram(
            "turn_response_seconds", "Caller stops to first audible reply.", TURN_S, "arm"
        )
        self._full = make.histogram(
            "turn_full_seconds",
            "Caller stops to the end of a reply that was heard out.",
            FULL_TURN_S,
            "arm",
        )
        self._by_age = make.histogram(
            "turn_response_by_age_seconds",
            "The same, by the age of the call at the reply.",
            TURN_S,
            "arm",
            "age",
        )
        self._stage = make.histogram(
            "turn_stage_seconds", "Parts of a turn's latency.", STAGE_S, "arm", "stage"
        )
        self._inference = make.histogram(
            "turn_inference_seconds",
            "The service's part: stages endpoint, model, tool and first_delta together.",
            TURN_S,
            "arm",
        )
        self._barge_in = make.histogram(
            "barge_in_stop_seconds",
            "Interruption detected to last audible frame.",
            BARGE_IN_S,
            "arm",
        )
        self._silent = make.counter(
            "silent_calls_total", "Calls whose caller heard nothing in the first 5 s.", "arm"
        )
        self._interruptions = make.counter(
            "interruptions_total", "Interruptions.", "arm", "by", "kind"
        )
        self._recoveries = make.counter(
            "interruption_recoveries_total",
            "Interruptions by the caller, by how the talk went on.",
            "arm",
            "result",
        )
        self._dead_air = make.histogram(
            "dead_air_seconds",
            "Longest silence in which a call's caller waited, once an answered call.",
            DEAD_AIR_S,
            "arm",
        )
        self._dead_air_events = make.counter(
            "dead_air_events_total", "Silences of over 2 s while the caller waits.", "arm", "cause"
        )
        self._refused = make.counter(
            "turn_transitions_refused_total", "Triggers without a row.", "state", "trigger"
        )
        self._state = LabelGuard(20)
        self._trigger = LabelGuard(60)

    def expect(self, arm: str) -> None:
        """Publish an arm's series before its first call."""
        for family in (
            *(self._greeting, self._response, self._full, self._barge_in),
            *(self._dead_air, self._silent),
        ):
            family.labels(arm)
        for result in InterruptionResult:
            self._recoveries.labels(arm, result)

    def greeted(self, arm: str, delay_ns: int) -> None:
        """Observe 200 OK to the first audible sample."""
        self._greeting.labels(arm).observe(delay_ns / NS_PER_S, exemplar=current_call())

    def silent(self, arm: str) -> None:
        """Count a call that was answered 5 s ago, and whose caller has heard nothing yet."""
        self._silent.labels(arm).inc(exemplar=current_call())

    def responded(self, arm: str, delay_ns: int, *, age_ns: int) -> None:
        """Observe the caller's last sound to the first audible sample of the reply.

        Args:
            age_ns: of the call.
        """
        delay_s = delay_ns / NS_PER_S
        self._response.labels(arm).observe(delay_s, exemplar=current_call())
        age = CallAge.of(age_ns / NS_PER_S)
        self._by_age.labels(arm, age).observe(delay_s, exemplar=current_call())

    def full(self, arm: str, took_ns: int) -> None:
        """Observe the caller's last sound to the last of a reply that was heard to its end."""
        self._full.labels(arm).observe(took_ns / NS_PER_S, exemplar=current_call())

    def stage(self, arm: str, stage: TurnStage, took_ns: int) -> None:
        """Observe one stage of a turn."""
        self._stage.labels(arm, stage.label).observe(took_ns / NS_PER_S, exemplar=current_call())

    def inference(self, arm: str, took_ns: int) -> None:
        """Observe the service's part of a turn."""
        self._inference.labels(arm).observe(took_ns / NS_PER_S, exemplar=current_call())

    def interrupted(self, arm: str, *, by: By, kind: InterruptionKind) -> None:
        """Count an interruption, once it is known what it was."""
        self._interruptions.labels(arm, by, kind).inc(exemplar=current_call())

    def went_on(self, arm: str, result: InterruptionResult) -> None:
        """Count how the talk went on after an interruption by the caller."""
        self._recoveries.labels(arm, result).inc(exemplar=current_call())

    def stopped(self, arm: str, stop_ns: int) -> None:
        """Observe an interruption detected to silence."""
        self._barge_in.labels(arm).observe(stop_ns / NS_PER_S, exemplar=current_call())

    def dead_air(self, arm: str, cause: DeadAirCause) -> None:
        """Count a silence that was longer than a caller is to wait through."""
        self._dead_air_events.labels(arm, cause).inc(exemplar=current_call())

    def longest_silence(self, arm: str, silence_ns: int) -> None:
        """Observe a call's longest silence at its end; 0 where the caller waited for nothing."""
        self._dead_air.labels(arm).observe(silence_ns / NS_PER_S, exemplar=current_call())

    def transition_refused(self, state: str, trigger: str) -> None:
        """Count a trigger that the turn machine had no row for."""
        self._refused.labels(self._state(state), self._trigger(trigger)).inc()
