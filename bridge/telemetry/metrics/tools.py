"""Tools that the model calls."""

from bridge.clock import NS_PER_S
from bridge.telemetry.labels import (
    LabelGuard,
)
from bridge.telemetry.metrics.families import TOOL_S, Families, current_call


class ToolMetrics:
    """Tools that the model called."""

    def __init__(self, make: Families) -> None:
        self._calls = make.counter("tool_calls_total", "Calls of a tool.", "tool", "result")
        self._duration = make.histogram(
            "tool_duration_seconds", "Call of a tool to its output.", TOOL_S, "tool", "result"
        )
        self._tool, self._result = LabelGuard(50), LabelGuard(40)

    def ended(self, tool: str, result: str, took_ns: int) -> None:
        """Count a tool that ran."""
        labels = (self._tool(tool), self._result(result))
        self._calls.labels(*labels).inc(exemplar=current_call())
        self._duration.labels(*labels).observe(took_ns / NS_PER_S, exemplar=current_call())

    def refused(self, tool: str, reason: str) -> None:
        """Count a call that ran nothing: the model made the name or the arguments up."""
        labels = (self._tool(tool), self._result(reason))
        self._calls.labels(*labels).inc(exemplar=current_call())
