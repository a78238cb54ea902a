"""Records a call's handoffs: target, way, result, and how long the caller waited."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.clock import NS_PER_MS, Clock
from bridge.engine.effects import Effect
from bridge.engine.news import (
    HandedBack,
    HandoffAccepted,
    HandoffCompleted,
    HandoffFailed,
    HandoffStarted,
    Way,
)
from bridge.live.recording import Fields
from bridge.live.records.arm_watch import ArmWatch
from bridge.live.records.summary import HandedOver
from bridge.telemetry.labels import TransferKind
from bridge.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


class HandoffRecord:
    """Records one call's handoffs.

    Args:
        record: puts an event into the call's record.
        handoffs: the record's list of them.
        watch: learns of those that fail.
        metrics: counts them, and who waits.
        clock: of the waits.
        elapsed_ms: says how old the call is.
    """

    def __init__(
        self,
        record: Callable[[str, Fields], None],
        handoffs: list[HandedOver],
        watch: ArmWatch,
        metrics: Metrics,
        clock: Clock,
        elapsed_ms: Callable[[], int],
    ) -> None:
        self._record = record
        self._handoffs = handoffs
        self._watch = watch
        self._metrics = metrics
        self._clock = clock
        self._elapsed_ms = elapsed_ms
        self._queued: tuple[str, int, int] | None = None  # for whom, since when: wall and monotonic

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only recorded, here."""
        return MappingProxyType(
            {
                HandoffStarted: self._on_started,
                HandoffAccepted: self._on_accepted,
                HandoffCompleted: self._on_completed,
                HandoffFailed: self._on_failed,
                HandedBack: self._on_handed_back,
            }
        )

    def leave_queue(self) -> None:
        """Count the caller no more among those that wait for a person."""
        queued, self._queued = self._queued, None
        if queued is not None:
            target, joined_wall_ns, joined_ns = queued
            waited_ns = self._clock.now_ns() - joined_ns
            self._metrics.queues.left(target, joined_wall_ns, waited_ns)

    def _on_started(self, effect: HandoffStarted) -> None:
        self._handoffs.append(HandedOver(self._elapsed_ms(), effect.to, effect.target, effect.way))
        self._join_queue(effect.target)
        self._record(
            "handoff_started",
            {
                "to": effect.to,
                "target": effect.target,
                "way": effect.way,
                "text": effect.summary or None,
            },
        )
        log.info("handoff_started", target=effect.target, way=effect.way.value)

    def _on_accepted(self, effect: HandoffAccepted) -> None:
        self.leave_queue()
        self._record("handoff_accepted", {"way": effect.way, "by": effect.by or None})
        log.info("handoff_accepted", way=effect.way.value)

    def _on_completed(self, effect: HandoffCompleted) -> None:
        self._handed_over(effect.way, "completed", effect.took_ms)
        self._record("handoff_completed", {"way": effect.way, "took_ms": effect.took_ms})
        log.info("handoff_completed", way=effect.way.value, took_ms=effect.took_ms)

    def _on_failed(self, effect: HandoffFailed) -> None:
        self._handed_over(effect.way, effect.reason, effect.took_ms)
        if effect.reason != "caller_left":
            self._watch.handoff_failed()
        self._record(
            "handoff_failed",
            {"way": effect.way, "reason": effect.reason, "took_ms": effect.took_ms},
        )
        log.warning(
            "handoff_failed",
            way=effect.way.value,
            reason=effect.reason,
            took_ms=effect.took_ms,
        )

    def _on_handed_back(self, effect: HandedBack) -> None:
        self._handoffs[-1].talked_ms = effect.talked_ms
        self._record("handed_back", {"talked_ms": effect.talked_ms})
        log.info("handed_back", talked_ms=effect.talked_ms)

    def _handed_over(self, way: Way, result: str, took_ms: int) -> None:
        self.leave_queue()
        handoff = self._handoffs[-1]
        handoff.way, handoff.result = way.value, result
        failed = "" if result == "completed" else result
        self._metrics.calls.transferred(
            TransferKind(way.value), failed=failed, took_ns=took_ms * NS_PER_MS
        )

    def _join_queue(self, target: str) -> None:
        """Count the caller among those that wait for a person."""
        self.leave_queue()
        self._queued = (target, self._clock.wall_ns(), self._clock.now_ns())
        self._metrics.queues.joined(target, self._queued[1])
