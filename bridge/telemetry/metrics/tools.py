"""Metrics of the tools that the model calls."""

from typing import Protocol

from bridge.clock import NS_PER_S
from bridge.telemetry.labels import (
    LabelGuard,
)
from bridge.telemetry.metrics.families import TOOL_S, Families, current_call


class Run(Protocol):
    """A call of a tool, as the record has it."""

    @property
    def name(self) -> str:
        """The tool."""
        ...

    @property
    def result(self) -> str:
        """``ok``, or why not."""
        ...

    @property
    def fault(self) -> str:
        """Whose doing that is; ``none`` where it is no failure."""
        ...


class ToolMetrics:
    """Tools that the model called."""

    def __init__(self, make: Families) -> None:
        self._calls = make.counter(
            "tool_calls_total", "Calls of a tool.", "arm", "tool", "result", "fault"
        )
        self._duration = make.histogram(
            "tool_duration_seconds", "Call of a tool to its output.", TOOL_S, "tool", "result"
        )
        self._tool, self._result = LabelGuard(50), LabelGuard(40)

    def ended(self, arm: str, run: Run, took_ns: int) -> None:
        """Count a tool that ran."""
        labels = self._count(arm, run)
        self._duration.labels(*labels).observe(took_ns / NS_PER_S, exemplar=current_call())

    def refused(self, arm: str, run: Run) -> None:
        """Count a call that ran nothing: the model made the name or the arguments up."""
        self._count(arm, run)

    def _count(self, arm: str, run: Run) -> tuple[str, str]:
        labels = (self._tool(run.name), self._result(run.result))
        self._calls.labels(arm, *labels, run.fault).inc(exemplar=current_call())
        return labels
