"""The greeting: the agent's first words."""

from bridge.engine.latency import TurnClock
from bridge.engine.requests import request_response
from bridge.engine.state import CallState, Effects
from bridge.realtime.session_config import ResponseConfig


def greet(call: CallState, now_ns: int) -> Effects:
    """Have the agent greet the caller, if the dialplan wants that."""
    policy = call.policy
    if not policy.greet:
        return
    call.session.turn_clock = TurnClock(answered_ns=now_ns)
    call.speech.protects_next = policy.barge_in is not None and policy.barge_in.protects_greeting
    yield from request_response(call, ResponseConfig(instructions=policy.greeting_instructions))
