"""The longest that a call may last, and the warning before its end."""

from bridge.engine.call.closing import MAX_DURATION, close
from bridge.engine.floor import agent_is_in_talk
from bridge.engine.inputs import Timer
from bridge.engine.state import CallState, Effects
from bridge.engine.voice.speech import say


def watch_duration(call: CallState) -> Effects:
    """Begin to count, where there is a limit."""
    max_ms, warn_ms = call.policy.limits.max_call_ms, call.policy.limits.warn_before_ms
    if max_ms is None:
        return
    yield from call.start_timer(Timer.MAX_DURATION, max_ms)
    if call.policy.limits.max_call_warning is not None and max_ms > warn_ms:
        yield from call.start_timer(Timer.MAX_WARNING, max_ms - warn_ms)


def on_max_warning(call: CallState, now_ns: int) -> Effects:
    """Warn the caller that the call ends soon."""
    if call.policy.limits.max_call_warning is not None and agent_is_in_talk(call):
        yield from say(call, call.policy.limits.max_call_warning)


def on_max_duration(call: CallState, now_ns: int) -> Effects:
    """End the call."""
    yield from close(call, MAX_DURATION)
