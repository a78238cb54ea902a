"""A goodbye of the bridge's own, then our BYE."""

from bridge.engine.call.closing import close
from bridge.engine.call.state import Ending
from bridge.engine.policy import CLOSING_GRACE_MS
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.speech import say

GOODBYE_GRACE_MS = 30_000 + CLOSING_GRACE_MS
"""A phrase may take half a minute."""


def say_goodbye(call: CallState, ending: Ending, text: str, *, protected: bool = False) -> Effects:
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
