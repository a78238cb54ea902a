"""Records a call's sessions: errors, losses and their outcomes, tokens."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.clock import NS_PER_MS
from bridge.config.models import ModelTable
from bridge.engine.effects import Effect
from bridge.engine.news import (
    AgentHeard,
    AgentReached,
    AnswerFailed,
    GaveUp,
    SessionLost,
    SessionRestored,
    UpstreamErrorSeen,
)
from bridge.live.records.arm_watch import ArmWatch
from bridge.live.records.events import CallEvents
from bridge.live.records.summary import CallSummary, LostSession, SessionUsed
from bridge.realtime.event_values import Usage
from bridge.realtime.failures import Failure
from bridge.telemetry.costs import Tokens, cost_usd, tokens_of
from bridge.telemetry.logs import set_session
from bridge.telemetry.metrics.upstream import UpstreamMetrics

log = structlog.get_logger(__name__)

TRANSCRIPTION_FAILED = "transcription_failed"
"""Our own code among the upstream's, for a turn of the caller's without its words."""


class SessionRecord:
    """Records one call's sessions.

    Args:
        events: where it is recorded.
        summary: where it is put down; knows the arm in use.
        watch: learns what the arm is answerable for.
        metrics: counts it.
        on_restored: called when a new session has taken the place of a lost one.
    """

    def __init__(
        self,
        events: CallEvents,
        summary: CallSummary,
        watch: ArmWatch,
        metrics: UpstreamMetrics,
        on_restored: Callable[[], None],
    ) -> None:
        self._events = events
        self._summary = summary
        self._watch = watch
        self._metrics = metrics
        self._on_restored = on_restored
        self._lost_in_talk = False

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only recorded, here."""
        return MappingProxyType(
            {
                UpstreamErrorSeen: self._on_error,
                AnswerFailed: self._on_answer_failed,
                SessionLost: self._on_session_lost,
                SessionRestored: self._on_session_restored,
                GaveUp: self._on_gave_up,
                AgentReached: self._on_agent_reached,
                AgentHeard: self._on_agent_heard,
            }
        )

    def taken(self, session_id: str) -> None:
        """Note that the call has another session from now on; events and log lines name it."""
        self._events.session_id = session_id
        set_session(self._summary.call_id, session_id)
        self._summary.sessions.append(SessionUsed(self._events.elapsed_ms(), session_id))

    def named(self, conversation_id: str) -> None:
        """Note the conversation of the present session."""
        if self._summary.sessions and conversation_id:
            self._summary.sessions[-1].conversation_id = conversation_id

    def count(self, usage: Usage) -> None:
        """Count what a response was billed."""
        self._summary.tokens.update(self._counted(usage, self._summary.model))

    def count_transcription(self, usage: Usage) -> None:
        """Count what a transcription of the caller was billed: tokens, or time."""
        summary = self._summary
        summary.transcription_tokens.update(self._counted(usage, summary.transcription_model))
        if usage.seconds > 0:
            summary.transcription_s += usage.seconds
            self._metrics.transcribed(
                summary.arm_in_use, summary.transcription_model, usage.seconds
            )

    def settle(self, models: ModelTable) -> None:
        """Put down what the call has cost, once it is over and its duration is known."""
        summary = self._summary
        models_used: dict[str, float | None] = {}
        if summary.transcription_tokens or summary.transcription_s:
            summary.transcription_cost_usd = models_used[summary.transcription_model] = cost_usd(
                summary.transcription_tokens,
                models.find(summary.transcription_model),
                seconds=summary.transcription_s,
            )
        talk_usd = cost_usd(
            summary.tokens, models.find(summary.model), seconds=summary.in_session_s
        )
        models_used[summary.model] = talk_usd
        if talk_usd is not None:
            summary.cost_usd = talk_usd + (summary.transcription_cost_usd or 0.0)
        for model, usd in models_used.items():
            if usd is not None:
                self._metrics.cost(summary.arm_in_use, model, usd)

    def _counted(self, usage: Usage, model: str) -> Tokens:
        tokens = tokens_of(usage)
        for (kind, modality), count in tokens.items():
            self._metrics.tokens(self._summary.arm_in_use, model, kind, modality, count)
        return tokens

    def transcription_failed(self) -> None:
        """Count a turn of the caller's that the service could not put into words."""
        self._error(TRANSCRIPTION_FAILED)

    def _on_error(self, effect: UpstreamErrorSeen) -> None:
        self._error(effect.code)

    def _on_answer_failed(self, effect: AnswerFailed) -> None:
        self._error(effect.failure.code)
        self._put_down(effect.failure)

    def _error(self, code: str) -> None:
        self._metrics.error(self._summary.arm_in_use, code)
        self._events.record("upstream_error", {"code": code})
        log.info("upstream_error", code=code)

    def _put_down(self, failure: Failure) -> None:
        self._summary.failures.append(
            LostSession(
                self._events.elapsed_ms(),
                failure.code,
                failure.layer.value,
                failure.fault.value,
                failure.cure.value,
                self._events.session_id,
            )
        )

    def _on_session_lost(self, effect: SessionLost) -> None:
        failure = effect.failure
        self._watch.lost(failure)
        self._metrics.lost(self._summary.arm_in_use, failure)
        # Failed attempts to get a session back are no further losses.
        if self._events.talk_ms() is not None and not self._lost_in_talk:
            self._lost_in_talk = True
            self._metrics.lost_in_talk(self._summary.arm_in_use)
        self._put_down(failure)
        self._events.record(
            "session_lost",
            {
                "code": failure.code,
                "layer": failure.layer,
                "fault": failure.fault,
                "cure": failure.cure,
                "attempt": effect.attempt,
                "permanent": int(failure.permanent),
            },
        )
        log.warning(
            "session_lost",
            code=failure.code,
            layer=failure.layer.value,
            fault=failure.fault.value,
            cure=failure.cure.value,
            attempt=effect.attempt,
        )
        self._events.session_id = ""
        set_session(self._summary.call_id, "")

    def _on_session_restored(self, effect: SessionRestored) -> None:
        self._metrics.restored(self._summary.arm_in_use, effect.outage_ms * NS_PER_MS)
        self._lost_in_talk = False
        self._on_restored()
        self._events.record("session_restored", {"outage_ms": effect.outage_ms})
        log.info("session_restored", outage_ms=effect.outage_ms)

    def _on_agent_reached(self, effect: AgentReached) -> None:
        self._watch.session_ready()
        self._lost_in_talk = False
        self._events.record("agent_reached", {"way": effect.way, "took_ms": effect.took_ms})
        log.info("agent_reached", way=effect.way.value, took_ms=effect.took_ms)

    def _on_agent_heard(self, effect: AgentHeard) -> None:
        self._watch.heard()
        self._events.record("agent_heard", {})

    def _on_gave_up(self, effect: GaveUp) -> None:
        self._watch.report(self._summary, talk_ms=self._events.talk_ms())
        self._metrics.gave_up(self._summary.arm_in_use, effect.reason)
        self._events.record("gave_up", {"reason": effect.reason, "fallback": effect.fallback})
        log.error("session_given_up", reason=effect.reason, fallback=effect.fallback)
