"""Counts a call's interruptions by how the conversation went on after them.

    cut -> answered in time         recovered
        -> answered late, or never  late
        -> the session is lost      session_lost
        -> the cut is refused       truncation_refused

The caller who leaves, or is handed to a person, before an answer was due proves nothing.
"""

from bridge.live.recording import Fields
from bridge.live.records.summary import CallSummary
from bridge.telemetry.labels import InterruptionResult
from bridge.telemetry.metrics import TurnMetrics

LATE_MS = 5_000
"""A caller who waits for longer hangs up or asks again (`NEEDS.md` section 4)."""

_REFUSED = "item_truncate_invalid_item_id"
_LEAVES_AGENT = frozenset({"handoff_started", "supervisor_joined"})


class InterruptionWatch:
    """Counts one call's interruptions by how the talk went on; takes the events of the call.

    Args:
        summary: knows the arm in use.
        metrics: where they are counted.
    """

    def __init__(self, summary: CallSummary, metrics: TurnMetrics) -> None:
        self._summary = summary
        self._metrics = metrics
        self._pending = False

    def take(self, kind: str, fields: Fields) -> None:
        """Take an event of the call's stream."""
        if kind == "interrupted":
            # Whoever can be cut off again has spoken since.
            self._settle(InterruptionResult.RECOVERED)
            self._pending = True
        elif kind in _LEAVES_AGENT:
            self._pending = False
        elif (result := _result_of(kind, fields)) is not None:
            self._settle(result)

    def _settle(self, result: InterruptionResult) -> None:
        if self._pending:
            self._pending = False
            self._metrics.went_on(self._summary.arm_in_use, result)


def _result_of(kind: str, fields: Fields) -> InterruptionResult | None:
    match kind:
        case "measured" if (response_ms := fields.get("response_ms")) is not None:
            late = float(response_ms) > LATE_MS
            return InterruptionResult.LATE if late else InterruptionResult.RECOVERED
        case "dead_air" if int(fields["silence_ms"] or 0) > LATE_MS:
            return InterruptionResult.LATE
        case "session_lost":
            return InterruptionResult.SESSION_LOST
        case "upstream_error" if fields["code"] == _REFUSED:
            return InterruptionResult.TRUNCATION_REFUSED
        case _:
            return None
