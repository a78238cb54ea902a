"""The bridge's last words in a call: the goodbye before our BYE, the warning of the longest."""

from bridge.engine.call.closing import MAX_DURATION, close
from bridge.engine.call.state import CallEnd
from bridge.engine.floor import agent_is_in_talk
from bridge.engine.policy import CLOSING_GRACE_MS
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.speech import say

GOODBYE_GRACE_MS = 30_000 + CLOSING_GRACE_MS
"""A phrase may take half a minute."""


def say_goodbye(call: CallState, ending: CallEnd, text: str, *, protected: bool = False) -> Effects:
    """Say it, and end the call once it was heard.

    Args:
        call: one that talks.
        ending: how it ends.
        text: the goodbye.
        protected: the caller does not cut it, and so does not keep the call.
    """
    call.leaving = ending
    yield from call.stop_timer(Timer.CALLER_CAP)
    yield from call.start_timer(Timer.CLOSING, GOODBYE_GRACE_MS)
    yield from say(call, text, protected=protected)


def leave(call: CallState) -> Effects:
    """End the call: its goodbye was heard, or can't be."""
    if call.leaving is not None:
        yield from close(call, call.leaving)


def on_max_warning(call: CallState, now_ns: int) -> Effects:
    """Warn the caller that the call ends soon."""
    if call.policy.limits.max_call_warning is not None and agent_is_in_talk(call):
        yield from say(call, call.policy.limits.max_call_warning)


def on_max_duration(call: CallState, now_ns: int) -> Effects:
    """End the call."""
    yield from close(call, MAX_DURATION)
