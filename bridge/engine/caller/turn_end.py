"""Ends the caller's turn in the engine's books, whoever found that, and awaits the answer."""

from bridge.engine.agent.latency import TurnClock
from bridge.engine.agent.requests import expect_response
from bridge.engine.state import CallState, Effects
from bridge.engine.turns import Trigger


def end_turn(call: CallState, last_sound_ns: int | None, now_ns: int) -> Effects:
    """Hand the turn to the agent, where the service does not say that it is over.

    Args:
        last_sound_ns: when the caller fell silent.
    """
    if (yield from call.move(Trigger.SPEECH_STOPPED)):
        yield from await_answer(call, last_sound_ns, now_ns)


def await_answer(call: CallState, last_sound_ns: int | None, now_ns: int) -> Effects:
    """Begin to wait for the answer to a turn, and to measure it."""
    clock = TurnClock(call.session.turn_began_ns, last_sound_ns, stopped_ns=now_ns)
    clock.sound_sent(call.session.last_sound)
    call.session.turn_clock = clock
    # The caller has heard nothing since their own last word, not since the server took note of it.
    call.wait.begin(now_ns if last_sound_ns is None else min(last_sound_ns, now_ns))
    call.note_counters()
    yield from expect_response(call)
