"""The tools of one call: its webhooks as tasks, and the small effects of built-in tools."""

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from bridge.clock import Clock
from bridge.engine.effects import CancelTool, Effect, RunTool, SendDigits
from bridge.engine.inputs import ToolFinished
from bridge.errors import TelephonyError
from bridge.realtime.ids import ToolCallId
from bridge.routing.tools import SEND_DTMF_TOOL, ToolDeclaration
from bridge.telephony.leg import Leg
from bridge.tools.webhook import ToolRequest, ToolResult, WebhookClient, failed

log = structlog.get_logger(__name__)

Finished = Callable[[ToolCallId, str, ToolResult, int], None]
"""Hears of a tool's end: its call, name, result, nanoseconds."""


class CallTools:
    """Runs what the core wants run.

    Args:
        leg: the call.
        declarations: of its dialplan.
        client: calls webhooks.
        feed: takes the outputs.
        begun, ended: called at each tool's beginning and end, for the record.
        facts: of the call, which each webhook is sent.
        trace_headers: of a tool's call, by which the webhook's trace joins the call's.
    """

    def __init__(
        self,
        leg: Leg,
        declarations: tuple[ToolDeclaration, ...],
        client: WebhookClient,
        feed: Callable[[ToolFinished], None],
        begun: Callable[[ToolCallId, str], None],
        ended: Finished,
        *,
        clock: Clock,
        facts: Mapping[str, object],
        trace_headers: Callable[[ToolCallId], Mapping[str, str]] = lambda call: {},
    ) -> None:
        self._leg = leg
        self._declared = {each.name: each for each in declarations}
        self._client = client
        self._feed = feed
        self._on_begun = begun
        self._on_ended = ended
        self._clock = clock
        self._facts = facts
        self._trace_headers = trace_headers
        self._running: dict[ToolCallId, asyncio.Task[ToolResult]] = {}

    @property
    def effects(self) -> Mapping[type[Effect], Callable[[Any], None]]:  # the key is its argument
        """The effects that are carried out here."""
        return MappingProxyType(
            {
                RunTool: self._run,
                CancelTool: self._cancel,
                SendDigits: self._press,
            }
        )

    async def aclose(self) -> None:
        """End every tool that still runs."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _run(self, effect: RunTool) -> None:
        self._begin(effect.call_id, effect.name, self._result(effect))

    def _press(self, effect: SendDigits) -> None:
        self._begin(effect.call_id, SEND_DTMF_TOOL, self._pressed(effect.digits))

    def _begin(
        self, call_id: ToolCallId, name: str, work: Coroutine[object, object, ToolResult]
    ) -> None:
        begun_ns = self._clock.now_ns()
        self._on_begun(call_id, name)
        task = asyncio.get_running_loop().create_task(work, name=f"tool-{name}-{self._leg.call_id}")
        self._running[call_id] = task
        task.add_done_callback(functools.partial(self._over, call_id, name, begun_ns))

    async def _result(self, effect: RunTool) -> ToolResult:
        declaration = self._declared.get(effect.name)
        if declaration is None or declaration.webhook is None:
            return failed("not_here", f"nothing here can do {effect.name}")
        request = ToolRequest(
            effect.name,
            effect.arguments,
            f"{self._leg.call_id}:{effect.call_id}",
            self._facts,
            self._trace_headers(effect.call_id),
        )
        return await self._client.call(
            declaration.webhook, request, deadline_s=declaration.deadline_s
        )

    async def _pressed(self, digits: str) -> ToolResult:
        try:
            await self._leg.press(digits)
        except TelephonyError as error:
            log.warning("digits_not_sent", error=error.what)
            return failed("not_taken", "the keys were not sent: the other end takes none")
        return ToolResult(json.dumps({"sent": True}))

    def _over(
        self, call_id: ToolCallId, name: str, begun_ns: int, task: asyncio.Task[ToolResult]
    ) -> None:
        del self._running[call_id]
        if task.cancelled():
            result = failed("cancelled", "nobody waits for it any more")
        elif task.exception() is not None:
            result = failed("internal", "the tool failed")
        else:
            result = task.result()
        self._on_ended(call_id, name, result, self._clock.now_ns() - begun_ns)
        if not task.cancelled():
            self._feed(ToolFinished(call_id, result.output, result.picture))

    def _cancel(self, effect: CancelTool) -> None:
        task = self._running.get(effect.call_id)
        if task is not None:
            task.cancel()
