"""Measures one caller's waits: for each answer, stage by stage, and in silence."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import structlog

from bridge.clock import NS_PER_MS
from bridge.engine.effects import Effect
from bridge.engine.news import PhaseChanged, SilenceMeasured, TurnMeasured
from bridge.engine.turns import State, Trigger
from bridge.live.records.summary import CallSummary
from bridge.telemetry.labels import INFERENCE, DeadAirCause, TurnStage
from bridge.telemetry.metrics import TurnMetrics
from bridge.telemetry.turn_latency import TurnLatency

log = structlog.get_logger(__name__)

DEAD_AIR_MS = 2_000
"""A longer silence is dead air (`NEEDS.md` section 5)."""


_HEARD_OUT = frozenset({Trigger.PLAYOUT_DRAINED, Trigger.RESPONSE_DONE})
"""Causes of a phase that ends the agent's turn with nothing of it unheard."""


class RecordEvent(Protocol):
    """Adds to the call's event stream."""

    def __call__(self, kind: str, fields: Mapping[str, str | int | None], /) -> None:
        """Take an event."""
        ...


class CallerWaits:
    """Takes what is measured of one caller's waiting.

    Args:
        summary: where it is put down; knows the arm in use.
        metrics: where it is counted.
        event: records a wait.
        elapsed_ms: gives the call's age.
    """

    def __init__(
        self,
        summary: CallSummary,
        metrics: TurnMetrics,
        event: RecordEvent,
        elapsed_ms: Callable[[], int],
    ) -> None:
        self._summary = summary
        self._metrics = metrics
        self._event = event
        self._elapsed_ms = elapsed_ms
        self._answers_since_ms: float | None = None

    def moved(self, effect: PhaseChanged) -> None:
        """Learn the phase: it says when an answer was heard to its end, or is cut short."""
        since_ms = self._answers_since_ms
        if since_ms is not None and effect.cause in _HEARD_OUT and effect.new == State.LISTENING:
            took_ns = round((self._elapsed_ms() - since_ms) * NS_PER_MS)
            self._metrics.full(self._summary.arm_in_use, took_ns)
            self._answers_since_ms = None
        elif effect.new not in (State.SPEAKING, State.THINKING):
            self._answers_since_ms = None

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are taken here."""
        return MappingProxyType(
            {TurnMeasured: self._on_measured, SilenceMeasured: self._on_silence}
        )

    def _on_measured(self, effect: TurnMeasured) -> None:
        if effect.greeting_ns is not None:
            self._on_greeting(effect.greeting_ns)
            return
        for stage, took_ns in effect.stages_ns.items():
            self._metrics.stage(self._summary.arm_in_use, TurnStage(stage), took_ns)
        inference_ns = [took for stage, took in effect.stages_ns.items() if stage in INFERENCE]
        if inference_ns:
            self._metrics.inference(self._summary.arm_in_use, sum(inference_ns))
        if effect.total_ns is not None:
            self._answers_since_ms = self._elapsed_ms() - effect.total_ns / NS_PER_MS
            age_ns = self._elapsed_ms() * NS_PER_MS
            self._metrics.responded(self._summary.arm_in_use, effect.total_ns, age_ns=age_ns)
        turn = TurnLatency(
            self._elapsed_ms(),
            None if effect.total_ns is None else _ms(effect.total_ns),
            {stage: _ms(took_ns) for stage, took_ns in effect.stages_ns.items()},
        )
        self._summary.latency.append(turn)
        self._event("measured", {f"{name}_ms": f"{ms}" for name, ms in turn.spans_ms().items()})

    def _on_greeting(self, delay_ns: int) -> None:
        self._metrics.greeted(self._summary.arm_in_use, delay_ns)
        self._summary.greeting_ms = _ms(delay_ns)
        self._event("greeted", {"delay_ms": f"{_ms(delay_ns)}"})

    def _on_silence(self, effect: SilenceMeasured) -> None:
        summary = self._summary
        if effect.silence_ms > (summary.longest_silence_ms or 0):
            summary.longest_silence_ms = effect.silence_ms
            summary.longest_silence_cause = effect.cause
        if effect.silence_ms > DEAD_AIR_MS:
            self._metrics.dead_air(self._summary.arm_in_use, DeadAirCause(effect.cause))
            self._event("dead_air", {"cause": effect.cause, "silence_ms": effect.silence_ms})
            log.info("dead_air", cause=effect.cause, silence_ms=effect.silence_ms)


def _ms(ns: int) -> float:
    return round(ns / NS_PER_MS, 1)
