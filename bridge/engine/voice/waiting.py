"""Bids a caller wait by a filler while the agent is not heard, and watches for stalled responses.

Looked at after every input. A service that stalls keeps its socket open, so nobody else notices.
An outage asks for its first filler itself (:mod:`bridge.engine.session.recovery`); after words of
the bridge's own the tone comes back here.
"""

from bridge.engine.agent.state import Response
from bridge.engine.floor import waits_are_filled
from bridge.engine.inputs import Input
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.filler import stop_filler, want_filler
from bridge.realtime.events import McpCallChanged

MCP_CALL_MS = 60_000
"""How long a tool that the server runs may take: more than a web service or a search needs."""


def watch_waiting(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end the wait's timers, as the call stands after ``event``."""
    if not waits_are_filled(call):
        return
    if call.lost:
        yield from _watch_outage(call, now_ns)
        return
    yield from _watch_silence(call, now_ns)
    yield from _watch_stall(call, event)


def _watch_outage(call: CallState, now_ns: int) -> Effects:
    if not (call.audible or call.filler_wanted):
        yield from want_filler(call, call.policy.recovery.filler_after_ms, now_ns)


def _watch_silence(call: CallState, now_ns: int) -> Effects:
    if call.audible:
        return
    if call.session.turn.speaking or not call.agent_busy:
        if call.filler_wanted:
            yield from stop_filler(call)
    elif call.policy.filler_after_ms is not None and not call.filler_wanted:
        yield from want_filler(call, call.policy.filler_after_ms, now_ns)


def _watch_stall(call: CallState, event: Input) -> Effects:
    """Watch a response of which nothing is left to hear and nothing more comes."""
    limit_ms, active = call.policy.stalled_after_ms, call.session.responses.active
    if active is None or call.playing or limit_ms is None:
        yield from call.stop_timer(Timer.STALLED)
    elif Timer.STALLED not in call.timers or _brings_on(active, event):
        mcp_ms = MCP_CALL_MS if active.mcp_calls else 0
        yield from call.start_timer(Timer.STALLED, max(limit_ms, mcp_ms))


def _brings_on(active: Response, event: Input) -> bool:
    """Return whether an event is of the response; those of MCP calls name none."""
    response_id = getattr(event, "response_id", None)
    return response_id == active.response_id or isinstance(event, McpCallChanged)
