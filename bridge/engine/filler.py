"""The filler: a soft tone in the place of silence, while the agent's voice can't be had.

It is no item of a session, so it is never truncated upstream. It repeats until something of the
agent's comes, the caller speaks, or nothing is awaited any more.
"""

from bridge.clock import NS_PER_MS
from bridge.engine.effects import PlayFiller, StopFiller
from bridge.engine.inputs import Timer
from bridge.engine.state import CallState, Effects, Stage


def want_filler(call: CallState, after_ms: int, now_ns: int) -> Effects:
    """Have the caller hear a filler once they have heard nothing for ``after_ms``."""
    call.filler_wanted = True
    if call.playing or call.filling or Timer.FILLER in call.timers:
        return
    if call.stage is not Stage.TALKING:  # nobody hears us yet
        return
    since_ns = call.session.waiting_since_ns
    waited_ms = 0 if since_ns is None else (now_ns - since_ns) // NS_PER_MS
    yield from call.start_timer(Timer.FILLER, max(after_ms - waited_ms, 0))


def on_silence_too_long(call: CallState) -> Effects:
    """Play the filler, if it is still wanted."""
    if call.filler_wanted and not call.playing:
        call.filling = True
        yield PlayFiller()


def on_filler_over(call: CallState) -> Effects:
    """Play the filler again, if it is still wanted."""
    call.filling = False
    yield from on_silence_too_long(call)


def stop_filler(call: CallState) -> Effects:
    """Silence the filler, or want it no more."""
    call.filler_wanted = False
    yield from call.stop_timer(Timer.FILLER)
    if call.filling:
        call.filling = False
        yield StopFiller()
