"""The caller says nothing: they are asked, asked again, and the call is ended with a goodbye.

    silent ``reprompt_after_ms``, ``reprompts`` times -> asked
    silent ``close_after_ms`` in all                  -> the goodbye, then our BYE
    no word for ``cap_ms``                            -> the same, whatever turn detection hears

A muted caller's trunk sends comfort noise, in which a service's turn detection may hear speech that
begins and never ends, or turns without a word; so the cap is counted by the wall clock, from the
caller's last words (their last turn, where words are not transcribed) or key.
"""

from bridge.clock import NS_PER_MS
from bridge.engine.agent.requests import request_response
from bridge.engine.call.closing import close
from bridge.engine.call.goodbye import say_goodbye
from bridge.engine.call.state import CallEnd, Stage
from bridge.engine.floor import caller_is_away, caller_owes_word
from bridge.engine.inputs import Input
from bridge.engine.news import SilencePrompted
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.speech import say
from bridge.errors import Fault, Outcome
from bridge.realtime.session_config import ResponseConfig
from bridge.routing.barge_in import CallerSilencePolicy

CALLER_SILENT = CallEnd(Outcome.COMPLETED, Fault.CALLER, "caller_silent")
LOOK_AGAIN_MS = 5_000
"""A call in which the agent speaks is not ended just now."""

_SHORTEST_WAIT_MS = 1_000
_ASK = "The caller has said nothing for a while. Ask in one short sentence if they are still there."


def watch_caller(call: CallState, event: Input, now_ns: int) -> Effects:
    """Begin or end the caller's silence; looked at after every input."""
    policy, silence = call.policy.caller_silence, call.caller_silence
    if policy is None or call.leaving is not None or call.stage is not Stage.TALKING:
        return
    if not caller_owes_word(call):
        yield from call.stop_timer(Timer.CALLER_SILENT)
        return
    if silence.since_ns is None:
        silence.since_ns = now_ns
    if Timer.CALLER_SILENT not in call.timers:
        yield from call.start_timer(Timer.CALLER_SILENT, _patience_ms(call, policy, now_ns))


def on_caller_silent(call: CallState, now_ns: int) -> Effects:
    """Ask the caller, or end the call."""
    policy, silence = call.policy.caller_silence, call.caller_silence
    if policy is None or not caller_owes_word(call):
        return
    if silence.prompts >= policy.reprompts:
        yield from _leave(call, policy, "close")
        return
    silence.prompts += 1
    yield SilencePrompted("reprompt")
    if policy.reprompt is not None:
        yield from say(call, policy.reprompt)
    else:
        yield from request_response(call, ResponseConfig(instructions=_ASK))


def on_caller_cap(call: CallState, now_ns: int) -> Effects:
    """End a call whose caller has said nothing that could be understood."""
    policy = call.policy.caller_silence
    if policy is None or call.leaving is not None:
        return
    if caller_is_away(call):
        yield from call.start_timer(Timer.CALLER_CAP, policy.cap_ms)  # they may come back
        return
    if call.audible:
        yield from call.start_timer(Timer.CALLER_CAP, LOOK_AGAIN_MS)
        return
    yield from _leave(call, policy, "cap")


def _leave(call: CallState, policy: CallerSilencePolicy, step: str) -> Effects:
    yield SilencePrompted(step)
    if policy.goodbye is None:
        yield from close(call, CALLER_SILENT)
        return
    yield from say_goodbye(call, CALLER_SILENT, policy.goodbye)


def _patience_ms(call: CallState, policy: CallerSilencePolicy, now_ns: int) -> int:
    silence = call.caller_silence
    if silence.prompts < policy.reprompts or silence.since_ns is None:
        return policy.reprompt_after_ms
    silent_ms = (now_ns - silence.since_ns) // NS_PER_MS
    return max(policy.close_after_ms - silent_ms, _SHORTEST_WAIT_MS)
