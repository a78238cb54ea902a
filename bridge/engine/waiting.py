"""What is done while the caller waits for an agent who is not heard: a filler, and an end to it.

Looked at after every input. A service that stalls keeps its socket open, so nobody else notices.
"""

from bridge.engine.filler import stop_filler, want_filler
from bridge.engine.inputs import Timer
from bridge.engine.state import CallState, Effects, Stage


def watch_waiting(call: CallState, now_ns: int) -> Effects:
    """Begin or end the wait's timers, as the call stands now."""
    if call.stage is not Stage.TALKING or call.lost:
        return
    yield from _watch_silence(call, now_ns)
    yield from _watch_stall(call)


def _watch_silence(call: CallState, now_ns: int) -> Effects:
    if call.audible:
        return
    if call.session.caller_speaking or not call.agent_busy:
        if call.filler_wanted:
            yield from stop_filler(call)
    elif call.policy.filler_after_ms is not None and not call.filler_wanted:
        yield from want_filler(call, call.policy.filler_after_ms, now_ns)


def _watch_stall(call: CallState) -> Effects:
    """Watch a response that was heard in part and brings no more."""
    limit_ms, active = call.policy.stalled_after_ms, call.session.responses.active
    waits = active is not None and active.audible and not call.playing
    if waits and limit_ms is not None and Timer.STALLED not in call.timers:
        yield from call.start_timer(Timer.STALLED, limit_ms)
    elif not waits:
        yield from call.stop_timer(Timer.STALLED)
