"""Metrics of calls and of people in them: their ends, waits, hand-offs, emergencies, actions."""

from collections import defaultdict

from bridge.clock import NS_PER_S
from bridge.errors import Fault, Outcome
from bridge.telemetry.labels import (
    LabelGuard,
    PromptResult,
    TransferKind,
)
from bridge.telemetry.metrics.families import (
    BAD,
    DURATION_S,
    LEAVING,
    QUEUE_S,
    SETUP_S,
    Families,
    current_call,
)


class CallMetrics:
    """Calls: offered, answered, ended, and how long each part took.

    `route` is the dialplan's name.
    """

    def __init__(self, make: Families) -> None:
        self._offered = make.counter("calls_offered_total", "INVITEs taken in.", "route", "arm")
        self._answered = make.counter("calls_answered_total", "Calls answered.", "route", "arm")
        self._ended = make.counter(
            "calls_ended_total", "Calls over.", "route", "arm", "outcome", "reason", "fault"
        )
        self._bad = make.counter(
            "calls_bad_total", "Calls that failed, not by the caller's or carrier's doing.", "arm"
        )
        self._active = make.gauge("calls_active", "Calls now.", "arm")
        self.set_limit = make.gauge("calls_limit", "Calls that may be at once.").set
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
        self._prompts = make.counter(
            "consent_prompts_total",
            "Disclosures that were heard to their end, and what callers said to them.",
            "route",
            "result",
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
        self._offered.labels(self._route(route), arm).inc(exemplar=current_call())
        self._active.labels(arm).inc()

    def answered(self, *, route: str, arm: str, setup_ns: int) -> None:
        """Count an answer. ``setup_ns``: INVITE to 200 OK."""
        self._answered.labels(self._route(route), arm).inc(exemplar=current_call())
        self._setup.labels(arm).observe(setup_ns / NS_PER_S, exemplar=current_call())

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
            exemplar=current_call()
        )
        self._active.labels(arm).dec()
        if fault in BAD:
            self._bad.labels(arm).inc(exemplar=current_call())
        if duration_ns is not None:
            self._duration.labels(arm).observe(duration_ns / NS_PER_S, exemplar=current_call())

    def human_asked(self, by: str, *, granted: bool) -> None:
        """Count a caller who asked for a person; ``by`` is of a fixed set (key, words, menu)."""
        self._human_asked.labels(by, "granted" if granted else "nobody").inc()

    def transferred(self, kind: TransferKind, *, failed: str, took_ns: int) -> None:
        """Count a handing over that is over. ``failed``: why, "" where it succeeded."""
        result = "failed" if failed else "ok"
        reason = self._reason(failed) if failed else "none"
        self._transfers.labels(kind, result, reason).inc(exemplar=current_call())
        self._transfer.labels(kind, result).observe(took_ns / NS_PER_S, exemplar=current_call())

    def refused(self, *, outcome: Outcome, reason: str, fault: Fault) -> None:
        """Count an INVITE that was refused before an arm was chosen: busy, or no dialplan."""
        self._offered.labels("none", "none").inc()
        self._ended.labels("none", "none", outcome, self._reason(reason), fault).inc()
        if fault in BAD and reason not in LEAVING:
            self._bad.labels("none").inc()

    def expect_prompts(self, *, route: str) -> None:
        """Publish the series of a route whose callers hear an announcement first."""
        for result in PromptResult:
            self._prompts.labels(self._route(route), result)

    def prompted(self, *, route: str, result: PromptResult) -> None:
        """Count what came of a disclosure; one that asks may have two results."""
        self._prompts.labels(self._route(route), result).inc(exemplar=current_call())

    def emergency(self, *, route: str) -> None:
        """Count words of an emergency."""
        self._emergencies.labels(self._route(route)).inc()


class QueueMetrics:
    """Callers that wait for a person, by the handoff target's name."""

    def __init__(self, make: Families) -> None:
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
        self._wait.labels(queue).observe(waited_ns / NS_PER_S, exemplar=current_call())
        self._publish(queue)

    def _publish(self, queue: str) -> None:
        since = self._since[queue]
        self._waiting.labels(queue).set(len(since))
        self._oldest.labels(queue).set(min(since, default=0) / NS_PER_S)


class SupervisionMetrics:
    """Actions of supervisors; `action` is one of a fixed list."""

    def __init__(self, make: Families) -> None:
        self._actions = make.counter(
            "supervisor_actions_total", "Supervisors' actions on calls.", "action", "result"
        )

    def acted(self, action: str, *, refused: bool) -> None:
        """Count an action that a node was asked for."""
        self._actions.labels(action, "refused" if refused else "ok").inc()
