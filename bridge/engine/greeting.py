"""The first thing that the agent says."""

from bridge.engine.latency import TurnClock
from bridge.engine.requests import pay_owed, request_response
from bridge.engine.state import CallState, Effects
from bridge.realtime.session_config import ResponseConfig


def greet(call: CallState, *, answered_ns: int | None = None) -> Effects:
    """Have the agent greet, where the dialplan wants it; else, pay what it owes.

    Args:
        call: one that is answered.
        answered_ns: the caller waits for this greeting since then; None where they heard
            something else first.
    """
    if not call.policy.greet:
        yield from pay_owed(call)
        return
    if answered_ns is not None:
        call.session.turn_clock = TurnClock(answered_ns=answered_ns)
    barge_in = call.policy.barge_in
    call.speech.protects_next = barge_in is not None and barge_in.protects_greeting
    config = ResponseConfig(instructions=call.policy.greeting_instructions)
    yield from request_response(call, config)
