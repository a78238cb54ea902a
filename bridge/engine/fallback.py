"""The end of a call whose session could not be had again: the dialplan's fallback.

Without a session there is no voice, so the fallback is a tone and our BYE, once what was queued of
the agent has been heard. A transfer begins here in their stead.
"""

from bridge.engine.closing import close
from bridge.engine.effects import GaveUp, PlayFiller
from bridge.engine.inputs import Timer
from bridge.engine.state import CallState, Effects, Ending, Stage
from bridge.engine.turns import State, Trigger
from bridge.errors import Outcome
from bridge.realtime.failures import Failure
from bridge.realtime.recovery import GiveUpReason

FALLBACK_GRACE_MS = 15_000
"""How long the call outlives its session at most: what was queued of the agent, and a tone."""


def take_fallback(call: CallState, failure: Failure, reason: GiveUpReason) -> Effects:
    """Take the dialplan's fallback: the caller hears a tone, and the call ends."""
    yield GaveUp(reason, call.policy.recovery.fallback)
    call.fallback = Ending(Outcome.SESSION_LOST, failure.fault, failure.code)
    if call.stage is not Stage.TALKING:
        yield from close(call, call.fallback)  # nobody hears us yet
        return
    call.lost = True
    if call.turns.state is not State.RECOVERING:
        yield from call.move(Trigger.SESSION_LOST)
    call.filler_wanted = False
    for timer in (
        Timer.FILLER,
        Timer.RESPONSE,
        Timer.RETRY,
        Timer.ROLLOVER,
        Timer.STALLED,
    ):
        yield from call.stop_timer(timer)
    yield from call.start_timer(Timer.CLOSING, FALLBACK_GRACE_MS)
    if not call.playing and not call.filling:
        yield from _say_goodbye(call)


def go_on_with_fallback(call: CallState, ending: Ending) -> Effects:
    """Go on where the playout is empty: the tone is next, or the end."""
    if call.filling:
        call.filling = False
        yield from close(call, ending)
    else:
        yield from _say_goodbye(call)


def _say_goodbye(call: CallState) -> Effects:
    call.filling = True
    yield PlayFiller(pause=False)
