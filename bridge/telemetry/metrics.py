"""Every metric of the bridge, on a registry of its own.

Names, labels and buckets are those of `needs.md` (c). Durations are given in nanoseconds, as
the bridge keeps them, and published in seconds. Recording takes a few microseconds and never
blocks; everything runs in the loop's thread.

What happens in a call's context (:func:`bridge.telemetry.logs.bind_call`) leaves the call's id as
an exemplar: never a label, and shown to who asks for OpenMetrics alone.
"""

import enum
import functools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from urllib.parse import urlsplit

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from structlog.contextvars import get_contextvars

from bridge.clock import NS_PER_S
from bridge.errors import Fault, Outcome
from bridge.realtime.failures import TABLE, Failure, Place
from bridge.telemetry.labels import (
    By,
    DeadAirCause,
    Direction,
    DtmfMethod,
    DtmfResult,
    InterruptionKind,
    LabelGuard,
    Modality,
    Path,
    ReloadResult,
    Stage,
    TokenKind,
    TransferKind,
    UpstreamPhase,
)


class Format(enum.Enum):
    """How the metrics are written; the value is the content type."""

    TEXT = CONTENT_TYPE_LATEST
    OPEN_METRICS = openmetrics.CONTENT_TYPE_LATEST
    """With exemplars."""

    @classmethod
    def wanted(cls, accept: str) -> "Format":
        """Choose by an HTTP ``Accept`` header: OpenMetrics for whoever names it, as Prometheus."""
        named = {each.partition(";")[0].strip() for each in accept.split(",")}
        return cls.OPEN_METRICS if "application/openmetrics-text" in named else cls.TEXT


_OPEN_METRICS_END = b"# EOF\n"

Buckets = tuple[float, ...]

# fmt: off
TURN_S: Buckets = (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 8, 13)
# fmt: on
# The bridge's own stages are tens of ms (60 ms each way is the limit), the service's up to seconds.
# fmt: off
STAGE_S: Buckets = (
    0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.5, 3, 5, 8,
)
# fmt: on
BARGE_IN_S: Buckets = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2)
SETUP_S: Buckets = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30)
DEAD_AIR_S: Buckets = (1, 2, 3, 4, 5, 7, 10, 15, 30)
TOOL_S: Buckets = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 15, 30)
QUEUE_S: Buckets = (1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 1800)
DURATION_S: Buckets = (5, 10, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)
JITTER_S: Buckets = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
LOSS_RATIO: Buckets = (0, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
MOS: Buckets = (1, 2, 2.5, 3, 3.1, 3.6, 4, 4.3, 4.5)
LOOP_LAG_S: Buckets = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1)
ADDED_LATENCY_S: Buckets = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.5)

EVENT_TYPES_KEPT = 100
"""The GA dialect has 45 server event types (`protocol.md` section 3); room for every dialect."""

ARM_STOPPING: tuple[str, ...] = tuple(
    sorted(
        code
        for (place, code), row in TABLE.items()
        if place is Place.LOSS and (row.permanent or row.blames_key)
    )
)
"""Reasons of failed connections after which no call of the arm can work until a person acts."""

EXPECTED_FAILURES = (*ARM_STOPPING, "http_429", "rate_limit_exceeded", "token_limited")
"""Published as 0 from the start: a counter that first appears as 1 has no increase to alert on."""

BAD = frozenset({Fault.BRIDGE, Fault.PROVIDER, Fault.TOOL, Fault.CONFIG})
"""Whose fault makes a call a bad one; the caller's, the carrier's and a supervisor's don't."""

LEAVING = frozenset({"draining", "shutdown"})
"""A node that leaves refuses calls for other nodes to take; nobody is harmed."""


def _call() -> dict[str, str] | None:
    """Return the exemplar of what happens now: the call's id, None outside of a call.

    It takes 1 us: not for what happens with every frame.
    """
    call_id = get_contextvars().get("call_id")
    return {"call_id": call_id} if isinstance(call_id, str) else None


class _Families:
    """Makes metric families on one registry, all names prefixed ``bridge_``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.labels: dict[str, tuple[str, ...]] = {}
        self._registry = registry

    def counter(self, name: str, what: str, *labels: str) -> Counter:
        """Make a counter."""
        self.labels[f"bridge_{name}"] = labels
        return Counter(f"bridge_{name}", what, labels, registry=self._registry)

    def gauge(self, name: str, what: str, *labels: str) -> Gauge:
        """Make a gauge."""
        self.labels[f"bridge_{name}"] = labels
        return Gauge(f"bridge_{name}", what, labels, registry=self._registry)

    def histogram(self, name: str, what: str, buckets: Buckets, *labels: str) -> Histogram:
        """Make a histogram."""
        for part in ("", "_sum", "_count"):
            self.labels[f"bridge_{name}{part}"] = labels
        self.labels[f"bridge_{name}_bucket"] = (*labels, "le")
        return Histogram(f"bridge_{name}", what, labels, buckets=buckets, registry=self._registry)


class CallMetrics:
    """Calls: offered, answered, ended, and how long each part took.

    `route` is the dialplan's name.
    """

    def __init__(self, make: _Families) -> None:
        self._offered = make.counter("calls_offered_total", "INVITEs taken in.", "route", "arm")
        self._answered = make.counter("calls_answered_total", "Calls answered.", "route", "arm")
        self._ended = make.counter(
            "calls_ended_total", "Calls over.", "route", "arm", "outcome", "reason", "fault"
        )
        self._bad = make.counter(
            "calls_bad_total", "Calls that failed, not by the caller's or carrier's doing.", "arm"
        )
        self._active = make.gauge("calls_active", "Calls now.", "arm")
        self._limit = make.gauge("calls_limit", "Calls that may be at once.")
        self._duration = make.histogram(
            "call_duration_seconds", "Answer to end.", DURATION_S, "arm"
        )
        self._setup = make.histogram(
            "call_setup_duration_seconds", "INVITE to 200.", SETUP_S, "arm"
        )
        self._transfers = make.counter(
            "transfers_total", "Calls handed over, or not.", "kind", "result", "reason"
        )
        self._transfer = make.histogram(
            "transfer_duration_seconds",
            "A transfer, from wish to end.",
            SETUP_S,
            "kind",
            "result",
        )
        self._human_asked = make.counter(
            "human_requests_total", "Callers who asked for a person.", "by", "result"
        )
        self._disclosures = make.counter(
            "disclosures_total", "Disclosures that callers heard to their end.", "route"
        )
        self._consents = make.counter(
            "consents_total", "Callers who agreed, or did not.", "route", "result", "how"
        )
        self._emergencies = make.counter(
            "emergencies_total", "Words of an emergency that were heard.", "route"
        )
        self._route = LabelGuard(50)
        self._reason = LabelGuard(40)

    def expect(self, arm: str) -> None:
        """Publish an arm's series before its first call."""
        for family in (self._bad, self._active, self._duration, self._setup):
            family.labels(arm)

    def offered(self, *, route: str, arm: str) -> None:
        """Count an INVITE that a dialplan took; the call is active from here."""
        self._offered.labels(self._route(route), arm).inc(exemplar=_call())
        self._active.labels(arm).inc()

    def answered(self, *, route: str, arm: str, setup_ns: int) -> None:
        """Count an answer. ``setup_ns``: INVITE to 200 OK."""
        self._answered.labels(self._route(route), arm).inc(exemplar=_call())
        self._setup.labels(arm).observe(setup_ns / NS_PER_S, exemplar=_call())

    def ended(
        self,
        *,
        route: str,
        arm: str,
        outcome: Outcome,
        reason: str,
        fault: Fault,
        duration_ns: int | None,
    ) -> None:
        """Count the end of an offered call.

        Args:
            reason: one of few words; beyond 40 different ones it reads ``other``.
            duration_ns: answer to end; None for a call that was never answered.
        """
        self._ended.labels(self._route(route), arm, outcome, self._reason(reason), fault).inc(
            exemplar=_call()
        )
        self._active.labels(arm).dec()
        if fault in BAD:
            self._bad.labels(arm).inc(exemplar=_call())
        if duration_ns is not None:
            self._duration.labels(arm).observe(duration_ns / NS_PER_S, exemplar=_call())

    def human_asked(self, by: str, *, granted: bool) -> None:
        """Count a caller who asked for a person; ``by`` is of a fixed set (key, words, menu)."""
        self._human_asked.labels(by, "granted" if granted else "nobody").inc()

    def transferred(self, kind: TransferKind, *, failed: str, took_ns: int) -> None:
        """Count a handing over that is over. ``failed``: why, "" where it succeeded."""
        result = "failed" if failed else "ok"
        reason = self._reason(failed) if failed else "none"
        self._transfers.labels(kind, result, reason).inc(exemplar=_call())
        self._transfer.labels(kind, result).observe(took_ns / NS_PER_S, exemplar=_call())

    def refused(self, *, outcome: Outcome, reason: str, fault: Fault) -> None:
        """Count an INVITE that was refused before an arm was chosen: busy, or no dialplan."""
        self._offered.labels("none", "none").inc()
        self._ended.labels("none", "none", outcome, self._reason(reason), fault).inc()
        if fault in BAD and reason not in LEAVING:
            self._bad.labels("none").inc()

    def expect_disclosures(self, *, route: str) -> None:
        """Publish the series of a route whose callers are told something first."""
        self._disclosures.labels(self._route(route))

    def disclosed(self, *, route: str) -> None:
        """Count a disclosure that was heard to its end."""
        self._disclosures.labels(self._route(route)).inc(exemplar=_call())

    def consent(self, *, route: str, given: bool, how: str) -> None:
        """Count an answer. ``how``: of :class:`bridge.engine.effects.ConsentSettled`."""
        result = "given" if given else "refused"
        self._consents.labels(self._route(route), result, self._reason(how)).inc()

    def emergency(self, *, route: str) -> None:
        """Count words of an emergency."""
        self._emergencies.labels(self._route(route)).inc()

    def set_limit(self, calls: int) -> None:
        """Say how many calls may be at once."""
        self._limit.set(calls)


class TurnMetrics:
    """Turns as the caller feels them."""

    def __init__(self, make: _Families) -> None:
        self._greeting = make.histogram(
            "greeting_delay_seconds", "200 to first audible RTP.", TURN_S, "arm"
        )
        self._response = make.histogram(
            "turn_response_seconds", "Caller stops to first audible reply.", TURN_S, "arm"
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
            *(self._greeting, self._response, self._barge_in),
            *(self._dead_air, self._silent),
        ):
            family.labels(arm)

    def greeted(self, arm: str, delay_ns: int) -> None:
        """Observe 200 OK to the first audible sample."""
        self._greeting.labels(arm).observe(delay_ns / NS_PER_S, exemplar=_call())

    def silent(self, arm: str) -> None:
        """Count a call that was answered 5 s ago, and whose caller has heard nothing yet."""
        self._silent.labels(arm).inc(exemplar=_call())

    def responded(self, arm: str, delay_ns: int) -> None:
        """Observe the caller's last sound to the first audible sample of the reply."""
        self._response.labels(arm).observe(delay_ns / NS_PER_S, exemplar=_call())

    def stage(self, arm: str, stage: Stage, took_ns: int) -> None:
        """Observe one stage of a turn."""
        self._stage.labels(arm, stage).observe(took_ns / NS_PER_S, exemplar=_call())

    def inference(self, arm: str, took_ns: int) -> None:
        """Observe the service's part of a turn."""
        self._inference.labels(arm).observe(took_ns / NS_PER_S, exemplar=_call())

    def interrupted(self, arm: str, *, by: By, kind: InterruptionKind) -> None:
        """Count an interruption, once it is known what it was."""
        self._interruptions.labels(arm, by, kind).inc(exemplar=_call())

    def stopped(self, arm: str, stop_ns: int) -> None:
        """Observe an interruption detected to silence."""
        self._barge_in.labels(arm).observe(stop_ns / NS_PER_S, exemplar=_call())

    def dead_air(self, arm: str, cause: DeadAirCause) -> None:
        """Count a silence that was longer than a caller is to wait through."""
        self._dead_air_events.labels(arm, cause).inc(exemplar=_call())

    def longest_silence(self, arm: str, silence_ns: int) -> None:
        """Observe a call's longest silence at its end; 0 where the caller waited for nothing."""
        self._dead_air.labels(arm).observe(silence_ns / NS_PER_S, exemplar=_call())

    def transition_refused(self, state: str, trigger: str) -> None:
        """Count a trigger that the turn machine had no row for."""
        self._refused.labels(self._state(state), self._trigger(trigger)).inc()


class UpstreamMetrics:
    """Realtime connections and what comes over them."""

    def __init__(self, make: _Families) -> None:
        self._attempts = make.counter(
            "upstream_connect_attempts_total", "Connections tried.", "arm"
        )
        self._failures = make.counter(
            "upstream_connect_failures_total", "Connections that failed.", "arm", "reason"
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
            "upstream_tokens_total", "Tokens used.", "arm", "kind", "modality"
        )
        self._lost = make.counter(
            "upstream_failures_total",
            "Sessions lost in a call, and attempts to get one back that failed.",
            "arm",
            "code",
            "layer",
            "fault",
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
        self._type = LabelGuard(EVENT_TYPES_KEPT)
        # Many events a second of every call.
        self._event = functools.lru_cache(4 * EVENT_TYPES_KEPT)(
            lambda arm, kind: self._events.labels(arm, self._type(kind))
        )

    def expect(self, arm: str) -> None:
        """Publish an arm's series before its first call."""
        for family in (self._attempts, self._ready, self._unknown, self._malformed):
            family.labels(arm)
        for reason in EXPECTED_FAILURES:
            self._failures.labels(arm, self._reason(reason))

    def connecting(self, arm: str) -> None:
        """Count a connection attempt."""
        self._attempts.labels(arm).inc()

    def connect_failed(self, arm: str, reason: str) -> None:
        """Count a failed attempt. ``reason``: :attr:`bridge.realtime.failures.Failure.code`."""
        self._failures.labels(arm, self._reason(reason)).inc(exemplar=_call())

    def session_ready(self, arm: str, took_ns: int) -> None:
        """Observe the time from connecting until the server took our settings."""
        self._ready.labels(arm).observe(took_ns / NS_PER_S, exemplar=_call())

    def pong(self, arm: str, rtt_ns: int) -> None:
        """Observe a WebSocket ping's round trip."""
        self._rtt.labels(arm).observe(rtt_ns / NS_PER_S)

    def disconnected(self, arm: str, *, close_code: int | None, phase: UpstreamPhase) -> None:
        """Count the end of a connection. ``close_code``: RFC 6455 section 7.4, None: no close."""
        code = "none" if close_code is None else self._code(str(close_code))
        self._disconnects.labels(arm, code, phase).inc(exemplar=_call())

    def event(self, arm: str, event_type: str) -> None:
        """Count an event that the dialect knows."""
        self._event(arm, event_type).inc()

    def unknown_event(self, arm: str) -> None:
        """Count an event that the dialect does not know (its type may be any text)."""
        self._unknown.labels(arm).inc(exemplar=_call())

    def malformed_event(self, arm: str) -> None:
        """Count a frame that could not be read; its session goes on without it."""
        self._malformed.labels(arm).inc(exemplar=_call())

    def error(self, arm: str, code: str) -> None:
        """Count an error event."""
        self._errors.labels(arm, self._code(code)).inc(exemplar=_call())

    def lost(self, arm: str, failure: Failure) -> None:
        """Count a classified failure of a call's session."""
        code = self._code(failure.code)
        self._lost.labels(arm, code, failure.layer, failure.fault).inc(exemplar=_call())

    def restored(self, arm: str, outage_ns: int) -> None:
        """Observe how long a call was without a session."""
        self._outage.labels(arm).observe(outage_ns / NS_PER_S, exemplar=_call())

    def gave_up(self, arm: str, reason: str) -> None:
        """Count a call that took its fallback. ``reason``: a GiveUpReason."""
        self._gave_up.labels(arm, reason).inc(exemplar=_call())

    def rotated(self, arm: str, good: bool, reason: str) -> None:
        """Count an attempt to fetch a token. ``reason``: why it was due, or why it failed."""
        result = "ok" if good else "failed"
        self._rotations.labels(arm, result, self._reason(reason)).inc()

    def tokens(self, arm: str, kind: TokenKind, modality: Modality, count: int) -> None:
        """Add a response's tokens."""
        self._tokens.labels(arm, kind, modality).inc(count)


class SipMetrics:
    """SIP messages as they pass the wire, retransmissions among them."""

    def __init__(self, make: _Families) -> None:
        self._requests = make.counter("sip_requests_total", "SIP requests.", "method", "direction")
        self._responses = make.counter(
            "sip_responses_total", "SIP responses.", "method", "code", "direction"
        )
        self._method = LabelGuard(20)
        self._code = LabelGuard(80)

    def request(self, direction: Direction, method: str) -> None:
        """Count a request."""
        self._requests.labels(self._method(method), direction).inc()

    def response(self, direction: Direction, method: str, code: str) -> None:
        """Count a response to a request with this method."""
        self._responses.labels(self._method(method), self._code(code), direction).inc()


class QueueMetrics:
    """Callers that wait for a person, by the handoff target's name."""

    def __init__(self, make: _Families) -> None:
        self._waiting = make.gauge("queue_waiting", "Callers that wait for a person.", "queue")
        self._oldest = make.gauge(
            "queue_oldest_timestamp_seconds",
            "Unix time since when the first of them waits; 0: none does.",
            "queue",
        )
        self._wait = make.histogram(
            "queue_wait_seconds", "Asked for a person to reached or given up.", QUEUE_S, "queue"
        )
        self._queue = LabelGuard(50)
        self._since: defaultdict[str, list[int]] = defaultdict(list)

    def joined(self, queue: str, wall_ns: int) -> None:
        """Note that a caller begins to wait."""
        queue = self._queue(queue)
        self._since[queue].append(wall_ns)
        self._publish(queue)

    def left(self, queue: str, joined_wall_ns: int, waited_ns: int) -> None:
        """Note that a caller who joined at ``joined_wall_ns`` waits no longer."""
        queue = self._queue(queue)
        self._since[queue].remove(joined_wall_ns)
        self._wait.labels(queue).observe(waited_ns / NS_PER_S, exemplar=_call())
        self._publish(queue)

    def _publish(self, queue: str) -> None:
        since = self._since[queue]
        self._waiting.labels(queue).set(len(since))
        self._oldest.labels(queue).set(min(since, default=0) / NS_PER_S)


@dataclass(frozen=True, slots=True)
class RtpSummary:
    """One direction of one call's RTP, at its end.

    Attributes:
        packets: received (or sent).
        lost: missing by sequence number.
        late: came after their time to play.
        jitter_ns: interarrival jitter (RFC 3550 section 6.4.1).
        mos: estimate from the E-model, 1 to 4.5; None if not known.
    """

    direction: Direction
    packets: int
    lost: int
    late: int
    jitter_ns: int
    mos: float | None = None


class MediaMetrics:
    """RTP, playout, digits and what the bridge itself adds to the delay."""

    def __init__(self, make: _Families) -> None:
        self._packets = make.counter("rtp_packets_total", "RTP packets.", "direction")
        self._lost = make.counter("rtp_lost_packets_total", "RTP packets lost.", "direction")
        self._late = make.counter("rtp_late_packets_total", "RTP packets too late.", "direction")
        self._jitter = make.histogram(
            "rtp_jitter_seconds", "RFC 3550 jitter of a call.", JITTER_S, "direction"
        )
        self._loss = make.histogram(
            "rtp_loss_ratio", "Packets lost of a call, 0 to 1.", LOSS_RATIO, "direction"
        )
        self._mos = make.histogram("call_mos", "Estimated MOS of a call.", MOS, "direction")
        self._one_way = make.counter(
            "one_way_audio_calls_total", "Calls with audio in one direction only.", "arm"
        )
        self._underruns = make.counter(
            "playout_underruns_total", "Gaps inside the agent's speech.", "arm"
        )
        self._overruns = make.counter(
            "caller_audio_overruns_total", "Caller audio lost: the loop stood still for too long."
        )
        self._stalls = make.counter(
            "audio_thread_overruns_total", "Times that PJSIP's audio clock stood still for 60 ms."
        )
        self._late_blocks = make.counter(
            "playout_late_blocks_total", "Agent audio laid after PJSIP had passed its place."
        )
        self._digits = make.counter("dtmf_digits_total", "Keys pressed.", "method", "result")
        self._no_telephone_event = make.counter(
            "calls_without_telephone_event_total", "Calls whose keys can't come as RTP events."
        )
        self._added = make.histogram(
            "added_latency_seconds", "Delay that the bridge adds.", ADDED_LATENCY_S, "arm", "path"
        )
        self._recorder_dropped = make.counter(
            "recorder_dropped_blocks_total", "Audio blocks that missed the recording."
        )
        self._recording_stopped = make.counter(
            "recording_stopped_total", "Recordings that the disk refused in a call.", "reason"
        )
        self._rows = make.gauge("ring_rows_in_use", "Rows of the rings that calls have.")
        self._ports = make.gauge(
            "conference_ports",
            "Ports in PJSIP's conference; without calls as many as the most calls at once made.",
        )
        self._added_by = functools.cache(self._added.labels)

    def watch(self, rows: Callable[[], int], ports: Callable[[], int]) -> None:
        """Count ring rows and conference ports at each scrape: what a call leaves is a leak."""
        self._rows.set_function(rows)
        self._ports.set_function(ports)

    def rtp_ended(self, summary: RtpSummary) -> None:
        """Record one direction of a call's RTP when the call ends."""
        direction = summary.direction
        self._packets.labels(direction).inc(summary.packets)
        self._lost.labels(direction).inc(summary.lost)
        self._late.labels(direction).inc(summary.late)
        self._jitter.labels(direction).observe(summary.jitter_ns / NS_PER_S, exemplar=_call())
        expected = summary.packets + summary.lost
        if expected:
            self._loss.labels(direction).observe(summary.lost / expected, exemplar=_call())
        if summary.mos is not None:
            self._mos.labels(direction).observe(summary.mos, exemplar=_call())

    def expect(self, arm: str) -> None:
        """Publish an arm's series before its first call."""
        for family in (self._one_way, self._underruns):
            family.labels(arm)

    def one_way_audio(self, arm: str) -> None:
        """Count a call in which only one side could be heard."""
        self._one_way.labels(arm).inc(exemplar=_call())

    def underrun(self, arm: str) -> None:
        """Count a gap inside the agent's speech."""
        self._underruns.labels(arm).inc()

    def overrun(self, overruns: int = 1) -> None:
        """Count pieces of caller audio that were overwritten before the pump came for them."""
        self._overruns.inc(overruns)

    def clock_stalls(self, stalls: int = 1) -> None:
        """Count how often PJSIP's audio clock stood still."""
        self._stalls.inc(stalls)

    def late_blocks(self, blocks: int = 1) -> None:
        """Count blocks of agent audio that came too late for their place."""
        self._late_blocks.inc(blocks)

    def digit(self, method: DtmfMethod, result: DtmfResult) -> None:
        """Count a key press."""
        self._digits.labels(method, result).inc()

    def no_telephone_event(self) -> None:
        """Count a call whose far end did not negotiate telephone-event (RFC 4733)."""
        self._no_telephone_event.inc()

    def added_latency(self, arm: str, path: Path, added_ns: int) -> None:
        """Observe what the bridge added to one piece of audio's delay."""
        self._added_by(arm, path).observe(added_ns / NS_PER_S)

    def recorder_dropped(self, blocks: int = 1) -> None:
        """Count audio blocks that the recorder could not take."""
        self._recorder_dropped.inc(blocks)

    def recording_stopped(self, reason: str) -> None:
        """Count a recording that ended before its call; ``reason`` is a `StopReason`."""
        self._recording_stopped.labels(reason).inc()


class ToolMetrics:
    """Tools that the model called."""

    def __init__(self, make: _Families) -> None:
        self._calls = make.counter("tool_calls_total", "Calls of a tool.", "tool", "result")
        self._duration = make.histogram(
            "tool_duration_seconds", "Call of a tool to its output.", TOOL_S, "tool", "result"
        )
        self._tool, self._result = LabelGuard(50), LabelGuard(40)

    def ended(self, tool: str, result: str, took_ns: int) -> None:
        """Count a tool that ran."""
        labels = (self._tool(tool), self._result(result))
        self._calls.labels(*labels).inc(exemplar=_call())
        self._duration.labels(*labels).observe(took_ns / NS_PER_S, exemplar=_call())

    def refused(self, tool: str, reason: str) -> None:
        """Count a call that ran nothing: the model made the name or the arguments up."""
        labels = (self._tool(tool), self._result(reason))
        self._calls.labels(*labels).inc(exemplar=_call())


class RolloutMetrics:
    """Flags and what is held of their new arms."""

    def __init__(self, make: _Families) -> None:
        self._evaluations = make.counter(
            "flag_evaluations_total", "Decisions about calls.", "arm", "reason"
        )
        self._target = make.gauge("arm_target_ratio", "Share of new calls, 0 to 1.", "arm")
        self._verdict = make.gauge(
            "rollout_verdict", "1 for what is held of the new arm.", "arm", "verdict"
        )
        self._evidence = make.gauge(
            "rollout_evidence", "E-value against the new arm.", "arm", "metric"
        )
        self._rescues = make.counter(
            "rescues_total", "Calls that another arm took over.", "arm", "to", "reason"
        )
        self._reason = LabelGuard(40)

    def evaluated(self, arm: str, reason: str) -> None:
        """Count a decision. ``reason``: a :class:`bridge.routing.rollout.decision.Reason`."""
        self._evaluations.labels(arm, reason).inc()

    def set_target(self, arm: str, share: float) -> None:
        """Say which share of new calls an arm is to get."""
        self._target.labels(arm).set(share)

    def judged(self, arm: str, verdict: str, verdicts: Collection[str], e_value: float) -> None:
        """Say what is held of an arm; the node that decides alone does."""
        for each in verdicts:
            self._verdict.labels(arm, each).set(float(each == verdict))
        self._evidence.labels(arm, "bad_calls").set(e_value)

    def follow(self) -> None:
        """Hold nothing of any arm: another node decides."""
        self._verdict.clear()
        self._evidence.clear()

    def rescued(self, arm: str, to: str, reason: str) -> None:
        """Count a call whose arm failed, and which goes on with another one."""
        self._rescues.labels(arm, to, self._reason(reason)).inc()


class StoreMetrics:
    """Writes on their way to Redis."""

    def __init__(self, make: _Families) -> None:
        self._pending = make.gauge("store_pending_writes", "Writes waiting for Redis.")
        self._dropped = make.counter("store_dropped_writes_total", "Writes given up.")
        self._swept = make.counter(
            "store_swept_calls_total", "Calls of dead nodes that were ended as node_lost."
        )

    def set_pending(self, writes: int) -> None:
        """Say how many writes wait."""
        self._pending.set(writes)

    def dropped(self, writes: int = 1) -> None:
        """Count writes that were given up."""
        self._dropped.inc(writes)

    def swept(self, calls: int = 1) -> None:
        """Count calls that this node ended in a dead one's place."""
        self._swept.inc(calls)


class Metrics:
    """All metrics of one process; build it once.

    Args:
        version: of the bridge, for ``bridge_build_info``.
    """

    def __init__(self, version: str) -> None:
        # Each counter's creation time would double the series, and nobody reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._families = make = _Families(self._registry)
        make.gauge("build_info", "Version, always 1.", "version").labels(version).set(1)
        self._arm_info = make.gauge(
            "arm_info", "Arms, always 1.", "arm", "dialect", "endpoint", "model"
        )
        self._shutdown = make.gauge(
            "arm_shutdown_timestamp_seconds",
            "Unix time from which on the arm's model is no more, where that is known.",
            *("arm", "model"),
        )
        self._reloaded = make.gauge(
            "config_last_reload_timestamp_seconds", "Unix time of the last good configuration."
        )
        self._reloads = make.counter(
            "dialplan_reloads_total", "Dialplans read again, or kept as bad ones came.", "result"
        )
        for result in ReloadResult:
            self._reloads.labels(result)
        self._loop_lag = make.histogram("loop_lag_seconds", "How late the tick ran.", LOOP_LAG_S)
        self._tick = make.histogram("tick_seconds", "How long a tick worked.", LOOP_LAG_S)
        self._long_ticks = make.counter(
            "long_ticks_total", "Ticks that worked for longer than their period."
        )
        self._tasks = make.gauge("loop_tasks", "Asyncio tasks; without calls always as many.")
        self.sip = SipMetrics(make)
        self.calls = CallMetrics(make)
        self.queues = QueueMetrics(make)
        self.turns = TurnMetrics(make)
        self.upstream = UpstreamMetrics(make)
        self.media = MediaMetrics(make)
        self.tools = ToolMetrics(make)
        self.rollouts = RolloutMetrics(make)
        self.store = StoreMetrics(make)

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The labels of every series by its full name (``..._bucket``, ``..._total``)."""
        return self._families.labels

    def set_arm(
        self, arm: str, *, dialect: str, url: str, model: str, shutdown: date | None = None
    ) -> None:
        """Publish an arm, and its series before its first call.

        Args:
            url: only scheme, host, port and path are shown.
            shutdown: first day without the model.
        """
        if shutdown is not None:
            midnight = datetime.combine(shutdown, time(), UTC)
            self._shutdown.labels(arm, model).set(midnight.timestamp())
        for each in (self.calls, self.turns, self.upstream, self.media):
            each.expect(arm)
        parts = urlsplit(url)
        endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._arm_info.labels(arm, dialect, endpoint, model).set(1)

    def config_loaded(self, wall_ns: int) -> None:
        """Say when the configuration was last read."""
        self._reloaded.set(wall_ns / NS_PER_S)

    def dialplans_reloaded(self, result: ReloadResult) -> None:
        """Count an attempt to put other dialplans in force."""
        self._reloads.labels(result).inc()

    def loop_lag(self, late_ns: int) -> None:
        """Observe how late a tick ran."""
        self._loop_lag.observe(late_ns / NS_PER_S)

    def ticked(self, took_ns: int, period_ns: int) -> None:
        """Observe a tick's work; one that took longer than its period is counted, too."""
        self._tick.observe(took_ns / NS_PER_S)
        if took_ns > period_ns:
            self._long_ticks.inc()

    def watch_tasks(self, count: Callable[[], int]) -> None:
        """Count the loop's tasks at each scrape: what grows from call to call is a leak."""
        self._tasks.set_function(count)

    def render_parts(self, form: Format = Format.TEXT) -> Iterator[bytes]:
        """Yield an exposition, family by family.

        All of it takes 5 ms for two arms (70 kB), 8 ms with exemplars, too long for the loop in one
        piece; a family takes 2 ms at most. A worker thread is no way out: it could start the
        garbage collector outside the loop's thread (`design.md` section 2).
        """
        for family in self._registry.collect():
            if form is Format.TEXT:
                yield generate_latest(_OneFamily(family))
            else:
                one: bytes = openmetrics.generate_latest(  # type: ignore[no-untyped-call]  # as above
                    _OneFamily(family)
                )
                yield one.removesuffix(_OPEN_METRICS_END)
        if form is Format.OPEN_METRICS:
            yield _OPEN_METRICS_END

    def render(self, form: Format = Format.TEXT) -> tuple[bytes, str]:
        """Return an exposition in one piece and its content type."""
        return b"".join(self.render_parts(form)), form.value


class _OneFamily(Collector):
    """A single family in the place of a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family
