"""The greeting: the agent's, or, where that is late, the bridge's own rendering of it.

A model that is slow to begin would leave the caller in silence (`NEEDS.md` section 5: greeting
within 1 s of the 200, the cached one after 800 ms). Then the agent's is not wanted any more: it is
cancelled, at once or as soon as it exists, and the model gets a note of what was said.

A service that can't speak first is not asked to: its refusal names no request, and the response
that came next, to the caller's first words, would be taken for the greeting that is unwanted.
"""

from bridge.engine.agent.latency import TurnClock
from bridge.engine.agent.requests import drop_request, request_response
from bridge.engine.floor import bridge_may_greet
from bridge.engine.state import CallState, Effects
from bridge.engine.timers import Timer
from bridge.engine.voice.speech import say
from bridge.realtime.session_config import ResponseConfig


def greet(call: CallState, now_ns: int) -> Effects:
    """Have the agent greet the caller, if the dialplan wants that, and the agent is ours to ask."""
    policy = call.policy
    if not policy.agent.greet or call.way_out is not None:
        return
    call.session.turn_clock = TurnClock(answered_ns=now_ns)
    if not call.session.service.speaks_first:
        yield from on_greeting_late(call, now_ns)
        return
    call.speech.protects_next = _is_protected(call)
    if policy.agent.cached_greeting is not None:
        yield from call.start_timer(Timer.GREETING, policy.cached_greeting_after_ms)
    yield from request_response(
        call, ResponseConfig(instructions=policy.agent.greeting_instructions)
    )


def on_greeting_late(call: CallState, now_ns: int) -> Effects:
    """Greet in the agent's place, unless it speaks or the caller did."""
    greeting, clock = call.policy.agent.cached_greeting, call.session.turn_clock
    waits = call.lost or (clock is not None and clock.answered_ns is not None)
    if greeting is None or not waits or not bridge_may_greet(call):
        return
    yield from drop_request(call)
    call.speech.greets = True
    yield from say(call, greeting, protected=_is_protected(call))


def _is_protected(call: CallState) -> bool:
    barge_in = call.policy.barge_in
    return barge_in is not None and barge_in.protects_greeting
