"""Records a call's tools with their arguments and outputs, so that a replay can mock them.

The model's own arguments and the outputs that it reads: references in the place of secret digits.
They are kept as what was said is: redacted, not while the recording pauses, and deleted with the
transcript (field ``text``).
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.clock import NS_PER_MS
from bridge.engine.effects import Effect
from bridge.engine.news import (
    PictureShown,
    ServerToolBegan,
    ServerToolEnded,
    ToolAnswered,
    ToolAsked,
    ToolRefused,
    ToolsNotListed,
)
from bridge.live.recording import NOT_RECORDED, CallRecording
from bridge.live.records.events import CallEvents
from bridge.live.records.summary import CallSummary, ToolRun
from bridge.realtime.ids import ToolCallId
from bridge.telemetry.metrics.tools import ToolMetrics
from bridge.tools.webhook import ToolResult

log = structlog.get_logger(__name__)

_LONGEST_TEXT = 8192
"""Characters of arguments or output; more would not be an event's summary."""


class ToolRecord:
    """Records one call's tools.

    Args:
        events: where they are recorded.
        summary: where they are put down; knows the arm in use.
        recording: knows when nothing is to be written.
        metrics: counts them.
    """

    def __init__(
        self,
        events: CallEvents,
        summary: CallSummary,
        recording: CallRecording,
        metrics: ToolMetrics,
    ) -> None:
        self._events, self._record = events, events.record
        self._summary = summary
        self._runs = summary.tools
        self._recording = recording
        self._metrics = metrics
        self._names: dict[ToolCallId, str] = {}

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are only recorded, here."""
        return MappingProxyType(
            {
                ToolAsked: self._on_asked,
                ToolAnswered: self._on_answered,
                ToolRefused: self._on_refused,
                PictureShown: self._on_picture,
                ServerToolBegan: self._on_server_tool_began,
                ServerToolEnded: self._on_server_tool_ended,
                ToolsNotListed: self._on_not_listed,
            }
        )

    def began(self, call_id: ToolCallId, name: str) -> None:
        """Note that a tool is called."""
        self._events.notice("tool_began", {"tool": name, "tool_call": call_id})
        self._record("tool_called", {"tool": name})

    def ended(self, call_id: ToolCallId, name: str, result: ToolResult, took_ns: int) -> None:
        """Note how a tool ended."""
        self._events.notice("tool_over", {"tool_call": call_id, "result": result.code})
        self._put_down(name, result.code, took_ns)

    def _on_server_tool_began(self, effect: ServerToolBegan) -> None:
        self._record("tool_called", {"tool": effect.name, "server": effect.server})

    def _on_server_tool_ended(self, effect: ServerToolEnded) -> None:
        self._put_down(effect.name, effect.result, effect.took_ns, server=effect.server)

    def _on_not_listed(self, effect: ToolsNotListed) -> None:
        run = ToolRun.of(effect.server, "mcp_not_listed", 0)
        self._runs.append(run)
        self._metrics.refused(self._summary.arm_in_use, run)
        self._record("tools_not_listed", {"server": effect.server, "fault": run.fault})
        log.warning("tools_not_listed", server=effect.server, fault=run.fault)

    def _on_asked(self, effect: ToolAsked) -> None:
        self._names[effect.call_id] = effect.name
        self._record_text("tool_arguments", effect.call_id, json.dumps(dict(effect.arguments)))

    def _on_answered(self, effect: ToolAnswered) -> None:
        if effect.call_id in self._names:
            self._record_text("tool_output", effect.call_id, effect.output)

    def _on_picture(self, effect: PictureShown) -> None:
        tool = self._names.get(effect.tool_call, "") if effect.tool_call else ""
        fields = {**effect.facts, "by": effect.by or None, "tool": tool or None}
        self._record("picture_shown", fields)
        log.info("picture_shown", **fields)

    def _record_text(self, kind: str, call_id: ToolCallId, text: str) -> None:
        if self._recording.paused or len(text) > _LONGEST_TEXT:
            text = NOT_RECORDED
        self._record(kind, {"tool": self._names[call_id], "tool_call": call_id, "text": text})

    def _on_refused(self, effect: ToolRefused) -> None:
        run = ToolRun.of(effect.name, effect.reason, 0)
        self._runs.append(run)
        self._metrics.refused(self._summary.arm_in_use, run)
        fields = {"tool": effect.name, "reason": effect.reason, "fault": run.fault}
        self._record("tool_refused", fields)
        log.warning("tool_refused", **fields)

    def _put_down(self, name: str, result: str, took_ns: int, server: str | None = None) -> None:
        run = ToolRun.of(name, result, took_ns // NS_PER_MS)
        self._runs.append(run)
        self._metrics.ended(self._summary.arm_in_use, run, took_ns)
        fields = {"tool": name, "result": result, "fault": run.fault}
        self._record("tool_ended", {**fields, "server": server, "took_ms": run.took_ms})
        log.info("tool_ended", **fields, took_ms=run.took_ms)
