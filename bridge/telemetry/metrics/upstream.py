"""Metrics of the Realtime sessions of each arm."""

import functools

from bridge.clock import NS_PER_S
from bridge.realtime.failures import Failure
from bridge.telemetry.labels import (
    BilledToken,
    LabelGuard,
    Modality,
    UpstreamPhase,
)
from bridge.telemetry.metrics.families import (
    EVENT_TYPES_KEPT,
    EXPECTED_FAILURES,
    SETUP_S,
    TOKEN_FAILURES,
    Families,
    current_call,
)


class UpstreamMetrics:
    """Realtime connections and what comes over them."""

    def __init__(self, make: Families) -> None:
        self._attempts = make.counter(
            "upstream_connect_attempts_total", "Connections tried.", "arm"
        )
        self._failures = make.counter(
            "upstream_connect_failures_total", "Connections that failed.", "arm", "reason"
        )
        self._sessions = make.counter(
            "upstream_sessions_total", "Sessions that calls got.", "arm", "model"
        )
        self._refused_models = make.counter(
            "upstream_model_fallbacks_total",
            "Models that gave no session where another one of their arm did.",
            *("arm", "model", "reason"),
        )
        self._differences = make.counter(
            "upstream_session_differences_total",
            "Settings that a service confirmed otherwise than they were asked for.",
            *("arm", "field"),
        )
        self._ready = make.histogram(
            "upstream_session_ready_seconds", "Connect to settings taken.", SETUP_S, "arm"
        )
        self._rtt = make.histogram("upstream_rtt_seconds", "Ping to pong.", SETUP_S, "arm")
        self._disconnects = make.counter(
            "upstream_disconnects_total", "Connections over.", "arm", "code", "phase"
        )
        self._events = make.counter("upstream_events_total", "Known events.", "arm", "type")
        self._unknown = make.counter(
            "upstream_unknown_events_total", "Events that the dialect does not know.", "arm"
        )
        self._malformed = make.counter(
            "upstream_malformed_events_total", "Frames that are no event of the dialect.", "arm"
        )
        self._errors = make.counter("upstream_errors_total", "Error events.", "arm", "code")
        self._tokens = make.counter(
            "upstream_tokens_total", "Tokens used.", "arm", "model", "kind", "modality"
        )
        self._transcribed = make.counter(
            "transcribed_seconds_total", "Caller audio billed by time.", "arm", "model"
        )
        self._cost = make.counter(
            "cost_usd_total",
            "US dollars by the table of models, of ended calls.",
            "arm",
            "model",
        )
        self._lost = make.counter(
            "upstream_failures_total",
            "Sessions lost in a call, and attempts to get one back that failed.",
            "arm",
            "code",
            "layer",
            "fault",
        )
        self._lost_in_talk = make.counter(
            "upstream_sessions_lost_total", "Sessions lost after the call was answered.", "arm"
        )
        self._outage = make.histogram(
            "upstream_outage_seconds", "Session lost to restored; 0: rolled over.", SETUP_S, "arm"
        )
        self._gave_up = make.counter(
            "upstream_given_up_total",
            "Calls whose session could not be had again.",
            "arm",
            "reason",
        )
        self._rotations = make.counter(
            "token_rotations_total", "Short-lived tokens fetched.", "arm", "result", "reason"
        )
        self._reason = LabelGuard(40)
        self._code = LabelGuard(40)
        self._model = LabelGuard(40)
        self._type = LabelGuard(EVENT_TYPES_KEPT)
        # Many events a second of every call.
        self._event = functools.lru_cache(4 * EVENT_TYPES_KEPT)(
            lambda arm, kind: self._events.labels(arm, self._type(kind))
        )

    def expect(self, arm: str) -> None:
        """Publish an arm's series before its first call."""
        for family in (
            *(self._attempts, self._ready, self._unknown, self._malformed),
            self._lost_in_talk,
        ):
            family.labels(arm)
        for reason in EXPECTED_FAILURES:
            self._failures.labels(arm, self._reason(reason))
        for reason in TOKEN_FAILURES:
            self._rotations.labels(arm, "failed", self._reason(reason))

    def model_taken(self, arm: str, model: str) -> None:
        """Count a session with one of the arm's models."""
        self._sessions.labels(arm, model).inc()

    def model_refused(self, arm: str, model: str, reason: str) -> None:
        """Count a model that was passed over for another one of its arm, which gave a session."""
        self._refused_models.labels(arm, model, self._reason(reason)).inc()

    def session_differs(self, arm: str, field: str) -> None:
        """Count a setting that was confirmed otherwise; ``field`` is one of six names."""
        self._differences.labels(arm, field).inc(exemplar=current_call())

    def connecting(self, arm: str) -> None:
        """Count an attempt to get a session with one of the arm's models."""
        self._attempts.labels(arm).inc()

    def connect_failed(self, arm: str, reason: str) -> None:
        """Count an attempt in which no model gave a session.

        Args:
            arm: that it was for.
            reason: :attr:`bridge.realtime.failures.Failure.code`.
        """
        self._failures.labels(arm, self._reason(reason)).inc(exemplar=current_call())

    def session_ready(self, arm: str, took_ns: int) -> None:
        """Observe the time from connecting until the server took our settings."""
        self._ready.labels(arm).observe(took_ns / NS_PER_S, exemplar=current_call())

    def pong(self, arm: str, rtt_ns: int) -> None:
        """Observe a WebSocket ping's round trip."""
        self._rtt.labels(arm).observe(rtt_ns / NS_PER_S)

    def disconnected(self, arm: str, *, close_code: int | None, phase: UpstreamPhase) -> None:
        """Count the end of a connection. ``close_code``: RFC 6455 section 7.4, None: no close."""
        code = "none" if close_code is None else self._code(str(close_code))
        self._disconnects.labels(arm, code, phase).inc(exemplar=current_call())

    def event(self, arm: str, event_type: str) -> None:
        """Count an event that the dialect knows."""
        self._event(arm, event_type).inc()

    def unknown_event(self, arm: str) -> None:
        """Count an event that the dialect does not know (its type may be any text)."""
        self._unknown.labels(arm).inc(exemplar=current_call())

    def malformed_event(self, arm: str) -> None:
        """Count a frame that could not be read; its session goes on without it."""
        self._malformed.labels(arm).inc(exemplar=current_call())

    def error(self, arm: str, code: str) -> None:
        """Count an error event."""
        self._errors.labels(arm, self._code(code)).inc(exemplar=current_call())

    def lost(self, arm: str, failure: Failure) -> None:
        """Count a classified failure of a call's session."""
        code = self._code(failure.code)
        self._lost.labels(arm, code, failure.layer, failure.fault).inc(exemplar=current_call())

    def lost_in_talk(self, arm: str) -> None:
        """Count a session that was lost while the caller talked with the agent."""
        self._lost_in_talk.labels(arm).inc(exemplar=current_call())

    def restored(self, arm: str, outage_ns: int) -> None:
        """Observe how long a call was without a session."""
        self._outage.labels(arm).observe(outage_ns / NS_PER_S, exemplar=current_call())

    def gave_up(self, arm: str, reason: str) -> None:
        """Count a call that took its fallback. ``reason``: a GiveUpReason."""
        self._gave_up.labels(arm, reason).inc(exemplar=current_call())

    def rotated(self, arm: str, good: bool, reason: str) -> None:
        """Count an attempt to fetch a token. ``reason``: why it was due, or why it failed."""
        result = "ok" if good else "failed"
        self._rotations.labels(arm, result, self._reason(reason)).inc()

    def tokens(
        self, arm: str, model: str, kind: BilledToken, modality: Modality, count: int
    ) -> None:
        """Add a response's or a transcription's tokens."""
        self._tokens.labels(arm, self._model(model), kind, modality).inc(count)

    def transcribed(self, arm: str, model: str, seconds: float) -> None:
        """Add what a transcription was billed by time."""
        self._transcribed.labels(arm, self._model(model)).inc(seconds)

    def cost(self, arm: str, model: str, usd: float) -> None:
        """Add what a call has cost by one model."""
        self._cost.labels(arm, self._model(model)).inc(usd)
